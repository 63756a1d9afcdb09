"""The remote engine against servers that misbehave."""

import json
from collections.abc import Iterator
from typing import Any

import chat_server
import pytest
from chat_server import Scripted, event

from localai.core.errors import Denied, Invalid, LocalaiError, NotFound, Unavailable
from localai.infer.engine import Delta, Form, Message, Sampling, ToolCall, ToolSpec, Usage
from localai.infer.remote import Remote, Server

ASKED = [Message("user", "hi")]
LOOK = ToolSpec("look", "Look.", {"type": "object", "properties": {"place": {"type": "string"}}})
KEY = "sk-one-two-three"
DONE = ["data: [DONE]"]
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A server that does as it is told."""
    with chat_server.scripted() as made:
        yield made


@pytest.fixture
def waits() -> list[float]:
    """How long was waited before each further try."""
    return []


def _remote(url: str, *, waits: list[float] | None = None, timeout_s: float = 20) -> Remote:
    sleep = (waits if waits is not None else []).append
    return Remote("model", Server(url, key=lambda: KEY, timeout_s=timeout_s, sleep=sleep))


def _said(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def test_what_is_asked_for_reaches_the_server(server: Scripted) -> None:
    """Messages, tools, sampling and schema in OpenAI's words; the key in its header alone."""
    server.answers = [{"lines": DONE}]
    engine = _remote(server.url)
    call = ToolCall("c1", "look", '{"place": "x"}')
    messages = [
        Message("system", "Be brief."),
        Message("assistant", "", (call,)),
        Message("tool", "rain", tool_call_id="c1", name="look"),
    ]
    list(engine.stream(messages, tools=[LOOK], sampling=Sampling(0, 7, 3, top_p=0.5)))
    list(engine.stream(ASKED, tools=[LOOK], form=Form(schema={"type": "integer"})))
    first, second = server.asked
    assert first["path"] == "/v1/chat/completions"
    assert first["stream"] is True
    assert (first["temperature"], first["max_tokens"], first["seed"]) == (0, 7, 3)
    assert first["messages"][1]["tool_calls"][0]["function"] == {
        "name": "look",
        "arguments": '{"place": "x"}',
    }
    assert first["messages"][2]["tool_call_id"] == "c1"
    assert first["tools"][0]["function"]["parameters"] == LOOK.parameters
    assert second["response_format"]["json_schema"]["schema"] == {"type": "integer"}
    assert "tools" not in second
    assert second["temperature"] == 0.7
    assert KEY not in json.dumps(server.asked)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    engine.close()


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thoughts_are_told_apart(server: Scripted, name: str) -> None:
    """By either of the names that servers have for them, or by tags in the text."""
    for lines in (
        [event(**{name: "Hm. "}), event(**{name: "Two?"}), event("Two.")],
        [event("<think>Hm. "), event("Two?</th"), event("ink>\n\nTwo.")],
    ):
        server.answers = [{"lines": [*lines, *DONE]}]
        engine = _remote(server.url)
        deltas = list(engine.stream(ASKED, tools=[LOOK]))
        assert "".join(delta.thought for delta in deltas) == "Hm. Two?"
        assert _said(deltas) == "Two."
        list(engine.stream(ASKED, form=Form(thinks=False)))
        list(engine.stream(ASKED, form=Form(schema={"type": "integer"}, thinks=True)))
        engine.close()
    assert "chat_template_kwargs" not in server.asked[0]
    kwargs = [asked.get("chat_template_kwargs") for asked in server.asked[1:3]]
    assert kwargs == [{"enable_thinking": False}] * 2


