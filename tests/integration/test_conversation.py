"""A turn of a conversation, with the real engine on scripted models and the real runner."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf_models
import pytest
from gguf_models import tool_call

from localai.agent.events import Called, ChatResult, Dropped, Event
from localai.agent.loop import MAX_STEPS
from localai.app import App

Turn = Callable[..., list[Event]]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A home and a workspace."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    app = App(tmp_path / "home", workspace=workspace)
    yield app
    app.close()


@pytest.fixture
def turn(app: App, tmp_path: Path) -> Turn:
    """Says one thing to a model that follows the rules; gives the events."""

    def say(text: str | None, rules: list[tuple[str, Any]], **options: Any) -> list[Event]:
        file = gguf_models.scripted(tmp_path / "model.gguf", rules, "Nothing.", context=4096)
        app.models.add(app.actor, file)
        engine = app.engines.get(app.actor, model=None, role="chat", warn=print)
        settings = {"system": None, "with_tools": None, "temperature": 0.0}
        asked = {"session": None, "route": "chat", "max_tokens": None, "seed": None}
        request = app.request(text, **(asked | settings | options))
        return list(app.agent.chat(app.actor, request, engine, app.gate(app.actor)))

    return say


def result(events: list[Event]) -> ChatResult:
    """The end of a turn."""
    last = events[-1]
    assert isinstance(last, ChatResult)
    return last


def test_a_model_that_never_stops_calling_is_stopped(app: App, turn: Turn) -> None:
    """A turn has a limit, and every call up to it was answered."""
    events = turn("go", [("true", tool_call("list_files", path="."))])
    calls = [event for event in events if isinstance(event, Called)]
    assert len(calls) == MAX_STEPS
    assert all(call.ok for call in calls)


def test_several_calls_of_one_answer_are_each_answered(app: App, turn: Turn) -> None:
    """One that is refused, one that is mistaken and one that runs."""
    calls = (
        tool_call("list_files", path=".")
        + tool_call("list_file", path=".")
        + tool_call("read_file", path="../secret")
        + "<tool_call>not json</tool_call>"
    )
    rules = [("last.role == 'tool'", "Done."), ("'go' in last.content", calls)]
    events = turn("go", rules)
    answers = [event.text for event in events if isinstance(event, Called)]
    assert [answer.partition(":")[0] for answer in answers][1] == "not_found"
    assert len(answers) == 4
    assert result(events).text == "Done."


def test_a_request_that_waits_ends_the_turn_and_the_next_takes_it_up(app: App, turn: Turn) -> None:
    """Approved in between, it runs exactly once, and the model reads the result."""
    rules = [
        ("last.role == 'tool' and 'wrote' in last.content", "Noted."),
        ("'note' in last.content", tool_call("write_file", path="n.txt", content="x")),
    ]
    first = result(turn("make a note", rules))
    (waiting,) = first.pending
    again = result(turn(None, rules, session=first.session))
    assert again.pending == first.pending
    seen = app.approvals.get(app.actor, waiting)
    app.approvals.approve(app.actor, waiting, seen_sha256=seen.action_sha256)
    last = result(turn(None, rules, session=first.session))
    assert (last.text, last.pending) == ("Noted.", ())
    assert (app.workspace / "n.txt").read_text() == "x"
    assert app.approvals.get(app.actor, waiting).status == "succeeded"


def test_an_expired_request_is_told_to_the_model_as_expired(app: App, turn: Turn) -> None:
    """Silence is neither a yes nor a no."""
    rules = [
        ("last.role == 'tool' and 'expired' in last.content", "Nobody answered."),
        ("'note' in last.content", tool_call("write_file", path="n.txt", content="x")),
    ]
    app.__dict__["approvals"] = type(app.approvals)(
        app.database, app.audit, app.rbac, app.clock, timeout_s=0, grant_s=60
    )
    first = result(turn("make a note", rules))
    assert first.text == "Nobody answered."
    assert not (app.workspace / "n.txt").exists()


def test_without_tools_the_model_is_told_of_none(app: App, turn: Turn) -> None:
    """`--no-tools` holds also for a model that knows tools."""
    rules = [("tools", "I have tools."), ("true", "I have none.")]
    assert result(turn("tools?", rules)).text == "I have tools."
    assert result(turn("tools?", rules, with_tools=False)).text == "I have none."


def test_closing_a_turn_midway_keeps_what_was_said(app: App, tmp_path: Path) -> None:
    """And the engine answers the next one."""
    file = gguf_models.scripted(tmp_path / "m.gguf", [], gguf_models.Loop("again and "))
    app.models.add(app.actor, file)
    engine = app.engines.get(app.actor, model=None, role="chat", warn=print)
    request = app.request(
        "go",
        session=None,
        route="chat",
        system=None,
        with_tools=None,
        temperature=0.0,
        max_tokens=None,
        seed=None,
    )
    events = app.agent.chat(app.actor, request, engine, app.gate(app.actor))
    heard = [next(events) for _ in range(5)]
    events.close()
    (session,) = app.history.list(app.actor).items
    kept = app.history.read(app.actor, session.id).turns[-1]
    assert kept.is_interrupted
    assert kept.content == "".join(getattr(event, "text", "") for event in heard)
    more = app.agent.chat(app.actor, request, engine, app.gate(app.actor))
    assert next(more).kind == "said"
    more.close()


def test_a_long_conversation_stays_inside_the_context(app: App, turn: Turn, tmp_path: Path) -> None:
    """The oldest questions go, it is said, and what is left was mostly read before."""
    rules = [
        ("'EARLIER' in messages[0].content | upper and 'code word' in last.content", "Forgotten."),
        ("'code word' in last.content", "Known."),
    ]
    session: str | None = None
    dropped: list[int] = []
    cached: list[float] = []
    for n in range(24):
        text = f"{'code word' if n in (0, 23) else 'question'} {n} " + "many words " * 30
        events = turn(text, rules, session=session, with_tools=False)
        done = result(events)
        session = done.session
        dropped += [event.messages for event in events if isinstance(event, Dropped)][:1] or [0]
        cached.append(done.usage.cached_tokens / done.usage.prompt_tokens)
        assert done.usage.prompt_tokens < 4096 * 3 // 4 + 100
    assert done.text == "Forgotten."
    assert dropped == sorted(dropped)
    cuts = len(set(dropped)) - 1
    assert 2 <= cuts <= 4
    assert all(first % 2 == 0 for first in dropped)
    assert len(app.history.read(app.actor, session).turns) == 48
    assert sum(share < 0.7 for share in cached[3:]) == cuts
