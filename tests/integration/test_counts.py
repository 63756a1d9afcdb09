"""What a whole home counts: real rooms, scripted models, exact figures."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import chat_server
import gguf_models
import pytest
from chat_server import Scripted, event
from gguf_models import tool_call

from localai.agent.turn import Request
from localai.app import App
from localai.core import counters, metrics
from localai.core.db import Database
from localai.core.errors import Denied, NotFound, Unavailable
from localai.core.metrics import Metric
from localai.infer.engine import Delta, Engine, Message, Usage
from localai.rbac.permissions import Actor

_ASKED = [Message("user", "hi")]
_LONG = "This is an answer of many words that nobody waits for."
_USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
_END = ["data: [DONE]"]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A home and a workspace."""
    (tmp_path / "workspace").mkdir()
    made = App(tmp_path / "home", workspace=tmp_path / "workspace")
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A server that does as it is told."""
    with chat_server.scripted() as made:
        yield made


def _engine(
    app: App, folder: Path, *rules: tuple[str, str], default: str = "All is done."
) -> Engine:
    file = gguf_models.scripted(folder / "model.gguf", rules, default, context=4096)
    app.models.add(app.actor, file)
    return app.ready(app.actor, model=None, role="chat", warn=print)


def _told(usage: str) -> str:
    return f'data: {{"choices": [], "usage": {usage}}}'


def _counts(app: App, metric: Metric) -> dict[tuple[str, ...], int]:
    """What the database says once the home is closed."""
    app.close()
    database = Database(app.directories.database_file)
    found = counters.counted(database, metric)
    database.close()
    return {tuple(labels[name] for name in metric.labels): n for labels, n in found}


def _times(app: App, metric: Metric) -> dict[tuple[str, ...], int]:
    """How many values a histogram was told."""
    app.close()
    database = Database(app.directories.database_file)
    with database.read() as connection:
        rows = counters.read(connection).get(f"{metric.name}_bucket", ())
    database.close()
    found: dict[tuple[str, ...], int] = {}
    for labels, n in rows:
        key = tuple(labels[name] for name in metric.labels)
        found[key] = found.get(key, 0) + n
    return found


def _tokens(*answers: Usage) -> dict[tuple[str, ...], int]:
    kinds = {
        "prompt": sum(each.prompt_tokens - each.cached_tokens for each in answers),
        "cached": sum(each.cached_tokens for each in answers),
        "generated": sum(each.completion_tokens for each in answers),
    }
    return {("model", kind): n for kind, n in kinds.items() if n}


def _usage(deltas: list[Delta]) -> Usage:
    usage = deltas[-1].usage
    assert usage is not None
    return usage


def test_a_turn_with_a_tool_is_counted(app: App, tmp_path: Path) -> None:
    """One operation, one call, two answers, and the tokens that the turn itself reports."""
    rules = [("last.role != 'tool'", tool_call("list_files", path="."))]
    engine = _engine(app, tmp_path, *rules)
    *_, done = app.agent.chat(app.actor, Request("go"), engine, app.gate(app.actor))
    assert done.kind == "done"
    assert _counts(app, metrics.TOKENS) == _tokens(done.usage)
    assert _counts(app, metrics.OPERATIONS) == {("chat", "ok"): 1}
    assert _counts(app, metrics.TOOL_RUNS) == {("list_files", "succeeded"): 1}
    for metric in (metrics.FIRST_TOKEN, metrics.INTER_TOKEN, metrics.CONTEXT_USED):
        assert _times(app, metric) == {("model",): 2}
    assert _times(app, metrics.MODEL_LOAD) == {("model",): 1}
    assert _times(app, metrics.TOOL_DURATION) == {("list_files",): 1}
    assert _times(app, metrics.OPERATION_DURATION) == {("chat",): 1}
    seconds = _counts(app, metrics.ENGINE_SECONDS)
    assert seconds.keys() == {("model", "prefill"), ("model", "decode")}
    assert seconds["model", "prefill"] >= done.usage.ttft_ms * 1000 - 1


def test_an_answer_that_is_closed_midway_counts_what_came(app: App, tmp_path: Path) -> None:
    """As Ctrl-C closes it: the prompt that was read, and no more tokens than were written."""
    engine = _engine(app, tmp_path, default=_LONG)
    whole = _usage(list(engine.stream(_ASKED)))
    app.tally.flush()
    with closing(engine.stream(_ASKED)) as deltas:
        came = "".join(next(deltas).text for _ in range(5))
    assert _LONG.startswith(came)
    found = _counts(app, metrics.TOKENS)
    read = found["model", "prompt"] + found["model", "cached"]
    assert read == 2 * whole.prompt_tokens
    assert 5 <= found["model", "generated"] - whole.completion_tokens < whole.completion_tokens
    assert _times(app, metrics.FIRST_TOKEN) == {("model",): 2}


def test_a_turn_that_no_model_can_take_has_failed(app: App, tmp_path: Path) -> None:
    """A damaged file is ours to answer for; a name that nobody has is not."""
    _engine(app, tmp_path)
    app.engines.close()
    gguf_models.truncated(app.models_dir / "model.gguf", app.models_dir / "model.gguf")
    with pytest.raises(Unavailable):
        app.ready(app.actor, model=None, role="chat", warn=print)
    with pytest.raises(NotFound):
        app.ready(app.actor, model="nobody", role="chat", warn=print)
    assert _counts(app, metrics.OPERATIONS) == {("chat", "failed"): 1}
    assert _times(app, metrics.MODEL_LOAD) == {("model",): 1}


def test_a_turn_that_waits_for_a_person_is_done(app: App, tmp_path: Path) -> None:
    """The call counts when it runs, in the turn that takes it up."""
    rules = [("last.role != 'tool'", tool_call("write_file", path="a.txt", content="x"))]
    engine = _engine(app, tmp_path, *rules)
    gate = app.gate(app.actor)
    *_, left = app.agent.chat(app.actor, Request("go"), engine, gate)
    assert left.kind == "done"
    (waiting,) = left.pending
    app.tally.flush()
    assert counters.counted(app.database, metrics.OPERATIONS)[0][1] == 1
    assert counters.counted(app.database, metrics.TOOL_RUNS) == []
    seen = app.approvals.get(app.actor, waiting).action_sha256
    app.approvals.approve(app.actor, waiting, seen_sha256=seen)
    list(app.agent.chat(app.actor, Request(None, session=left.session), engine, gate))
    assert _counts(app, metrics.TOOL_RUNS) == {("write_file", "succeeded"): 1}
    assert _counts(app, metrics.OPERATIONS) == {("chat", "ok"): 2}


def test_a_turn_that_is_interrupted_was_well(app: App, tmp_path: Path) -> None:
    """And one that was refused before it began is none."""
    engine = _engine(app, tmp_path, default=_LONG)
    gate = app.gate(app.actor)
    with closing(
        app.agent.chat(app.actor, Request("go", with_tools=False), engine, gate)
    ) as events:
        assert next(events).kind == "said"
    with pytest.raises(Denied):
        list(app.agent.chat(Actor("nobody"), Request("go", with_tools=False), engine, gate))
    assert _counts(app, metrics.OPERATIONS) == {("chat", "ok"): 1}
    assert _times(app, metrics.FIRST_TOKEN) == {("model",): 1}


def test_what_is_counted_while_folders_are_followed_is_kept(app: App, tmp_path: Path) -> None:
    """The database is closed between two runs, for hours perhaps."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "kettle.md").write_text("The kettle is descaled with vinegar.")
    with app.watch_documents(
        app.actor, [tmp_path / "notes"], collection="default", exclude=()
    ) as watch:
        watch.start()
        assert not app.database.is_open
        assert counters.counted(app.database, metrics.OPERATIONS) == [
            ({"operation": "rag_index", "result": "ok"}, 1)
        ]