def test_calls_come_in_pieces(server: Scripted) -> None:
    """As most servers send them, several at once; and the usage is the server's."""

    def piece(index: int, **more: Any) -> str:
        return event(tool_calls=[{"index": index, **more}])

    lines = [
        event("Well. "),
        piece(0, id="a", function={"name": "look", "arguments": '{"pl'}),
        piece(1, id="b", function={"name": "look", "arguments": "{}"}),
        piece(0, function={"arguments": 'ace": "x"}'}),
        event(finish="tool_calls"),
        "data: " + json.dumps({"choices": [], "usage": USAGE}),
    ]
    server.answers = [{"lines": [": comment", *lines, *DONE]}]
    engine = _remote(server.url)
    deltas = list(engine.stream(ASKED, tools=[LOOK]))
    calls = [delta.tool_call for delta in deltas if delta.tool_call]
    assert calls == [ToolCall("a", "look", '{"place": "x"}'), ToolCall("b", "look", "{}")]
    assert _said(deltas) == "Well. "
    usage = deltas[-1].usage
    assert isinstance(usage, Usage)
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (9, 4, 2)
    assert deltas[-1].finish == "tool_calls"
    engine.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(
    server: Scripted, waits: list[float], status: int
) -> None:
    """After as long as it says, else longer each time; nothing is said twice."""
    busy = {"status": status, "content": "{}"}
    server.answers = [
        busy | {"headers": {"Retry-After": "7"}},
        busy,
        {"lines": [event("Yes."), *DONE]},
    ]
    engine = _remote(server.url, waits=waits)
    assert _said(list(engine.stream(ASKED))) == "Yes."
    assert waits[0] == 7
    assert 0 < waits[1] < 10
    engine.close()


def test_a_server_that_stays_busy_is_unavailable(server: Scripted, waits: list[float]) -> None:
    """After a few tries, with what it said."""
    server.answers = [{"status": 503, "content": '{"error": {"message": "loading"}}'}]
    engine = _remote(server.url, waits=waits)
    with pytest.raises(Unavailable, match="says 503: loading"):
        list(engine.stream(ASKED))
    assert len(server.asked) == 4
    server.answers = [{"status": 429, "headers": {"Retry-After": "86400"}, "content": "{}"}]
    with pytest.raises(Unavailable):
        list(engine.stream(ASKED))
    assert max(waits) <= 30
    engine.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Denied), (403, Denied), (404, NotFound), (400, Invalid), (302, Unavailable)],
)
def test_a_refusal_is_told_as_what_it_is(
    server: Scripted, waits: list[float], status: int, error: type[LocalaiError]
) -> None:
    """Once; and a redirect is not followed, because the key would go with it."""
    headers = {"Location": "http://127.0.0.1:9/"} if status == 302 else {}
    server.answers = [{"status": status, "content": '{"detail": "no"}', "headers": headers}]
    engine = _remote(server.url, waits=waits)
    with pytest.raises(error, match=f"says {status}: no") as caught:
        list(engine.stream(ASKED))
    assert len(server.asked) == 1
    assert KEY not in str(caught.value)
    engine.close()


@pytest.mark.parametrize(
    "answer",
    [
        {"lines": [event("Half")], "cut": 10},
        {"lines": [event("Half"), 'data: {"error": {"message": "out of memory"}}']},
        {"lines": [event("Half"), "data: not json"]},
        {"lines": [event("Half"), "data: " + "x" * 3_000_000]},
        {"lines": [event("Half"), event("late")], "wait": 4},
    ],
    ids=["cut", "error", "no json", "endless", "slow"],
)
def test_an_answer_that_breaks_off_is_unavailable(
    server: Scripted, waits: list[float], answer: dict[str, Any]
) -> None:
    """What was said before stays said, and is not asked for again."""
    server.answers = [answer]
    engine = _remote(server.url, waits=waits, timeout_s=20 if "wait" not in answer else 2)
    deltas = engine.stream(ASKED)
    assert next(deltas).text == "Half"
    with pytest.raises(Unavailable):
        next(deltas)
    assert len(server.asked) == 1
    engine.close()


