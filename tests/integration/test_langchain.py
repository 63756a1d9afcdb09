"""LangChain's adapter for OpenAI drives a home that is served, with the model that ships."""

import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import api_server
import pytest
from api_server import Server
from pydantic import BaseModel

pytestmark = pytest.mark.prove

Looked = list[Any]


class Shop(BaseModel):
    """A shop."""

    has_bread: bool
    kind: str


def write_file(path: str, content: str) -> str:
    """Write a file."""
    return f"{path}: {content}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with api_server.serving(tmp_path_factory.mktemp("langchain")) as served:
        yield served


@pytest.fixture(autouse=True)
def looked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Looked]:
    """What is looked up by name, which must be this machine alone; nothing is traced elsewhere."""
    found: Looked = []
    really = socket.getaddrinfo

    def look(host: Any, *rest: Any, **more: Any) -> Any:
        found.append(host)
        return really(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    yield found
    assert set(found) <= {"127.0.0.1"}


@pytest.fixture
def model(server: Server) -> Callable[..., Any]:
    """A chat model of LangChain's; it asks once."""
    from langchain_openai import ChatOpenAI

    given = {"base_url": f"{server.url}/v1", "api_key": server.key("user")}
    return partial(ChatOpenAI, **given, model="auto", max_retries=0, temperature=0)


def test_it_streams(model: Callable[..., Any], looked: Looked) -> None:
    """In pieces that are the answer, with what it cost."""
    whole = model().invoke("hello")
    pieces = list(model(stream_usage=True).stream("hello"))
    assert "".join(each.content for each in pieces) == whole.content != ""
    assert len(pieces) > 5
    (cost,) = (each.usage_metadata for each in pieces if each.usage_metadata)
    assert cost["output_tokens"] == whole.usage_metadata["output_tokens"] > 5
    assert whole.response_metadata["model_name"] == "starter"
    assert looked


@pytest.mark.parametrize("is_stream", [False, True])
def test_it_calls_tools_and_reads_what_they_said(
    model: Callable[..., Any], is_stream: bool
) -> None:
    """The model that ships chooses the tool; LangChain runs it."""
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool

    own = tool(write_file)
    asked = model().bind_tools([own])
    said: list[Any] = [HumanMessage("Write 'buy milk' to shopping.txt")]
    if is_stream:
        first, *rest = asked.stream(said)
        answer = sum(rest, first)
    else:
        answer = asked.invoke(said)
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]["path"]) == ("write_file", "shopping.txt")
    result = own.invoke(call)
    assert result.content == f"shopping.txt: {call['args']['content']}"
    assert asked.invoke([*said, answer, result]).content


def test_it_reads_answers_of_a_schema(model: Callable[..., Any]) -> None:
    """As the class that was asked for, whatever so small a model puts into it."""
    shaped = model(max_tokens=400).with_structured_output(Shop, method="json_schema")
    assert isinstance(shaped.invoke("hello"), Shop)


def test_it_makes_vectors(server: Server) -> None:
    """Of texts as they are, so that no table of tokens is fetched."""
    from langchain_openai import OpenAIEmbeddings

    made = OpenAIEmbeddings(
        model="default",
        base_url=f"{server.url}/v1",
        api_key=server.key("user"),
        check_embedding_ctx_length=False,
    )
    milk, shop = made.embed_documents(["bread and milk", "the shop is closed"])
    question = made.embed_query("milk and bread")

    def near(other: list[float]) -> float:
        return sum(a * b for a, b in zip(question, other, strict=True))

    assert near(milk) > near(shop)
