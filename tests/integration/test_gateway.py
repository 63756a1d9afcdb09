"""OpenAI's own client talks with a home that is served, and with the models in it."""

import base64
import json
import re
import select
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import api_server
import gguf_models
import numpy as np
import openai
import pytest
from api_server import Server

from localai.api.desk import MAX_IN_LINE
from localai.approvals.looking import Wanted
from localai.core import log
from localai.core import settings as keys
from localai.infer import llamacpp
from localai.rag.embed import Embedder

CONTEXT = 16_384  # tokens, after which even an answer without an end is over
SETTINGS = {"models__chat": "talker", "models__code": "coder", "engine__context": str(CONTEXT)}
QUESTION: list[Any] = [{"role": "user", "content": "hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
SHOP = {
    "type": "object",
    "properties": {"shop": {"enum": ["open", "closed"]}, "since": {"type": "integer"}},
    "required": ["shop", "since"],
    "additionalProperties": False,
}
RULES: list[tuple[str, str | gguf_models.Loop]] = [
    ("last.role == 'tool'", "It is 21 degrees in Seoul."),
    ("tools and 'weather' in last.content", gguf_models.tool_call("weather", city="Seoul")),
    ("'one call' in messages[0].content", '{"name": "weather", "arguments": {"city": "Busan"}}'),
    ("'JSON schema' in messages[0].content", '{"shop": "open", "since": 9}'),
    ("'object' in last.content", '{"any": [1, 2]}'),
    ("'count' in last.content", "one two three four five six seven eight nine ten"),
    ("'forever' in last.content", gguf_models.Loop("again and once more and ")),
    ("'def ' in last.content", "This is the model for code."),
    ("'hello' in last.content", "Hello from the tiny model. 안녕하세요."),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gateway")
    with api_server.serving(folder, **SETTINGS) as served:
        for name in ("talker", "coder"):
            made = gguf_models.scripted(folder / f"{name}.gguf", RULES, context=CONTEXT)
            served.app.models.add(served.app.actor, made)
        yield served


def client_of(server: Server, role: str = "user") -> openai.OpenAI:
    """OpenAI's client, with the key of somebody of that role; it asks once."""
    key = server.key(role) if role in api_server.ROLES else role
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with client_of(server) as made:
        yield made


def test_a_model_answers_whole(client: openai.OpenAI) -> None:
    """With what it cost, and which model it was."""
    found = client.chat.completions.create(model="talker", messages=QUESTION, temperature=0)
    assert found.choices[0].message.content == "Hello from the tiny model. 안녕하세요."
    assert (found.model, found.choices[0].finish_reason) == ("talker", "stop")
    assert found.usage is not None
    assert found.usage.completion_tokens > 3
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_a_model_answers_step_by_step(client: openai.OpenAI) -> None:
    """The pieces are the answer; the usage comes last, in a chunk without a choice."""
    options: Any = {"include_usage": True}
    with client.chat.completions.create(
        model="talker", messages=QUESTION, stream=True, stream_options=options
    ) as stream:
        *chunks, last = list(stream)
    said = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert len(said) > 4
    assert "".join(said) == "Hello from the tiny model. 안녕하세요."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [each.choices[0].finish_reason for each in chunks[-2:]] == [None, "stop"]
    assert (last.choices, last.usage is not None) == ([], True)
    assert len({chunk.id for chunk in (*chunks, last)}) == 1


def test_a_stream_is_in_the_words_of_the_protocol(server: Server) -> None:
    """Events of data alone, of which the last one says that it is over."""
    body = {"model": "talker", "messages": QUESTION, "stream": True}
    with server.client("user") as raw:
        answer = raw.post("/v1/chat/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") for event in events)
    assert events[-1] == "data: [DONE]"
    assert "usage" not in json.loads(events[0].removeprefix("data: "))


def test_what_was_read_before_is_read_from_memory(client: openai.OpenAI) -> None:
    """The model stays loaded between requests, and so does what it read last."""
    ask = partial(client.chat.completions.create, model="talker", messages=QUESTION)
    ask()
    found = ask().usage
    assert found is not None
    assert found.prompt_tokens_details is not None
    assert (found.prompt_tokens_details.cached_tokens or 0) > 0


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_goes_to_the_client_and_its_result_to_the_model(
    server: Server, client: openai.OpenAI, is_stream: bool
) -> None:
    """Nothing is run here: the tool is the client's own."""
    before = server.app.approvals.look(server.app.actor, Wanted()).total
    messages: list[Any] = [{"role": "user", "content": "the weather, please"}]
    ask = partial(client.chat.completions.create, model="talker", tools=[WEATHER])
    if is_stream:
        with ask(messages=messages, stream=True) as stream:
            calls = [call for each in stream for call in each.choices[0].delta.tool_calls or ()]
        assert [call.index for call in calls] == [0]
    else:
        choice = ask(messages=messages).choices[0]
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        calls = choice.message.tool_calls
    (call,) = calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert json.loads(call.function.arguments) == {"city": "Seoul"}
    made = {"id": call.id, "type": "function", "function": call.function.model_dump()}
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'},
    ]
    assert ask(messages=messages).choices[0].message.content == "It is 21 degrees in Seoul."
    assert server.app.approvals.look(server.app.actor, Wanted()).total == before


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "weather"}}]
)
def test_a_call_that_must_be_made_is_made(client: openai.OpenAI, choice: Any) -> None:
    """Whatever the model would rather say."""
    found = client.chat.completions.create(
        model="talker", messages=QUESTION, tools=[WEATHER], tool_choice=choice
    ).choices[0]
    assert found.finish_reason == "tool_calls"
    (call,) = found.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "weather",
        {"city": "Busan"},
    )


