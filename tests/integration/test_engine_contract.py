"""What engines do alike: here, in another process, on servers, with a failover."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chat_server
import gguf_models
import pytest
from chat_server import event
from lines import line_to

from localai.core.errors import Denied, Unavailable
from localai.infer import attached, llamacpp
from localai.infer.engine import Delta, Engine, Form, Message, Sampling, ToolSpec
from localai.infer.failover import Failover
from localai.infer.remote import Remote, Server
from localai.infer.resident import Resident

KEY = "sk-one-two-three"
HELLO = "Hello there, what can I do for you on this fine day?"
JSON = '{"city": "Seoul"}'
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LOOK = ToolSpec("look", "Look.", {"type": "object", "properties": {"place": {"type": "string"}}})
ASKED = [Message("user", "hi")]
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the engines run, or play."""
    rules = [
        ("last.role == 'tool'", "It rains."),
        ("'look' in last.content", gguf_models.tool_call("look", place="서울")),
        ("'city' in last.content", JSON),
    ]
    return gguf_models.scripted(tmp_path_factory.mktemp("m") / "s.gguf", rules, HELLO)


@pytest.fixture(scope="module")
def url(file: Path) -> Iterator[str]:
    """llama-cpp-python's own server; it wants a key."""
    with chat_server.llama(file, key=KEY) as found:
        yield found