def test_a_servers_answers_are_counted_too(server: Scripted, tmp_path: Path) -> None:
    """By what it says of them, and by what came where it was cut off before it said so."""
    flags = {"engine.url": server.url, "models.chat": "big", "engine.context": "100"}
    app = App(tmp_path / "home", flags=flags)
    whole = [event("one "), event("two", finish="stop"), _told(json.dumps(_USAGE)), *_END]
    server.answers = [{"lines": whole}, {"lines": [event("a"), event("b"), event("c")]}]
    engine = app.ready(app.actor, model=None, role="chat", warn=print)
    assert _usage(list(engine.stream(_ASKED))).prompt_tokens == 9
    with closing(engine.stream(_ASKED)) as deltas:
        next(deltas)
    assert _counts(app, metrics.TOKENS) == {
        ("big", "prompt"): 5,
        ("big", "cached"): 4,
        ("big", "generated"): 3,
    }
    assert _times(app, metrics.CONTEXT_USED) == {("big",): 2}


def test_a_server_that_boasts_breaks_no_count(server: Scripted, tmp_path: Path) -> None:
    """Numbers beyond all sense, and a name that no label can have."""
    name = "m\u202e\x1b[2J" + "x" * 500
    app = App(tmp_path / "home", flags={"engine.url": server.url, "models.chat": name})
    boast = json.dumps({"prompt_tokens": 10**400, "completion_tokens": 10**30})
    lines = [event("a"), event("b"), _told(boast), *_END]
    server.answers = [{"lines": lines}]
    engine = app.ready(app.actor, model=None, role="chat", warn=print)
    list(engine.stream(_ASKED))
    found = _counts(app, metrics.TOKENS)
    assert set(found.values()) == {10_000_000}
    for model, _ in found:
        assert model.startswith("m\\u{202E}\\u{001B}[2Jxx")
        assert (len(model), model.isprintable()) == (metrics.LONGEST_LABEL, True)


def test_documents_and_their_answers_are_counted(app: App, tmp_path: Path) -> None:
    """An index run, a question with an answer, one without, and one that no model answers."""
    (tmp_path / "kettle.md").write_text("The kettle is descaled with vinegar.")
    app.rag.index(app.actor, [tmp_path / "kettle.md"])
    _engine(app, tmp_path, default="With vinegar [1].")

    def ask(*, answer: bool) -> None:
        heard: list[str] = []
        options = {"collection": "default", "k": 1, "show": heard.append, "warn": heard.append}
        app.ask_documents(app.actor, "How is the kettle descaled?", answer=answer, **options)

    ask(answer=True)
    ask(answer=False)
    app.engines.close()
    gguf_models.truncated(app.models_dir / "model.gguf", app.models_dir / "model.gguf")
    with pytest.raises(Unavailable):
        ask(answer=True)
    assert _counts(app, metrics.OPERATIONS) == {
        ("rag_index", "ok"): 1,
        ("rag_query", "ok"): 2,
        ("rag_query", "failed"): 1,
    }
    assert _times(app, metrics.RETRIEVAL_DURATION) == {("embed",): 3, ("search",): 3}
    assert _times(app, metrics.FIRST_TOKEN) == {("model",): 1}