def test_a_server_that_is_not_there_is_unavailable(waits: list[float]) -> None:
    """It may be starting: it is tried a few times."""
    engine = _remote("http://127.0.0.1:9/v1", waits=waits)
    with pytest.raises(Unavailable, match="does not answer") as caught:
        list(engine.stream(ASKED))
    assert len(waits) == 3
    assert "engine.url" in str(caught.value.hint)
    engine.close()


def test_a_closed_server_is_asked_again(server: Scripted) -> None:
    """The one model makes room for the other, which answers from the same place."""
    server.answers = [{"lines": [event("Yes."), *DONE]}]
    shared = Server(server.url, key=lambda: KEY, timeout_s=20)
    for name in ("chat", "code"):
        engine = Remote(name, shared)
        assert _said(list(engine.stream(ASKED))) == "Yes."
        engine.close()
    assert [asked["model"] for asked in server.asked] == ["chat", "code"]


@pytest.mark.parametrize(
    "found",
    [
        {"choices": ["x"]},
        {"choices": {"a": 1}},
        {"choices": [{"delta": ["x"]}]},
        {"choices": [{"delta": {"tool_calls": ["x"]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": "x"}]}}]},
        {"choices": [{"delta": {}, "finish_reason": []}]},
        {"usage": {"prompt_tokens_details": "x"}},
    ],
)
def test_what_is_not_the_protocol_is_no_bug_of_ours(
    server: Scripted, found: dict[str, Any]
) -> None:
    """A stranger may send anything."""
    server.answers = [{"lines": ["data: " + json.dumps(found), *DONE]}]
    engine = _remote(server.url)
    with pytest.raises(Unavailable, match="does not speak OpenAI's protocol"):
        list(engine.stream(ASKED))
    engine.close()


def test_an_answer_may_be_left_midway(server: Scripted) -> None:
    """The connection is closed, and the next question has an answer."""
    server.answers = [{"lines": [event("one "), event("two"), *DONE]}]
    engine = _remote(server.url)
    deltas = engine.stream(ASKED)
    assert next(deltas).text == "one "
    deltas.close()
    assert _said(list(engine.stream(ASKED))) == "one two"
    engine.close()


def test_a_list_without_an_end_is_not_read(server: Scripted) -> None:
    """Nor the words of an error."""
    asked = Server(server.url, key=lambda: None, timeout_s=5)
    for status in (200, 400):
        server.answers = [{"status": status, "content": "x" * 3_000_000}]
        with pytest.raises(Unavailable, match="without an end"):
            asked.models()
    asked.close()


@pytest.mark.parametrize(
    "content", ['{"data": []}', "{}", "[]", '{"data": 7}', '{"data": [1, {"id": 2}]}']
)
def test_a_server_without_a_model_says_so(server: Scripted, content: str) -> None:
    """Whatever else it lists."""
    server.answers = [{"content": content}]
    asked = Server(server.url, key=lambda: None, timeout_s=5)
    with pytest.raises(Unavailable, match="has no model"):
        _ = asked.first
    assert "Authorization" not in server.headers[0]
    asked.close()


@pytest.mark.parametrize(
    ("url", "is_overheard"),
    [
        ("http://127.0.0.1:1/v1", False),
        ("http://[::1]:1/v1", False),
        ("http://localhost/v1", False),
        ("https://example.org/v1", False),
        ("http://example.org/v1", True),
        ("http://127.0.0.1.example.org/v1", True),
    ],
)
def test_who_can_overhear_is_known(url: str, is_overheard: bool) -> None:
    """Plain HTTP is for this machine alone."""
    assert Server(url, key=lambda: None, timeout_s=5).is_overheard == is_overheard


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "file:///x", "http://", "http://a:b@c/"])
def test_an_address_is_checked(url: str) -> None:
    """Before anything is sent; a password in it would reach logs."""
    with pytest.raises(Invalid, match="engine.url"):
        Server(url, key=lambda: None, timeout_s=5)