@pytest.fixture(
    scope="module", params=["embedded", "resident", "attached", "remote", "scripted", "failover"]
)
def engine(
    request: pytest.FixtureRequest, file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """The same words from each."""
    made: Engine
    if request.param == "embedded":
        made = llamacpp.load(file, threads=1, gpu_layers=0)
    elif request.param == "failover":
        loads = {"gone": _gone, "s": lambda: llamacpp.load(file, threads=1, gpu_layers=0)}
        made = Failover(loads, lambda *_: None)
    elif request.param == "resident":
        made = _resident(file).get("somebody", "s", _untold)
    elif request.param == "attached":
        methods = attached.methods(_resident(file), "somebody")
        with line_to(tmp_path_factory.mktemp("line"), methods) as line:
            yield attached.Attached("s", line, _gone, _untold)
        return
    elif request.param == "remote":
        made = _remote(request.getfixturevalue("url"))
    else:
        with chat_server.scripted() as server:
            server.reply = _played
            made = _remote(server.url)
            yield made
            made.close()
            return
    yield made
    made.close()


def _resident(file: Path) -> Resident:
    return Resident(lambda *_: llamacpp.load(file, threads=1, gpu_layers=0))


def _untold(line: str) -> None:
    raise AssertionError(line)


def _gone() -> Engine:
    raise Unavailable("it does not load")


def _remote(url: str) -> Remote:
    return Remote("s", Server(url, key=lambda: KEY, timeout_s=20))


def _played(body: dict[str, Any]) -> dict[str, Any]:
    """What the model of the others says, as a server that reads calls itself would send it."""
    last = body["messages"][-1]
    call = {"name": "look", "arguments": '{"place": "서울"}'}
    if last["role"] == "tool":
        said = [event("It "), event("rains."), event(finish="stop")]
    elif "look" in last["content"]:
        said = [event(tool_calls=[{"index": 0, "id": "c1", "function": call}])]
        said += [event(finish="tool_calls")]
    else:
        text = JSON if "city" in last["content"] else HELLO
        pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
        most = body.get("max_tokens", len(pieces))
        said = [event(piece) for piece in pieces[:most]]
        said += [event(finish="length" if most < len(pieces) else "stop")]
    usage = {"prompt_tokens": 9, "completion_tokens": len(said) - 1}
    return {
        "lines": [*said, f"data: {json.dumps({'choices': [], 'usage': usage})}", "data: [DONE]"]
    }


def _said(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def test_it_says_what_it_is(engine: Engine) -> None:
    """Its name, and how much it reads."""
    assert engine.name == "s"
    assert engine.context >= 0
    assert engine.calls_tools


def test_an_answer_ends_before_a_stop(engine: Engine) -> None:
    """Whoever stops it, and the next one is whole again."""
    form = Form(stops=("nobody says this", " on this"))
    found = list(engine.stream(ASKED, sampling=GREEDY, form=form))
    assert _said(found) == HELLO.partition(" on this")[0]
    assert (found[-1].finish, found[-1].usage is not None) == ("stop", True)
    assert _said(list(engine.stream(ASKED, sampling=GREEDY))) == HELLO


def test_an_answer_comes_in_pieces_and_ends_with_its_cost(engine: Engine) -> None:
    """Only the last piece has usage and finish."""
    deltas = list(engine.stream(ASKED, sampling=GREEDY))
    assert _said(deltas) == HELLO
    assert len(deltas) > 3
    *before, last = deltas
    assert all(delta.usage is None and delta.finish is None for delta in before)
    assert last.finish == "stop"
    assert last.usage is not None
    assert last.usage.completion_tokens > 2
    assert last.usage.ttft_ms > 0


def test_an_answer_ends_where_it_is_told(engine: Engine) -> None:
    """And says that there was more."""
    deltas = list(engine.stream(ASKED, sampling=Sampling(temperature=0, max_tokens=2)))
    assert HELLO.startswith(_said(deltas))
    assert 0 < len(_said(deltas)) < len(HELLO)
    assert deltas[-1].finish == "length"


def test_a_call_and_its_result(engine: Engine) -> None:
    """The call comes whole, without text; the result is read on."""
    asked = [Message("user", "look at Seoul")]
    deltas = list(engine.stream(asked, tools=[LOOK], sampling=GREEDY))
    [call] = [delta.tool_call for delta in deltas if delta.tool_call]
    assert (call.name, json.loads(call.arguments)) == ("look", {"place": "서울"})
    assert call.id
    assert (_said(deltas), deltas[-1].finish) == ("", "tool_calls")
    turn = Message("assistant", "", (call,))
    result = Message("tool", "rain", tool_call_id=call.id, name="look")
    after = list(engine.stream([*asked, turn, result], tools=[LOOK], sampling=GREEDY))
    assert (_said(after), after[-1].finish) == ("It rains.", "stop")


def test_an_answer_of_a_schema(engine: Engine) -> None:
    """One value and nothing else; tools are out of question."""
    asked = [Message("user", "a city")]
    deltas = list(engine.stream(asked, tools=[LOOK], sampling=GREEDY, form=Form(schema=CITY)))
    assert json.loads(_said(deltas)) == {"city": "Seoul"}


def test_an_answer_may_be_left(engine: Engine) -> None:
    """In its middle or before it began; the next one is whole."""
    left = engine.stream(ASKED, sampling=GREEDY)
    assert HELLO.startswith(next(left).text)
    left.close()
    engine.stream(ASKED).close()
    assert _said(list(engine.stream(ASKED, sampling=GREEDY))) == HELLO


def test_recalling_a_conversation_changes_no_answer(engine: Engine) -> None:
    """It only saves time."""
    for conversation in ("one", "two", "one"):
        engine.recall(conversation)
        assert _said(list(engine.stream(ASKED, sampling=GREEDY))) == HELLO


def test_tokens_are_counted(engine: Engine) -> None:
    """At most one a byte, more for more."""
    for text in ("word " * 50, "안녕하세요 " * 20):
        assert 0 < engine.count(text) <= len(text.encode()) + 1
        assert engine.count(text * 2) > engine.count(text)


def test_a_real_server_lists_its_models_and_wants_its_key(url: str) -> None:
    """Without the key it refuses."""
    server = Server(url, key=lambda: KEY, timeout_s=20)
    assert [Path(name).name for name in server.models()] == ["s.gguf"]
    assert [server.first] == server.models()
    server.close()
    stranger = Server(url, key=lambda: None, timeout_s=20)
    with pytest.raises(Denied, match="says 401"):
        list(Remote("s", stranger).stream(ASKED))
    stranger.close()