def test_no_tool_is_told_of_where_none_may_be_called(client: openai.OpenAI) -> None:
    """The model then does not know of them."""
    found = client.chat.completions.create(
        model="talker",
        messages=[{"role": "user", "content": "hello, the weather?"}],
        tools=[WEATHER],
        tool_choice="none",
    ).choices[0]
    assert (found.finish_reason, found.message.tool_calls) == ("stop", None)


def test_an_answer_keeps_to_a_schema(client: openai.OpenAI) -> None:
    """The model is told of it, and held to it: this one would say hello."""
    form: Any = {
        "type": "json_schema",
        "json_schema": {"name": "shop", "strict": True, "schema": SHOP},
    }
    ask = partial(client.chat.completions.create, messages=QUESTION, response_format=form)
    assert json.loads(ask(model="talker").choices[0].message.content) == {
        "shop": "open",
        "since": 9,
    }
    anything: Any = {"type": "json_object"}
    found = client.chat.completions.create(
        model="talker",
        messages=[{"role": "user", "content": "an object"}],
        response_format=anything,
    )
    assert json.loads(found.choices[0].message.content) == {"any": [1, 2]}


@pytest.mark.parametrize(
    ("stop", "said"), [(" six", "one two three four five"), (["x", "r"], "one two th")]
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_ends_before_a_stop(
    client: openai.OpenAI, stop: Any, said: str, is_stream: bool
) -> None:
    """Also where the tokens cut it anywhere, and nothing of it is shown."""
    messages: list[Any] = [{"role": "user", "content": "count"}]
    ask = partial(client.chat.completions.create, model="talker", messages=messages, stop=stop)
    if is_stream:
        with ask(stream=True) as stream:
            chunks = list(stream)
        assert "".join(each.choices[0].delta.content or "" for each in chunks) == said
        assert chunks[-1].choices[0].finish_reason == "stop"
    else:
        found = ask()
        assert (found.choices[0].message.content, found.choices[0].finish_reason) == (said, "stop")
        assert found.usage.completion_tokens > 0


def test_an_answer_says_how_likely_its_tokens_were(client: openai.OpenAI) -> None:
    """Whole and step by step alike, and its tokens are its text."""
    ask = partial(client.chat.completions.create, model="talker", messages=QUESTION, temperature=0)
    whole = ask(logprobs=True, top_logprobs=3)
    told = whole.choices[0].logprobs.content
    with ask(logprobs=True, top_logprobs=3, stream=True) as stream:
        steps = [
            one
            for chunk in stream
            if chunk.choices[0].logprobs
            for one in chunk.choices[0].logprobs.content
        ]
    assert steps == told
    spelled = bytes(each for one in told for each in one.bytes)
    assert spelled.decode() == whole.choices[0].message.content
    for one in told:
        assert one.top_logprobs[0].token == one.token
        assert one.top_logprobs[0].logprob == one.logprob <= 0
        assert len(one.top_logprobs) == 3
    assert ask(logprobs=True).choices[0].logprobs.content[0].top_logprobs == []
    assert ask().choices[0].logprobs is None


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_text_says_how_likely_its_tokens_were(client: openai.OpenAI, is_stream: bool) -> None:
    """In the lists of the older kind, with the places of the tokens in the text."""
    ask = partial(client.completions.create, model="talker", prompt="count", temperature=0)
    if is_stream:
        with ask(logprobs=2, stream=True) as stream:
            found = [chunk.choices[0] for chunk in stream if chunk.choices[0].logprobs]
    else:
        found = [ask(logprobs=2).choices[0]]
    text = "".join(each.text for each in found)
    tokens = [token for each in found for token in each.logprobs.tokens]
    places = [place for each in found for place in each.logprobs.text_offset]
    assert "".join(tokens) == text == "one two three four five six seven eight nine ten"
    assert all(text[place:].startswith(token) for place, token in zip(places, tokens, strict=True))
    for each in found:
        for token, value, tops in zip(
            each.logprobs.tokens,
            each.logprobs.token_logprobs,
            each.logprobs.top_logprobs,
            strict=True,
        ):
            assert tops[token] == value == max(tops.values())


def test_tokens_of_a_stop_are_not_told(client: openai.OpenAI) -> None:
    """They were drawn, and nobody was shown them."""
    messages: list[Any] = [{"role": "user", "content": "count"}]
    found = client.chat.completions.create(
        model="talker", messages=messages, stop=" six", logprobs=True, temperature=0
    ).choices[0]
    tokens = "".join(each.token for each in found.logprobs.content)
    assert tokens.startswith("one two three four five")
    assert "seven" not in tokens


def test_an_answer_is_no_longer_than_asked_for(client: openai.OpenAI) -> None:
    """The newer name of the limit counts more."""
    found = client.chat.completions.create(
        model="talker", messages=QUESTION, max_completion_tokens=2, max_tokens=50
    )
    assert (found.choices[0].finish_reason, found.usage.completion_tokens) == ("length", 2)


@pytest.mark.parametrize(
    ("alias", "said", "model"),
    [
        ("auto", "hello", "talker"),
        ("auto", "Fix this:\n```python\ndef f(x):\n    return x +\n```", "coder"),
        ("chat", "hello", "talker"),
        ("code", "hello", "coder"),
    ],
)
def test_an_alias_is_the_model_for_the_question_or_the_role(
    client: openai.OpenAI, alias: str, said: str, model: str
) -> None:
    """As `ai chat` chooses it; the answer names the model."""
    found = client.chat.completions.create(
        model=alias, messages=[{"role": "user", "content": said}], max_tokens=3
    )
    assert found.model == model


def test_models_are_listed_with_their_aliases(client: openai.OpenAI) -> None:
    """And each is found by its name."""
    names = [model.id for model in client.models.list()]
    assert names[:3] == ["auto", "chat", "code"]
    assert {"talker", "coder"} <= set(names)
    assert client.models.retrieve("talker").owned_by == "localai"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/no-such")


def test_a_text_is_answered(client: openai.OpenAI) -> None:
    """The older kind of completion, whole and step by step."""
    whole = client.completions.create(model="talker", prompt="hello", max_tokens=50)
    assert whole.choices[0].text == "Hello from the tiny model. 안녕하세요."
    with client.completions.create(
        model="talker", prompt="hello", max_tokens=50, stream=True
    ) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert (chunks[-1].choices[0].finish_reason, chunks[0].object) == ("stop", "text_completion")


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": "yes"}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "hi"}]}, "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages.0.content.0.type",
        ),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 5}}}},
            "response_format.json_schema",
        ),
        ({"tools": [WEATHER], "tool_choice": "perhaps"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
def test_what_cannot_be_done_is_refused_and_named(
    client: openai.OpenAI, wrong: dict[str, Any], param: str
) -> None:
    """Instead of another answer than was asked for."""
    body: dict[str, Any] = {"model": "talker", "messages": QUESTION} | wrong
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/chat/completions", body=body, cast_to=object)
    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")


def test_what_nobody_knows_is_passed_over(client: openai.OpenAI) -> None:
    """As OpenAI's own servers do it, and what asks for what is usual anyway."""
    more: Any = {
        "n": 1,
        "logprobs": False,
        "frequency_penalty": 0,
        "store": False,
        "user": "me",
        "no_such_field": {"a": 1},
        "seed": -1,
    }
    found = client.chat.completions.create(model="talker", messages=QUESTION, extra_body=more)
    assert found.choices[0].finish_reason == "stop"


def test_every_failure_is_in_the_words_of_the_client(server: Server) -> None:
    """Each is the exception that OpenAI's own servers would have raised."""
    with client_of(server, "lai_no_key") as nobody, pytest.raises(openai.AuthenticationError) as no:
        nobody.models.list()
    assert (no.value.code, no.value.request_id is not None) == ("invalid_api_key", True)
    with client_of(server, "viewer") as viewer, pytest.raises(openai.PermissionDeniedError):
        viewer.chat.completions.create(model="talker", messages=QUESTION)
    with client_of(server) as client:
        with pytest.raises(openai.NotFoundError) as missing:
            client.chat.completions.create(model="nobody", messages=QUESTION)
        assert missing.value.code == "not_found"
        with pytest.raises(openai.NotFoundError):
            client.get("/no/such/door", cast_to=object)
        with pytest.raises(openai.BadRequestError, match="context"):
            long: list[Any] = [{"role": "user", "content": "word " * 20_000}]
            client.chat.completions.create(model="talker", messages=long)
    with server.client("user") as raw:
        for answer in (
            raw.post(
                "/v1/chat/completions", content=b"{", headers={"Content-Type": "application/json"}
            ),
            raw.post("/v1/chat/completions", content=b"hello"),
            raw.put("/v1/models"),
        ):
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
            assert 400 <= answer.status_code < 416


def test_both_kinds_of_keys_open_the_doors(server: Server) -> None:
    """OpenAI's clients send a bearer, others the header of the other doors."""
    with server.client("user") as raw:
        assert raw.get("/v1/models").status_code == 200


def test_who_leaves_midway_ends_the_answer(server: Server, client: openai.OpenAI) -> None:
    """Whole or in a stream: the engine is free, and computes no more for nobody."""
    forever: list[Any] = [{"role": "user", "content": "forever"}]
    before = _generated(server)
    stream = client.chat.completions.create(model="talker", messages=forever, stream=True)
    assert next(iter(stream)).choices
    stream.close()
    assert client.chat.completions.create(model="talker", messages=QUESTION).choices
    streamed = _generated(server)
    assert 0 < streamed - before < CONTEXT / 2
    impatient = client.with_options(timeout=0.2)
    with pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(model="talker", messages=forever)
    assert client.chat.completions.create(model="talker", messages=QUESTION).choices
    assert 0 < _generated(server) - streamed < CONTEXT / 2


def test_a_stream_that_breaks_off_says_so_and_is_logged(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an error of the client, under the id of the request; the next answer is whole."""
    logged: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(log, "write", lambda event, *_, **told: logged.append((event, told)))
    really, decoded = llamacpp.lib.llama_decode, []

    def broken(*given: Any) -> int:
        decoded.append(given)
        return 1 if len(decoded) == 4 else int(really(*given))

    monkeypatch.setattr(llamacpp.lib, "llama_decode", broken)
    said = []
    with client.chat.completions.create(
        model="talker", messages=[{"role": "user", "content": "count"}], stream=True
    ) as stream:
        with pytest.raises(openai.APIError, match="could not evaluate"):
            said += list(stream)
        request_id = stream.response.headers["x-request-id"]
    (told,) = (told for event, told in logged if event == "server.unavailable")
    assert told["request_id"] == request_id
    assert client.chat.completions.create(model="talker", messages=QUESTION).choices


def test_the_line_before_the_engine_is_short(server: Server, client: openai.OpenAI) -> None:
    """Who finds it full is told when to come again; who waits in it is answered in turn."""
    forever: list[Any] = [{"role": "user", "content": "forever"}]
    stream = client.chat.completions.create(model="talker", messages=forever, stream=True)
    assert next(iter(stream)).choices
    with ExitStack() as waiting:
        lines = [waiting.enter_context(_asking(server)) for _ in range(MAX_IN_LINE + 2)]
        refused = _readable(lines, 2)
        for line in refused:
            answer = b""
            while b"overloaded" not in answer and (piece := line.recv(65536)):
                answer += piece.lower()
            assert answer.startswith(b"http/1.1 503")
            assert b"retry-after: 1" in answer
            assert b"overloaded" in answer
        stream.close()
        answers = [line.recv(65536) for line in lines if line not in refused]
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * MAX_IN_LINE


def test_vectors_are_those_of_the_home(server: Server, client: openai.OpenAI) -> None:
    """In both encodings, one a text, zeros for what has no word."""
    texts = ["The shop opens at nine.", "Bread", ""]
    own = Embedder(server.app.settings[keys.RAG_MODEL], server.app.embeddings_dir).embed(texts)
    for form in ("float", "base64", None):
        more: Any = {"encoding_format": form} if form else {}
        found = client.embeddings.create(model="default", input=texts, **more)
        raw = [each.embedding for each in found.data]
        for mine, theirs in zip(own, raw, strict=True):
            if form == "base64":
                numbers = np.frombuffer(base64.b64decode(theirs), dtype="<f4")
            else:
                numbers = np.array(theirs)
            assert numbers == pytest.approx(mine or [0.0] * len(numbers), abs=1e-6)
        assert found.model == server.app.settings[keys.RAG_MODEL]
        assert found.usage.prompt_tokens > 0


def test_texts_that_are_many_or_long_or_none(server: Server, client: openai.OpenAI) -> None:
    """None give nothing, long ones are cut and it is said, too many are refused."""
    create = client.embeddings.with_raw_response.create
    assert create(model="default", input=[], encoding_format="float").parse().data == []
    text = "bread and butter " * 1_000
    cut = create(model="default", input=[text, text[:8_000]], encoding_format="float")
    assert cut.headers["x-localai-warning"] == "1 cut to 8000 characters"
    first, second = cut.parse().data
    assert first.embedding == second.embedding
    with pytest.raises(openai.BadRequestError, match="1,024"):
        create(model="default", input=["a"] * 1_025)
    with pytest.raises(openai.BadRequestError):
        create(model="default", input=[1, 2, 3])
    with pytest.raises(openai.NotFoundError):
        create(model="text-embedding-3-small", input="a")


def test_answers_and_requests_are_counted(server: Server, client: openai.OpenAI) -> None:
    """Under a service of their own, and with the chats of the home."""
    client.chat.completions.create(model="talker", messages=QUESTION)
    server.app.tally.flush()
    told = server.app.exposition.text(server.app.actor)
    assert 'http_requests_total{method="POST",service="gateway",status="200"}' in told
    assert 'endpoint="/v1/chat/completions",le="+Inf",service="gateway"' in told
    assert 'localai_operations_total{operation="chat",result="ok"}' in told


@pytest.mark.prove
def test_curl_reads_a_stream(server: Server) -> None:
    """As the how-to shows it."""
    body = json.dumps({"model": "talker", "messages": QUESTION, "stream": True})
    heard = subprocess.run(
        ["curl", "-sSN", f"{server.url}/v1/chat/completions", "--noproxy", "*"]
        + ["-H", f"Authorization: Bearer {server.key('user')}"]
        + ["-H", "Content-Type: application/json", "-d", body],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert heard.endswith("data: [DONE]\n\n")


@pytest.mark.prove
def test_many_who_come_and_leave_spoil_nothing(server: Server, client: openai.OpenAI) -> None:
    """Each answer that arrives is whole and its own; afterwards the line is empty."""
    said = {
        "hello": "Hello from the tiny model. 안녕하세요.",
        "count": "one two three four five six seven eight nine ten",
    }

    def one(number: int) -> str:
        question = [*said, "forever"][number % 3]
        messages: list[Any] = [{"role": "user", "content": question}]
        with client_of(server) as own:
            try:
                with own.chat.completions.create(
                    model="talker", messages=messages, stream=True
                ) as stream:
                    if question == "forever":
                        next(iter(stream))
                        return "left"
                    found = "".join(each.choices[0].delta.content or "" for each in stream)
            except openai.InternalServerError as error:
                return f"refused {error.status_code}"
        assert found == said[question]
        return "answered"

    with ThreadPoolExecutor(24) as pool:
        ended = Counter(pool.map(one, range(600)))
    assert ended["answered"] > 0
    assert ended["left"] > 0
    assert ended.keys() <= {"answered", "left", "refused 503"}
    assert client.chat.completions.create(model="talker", messages=QUESTION).choices


def _generated(server: Server) -> int:
    """How many tokens were written since this home is counted."""
    server.app.tally.flush()
    told = server.app.exposition.text(server.app.actor)
    found = re.findall(r'localai_tokens_total\{kind="generated",model="talker"\} ([\d.]+)', told)
    return int(float(found[0])) if found else 0


def _asking(server: Server) -> socket.socket:
    """Somebody who has asked, and reads nothing yet."""
    body = json.dumps({"model": "talker", "messages": QUESTION, "max_tokens": 2}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {server.key('user')}"
        f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(server.address, timeout=30)
    connection.sendall(head.encode() + body)
    return connection


def _readable(lines: list[socket.socket], count: int) -> list[socket.socket]:
    """The lines on which something was answered, once there are so many."""
    found: list[socket.socket] = []
    while len(found) < count:
        found, _, _ = select.select(lines, [], [])
    return found
