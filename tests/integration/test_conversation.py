"""A turn of a conversation, with the real engine on scripted models and the real runner."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf_models
import pytest
from gguf_models import tool_call

from localai.agent.events import Called, Calling, ChatResult, Dropped, Event, Stopped
from localai.agent.turn import Request
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


def test_a_model_that_never_stops_calling_must_answer_at_last(app: App, turn: Turn) -> None:
    """After its last step it is told no tools, and answers; every call up to it was answered."""
    app._flags["agent.steps"] = "3"
    app._read_settings()
    last = "'no more tools' in (messages[0].content)"
    events = turn("go", [(last, "That is all."), ("true", tool_call("list_files", path="."))])
    calls = [event for event in events if isinstance(event, Called)]
    assert len(calls) == 3
    assert [event.why for event in events if isinstance(event, Stopped)] == [
        "tools were called in 3 steps, which are all that it has"
    ]
    assert result(events).text == "That is all."


def test_tokens_are_bounded_as_steps_are(app: App, turn: Turn) -> None:
    """A turn that reads and writes too much is brought to its answer."""
    app._flags["agent.tokens"] = "1"
    app._read_settings()
    events = turn("go", [("true", tool_call("list_files", path="."))])
    (stopped,) = [event for event in events if isinstance(event, Stopped)]
    assert stopped.why.endswith("tokens were computed; 1 are all that it has")
    assert len([event for event in events if isinstance(event, Called)]) == 1


def test_the_same_call_over_and_over_is_not_run(app: App, turn: Turn) -> None:
    """The third one is answered with why; a model that reads it can do something else."""
    done = ("'2 times' in last.content", "I stop.")
    events = turn("go", [done, ("true", tool_call("list_files", path="."))])
    calls = [event for event in events if isinstance(event, Called)]
    assert [call.ok for call in calls] == [True, True, False]
    assert "was called 2 times with the same arguments" in calls[-1].text
    assert result(events).text == "I stop."


def test_a_call_is_announced_before_it_runs(turn: Turn) -> None:
    """Whoever waits sees for what."""
    events = turn("go", [("last.role == 'tool'", "Done."), ("true", tool_call("list_files"))])
    kinds = [event.kind for event in events if isinstance(event, Calling | Called)]
    assert kinds == ["calling", "called"]


def test_a_badly_written_call_is_mended_and_kept_as_it_was_run(app: App, turn: Turn) -> None:
    """Single quotes, another spelling of the name, a comma too much."""
    bad = "<tool_call>{'name': 'List-Files', 'arguments': {'PATH': '.',}}</tool_call>"
    events = turn("go", [("last.role == 'tool'", "Done."), ("true", bad)])
    (called,) = [event for event in events if isinstance(event, Called)]
    assert (called.name, called.arguments, called.ok) == ("list_files", '{"path":"."}', True)
    session = app.history.read(app.actor, result(events).session)
    assert session.turns[1].tool_calls[0].arguments == '{"path":"."}'


def test_a_long_result_is_clipped_to_what_the_model_can_read(app: App, turn: Turn) -> None:
    """Visibly, at its middle; the conversation still fits, and so does the answer."""
    (app.workspace / "long.txt").write_text("".join(f"line {n}\n" for n in range(5000)))
    rules = [("last.role == 'tool'", "Read."), ("true", tool_call("read_file", path="long.txt"))]
    events = turn("go", rules)
    (called,) = [event for event in events if isinstance(event, Called)]
    assert "characters]" in called.text
    assert called.text.startswith("line 0\n")
    assert result(events).text == "Read."


def test_a_long_result_that_was_waited_for_is_clipped_as_well(app: App, turn: Turn) -> None:
    """The conversation goes on instead of being too long for good."""
    (app.workspace / ".env").write_text("KEY=value\n" * 5000)
    rules = [("last.role == 'tool'", "Read."), ("true", tool_call("read_file", path=".env"))]
    first = result(turn("go", rules))
    (waiting,) = first.pending
    seen = app.approvals.get(app.actor, waiting)
    app.approvals.approve(app.actor, waiting, seen_sha256=seen.action_sha256)
    events = turn(None, rules, session=first.session)
    (called,) = [event for event in events if isinstance(event, Called)]
    assert "characters]" in called.text
    assert result(events).text == "Read."


def test_a_turn_that_fills_its_context_is_brought_to_its_answer(app: App, turn: Turn) -> None:
    """Calls and results of one question are never left out, so there must be an end to them."""
    app._flags["agent.steps"] = "1000"
    app._read_settings()
    for n in range(40):
        (app.workspace / f"{n}.txt").write_text(f"line of {n}\n" * 50)
    step = "(messages | selectattr('role', 'equalto', 'tool') | list | length)"
    rules = [("'no more tools' in messages[0].content", "That is all.")]
    rules += [(f"{step} == {n}", tool_call("read_file", path=f"{n}.txt")) for n in range(40)]
    events = turn("go", rules)
    assert [event.why for event in events if isinstance(event, Stopped)] == [
        "what it has read and written fills its context"
    ]
    assert result(events).text == "That is all."


def test_what_an_interrupt_left_undone_is_told_after_what_was_done(app: App, turn: Turn) -> None:
    """In the order of the calls: templates without ids go by it."""
    both = tool_call("list_files", path=".") + tool_call("read_file", path="a.txt")
    done, undone = "'a.txt' in messages[-3].content", "'interrupted' in messages[-2].content"
    rules = [("last.content == 'go'", both), (f"{done} and {undone}", "I see.")]
    (app.workspace / "a.txt").write_text("x")
    file = gguf_models.scripted(
        app.workspace.parent / "model.gguf", rules, "Nothing.", context=4096
    )
    app.models.add(app.actor, file)
    engine = app.engines.get(app.actor, model=None, role="chat", warn=print)
    events = app.agent.chat(app.actor, Request("go"), engine, app.gate(app.actor))
    next(event for event in events if isinstance(event, Called))
    events.close()
    (session,) = app.history.list(app.actor).items
    assert result(turn("on", rules, session=session.id)).text == "I see."


@pytest.mark.parametrize(
    ("leave", "waits", "text"),
    [
        ({"autonomy": "read-only"}, False, "may only read"),
        ({}, True, ""),
        ({"autonomy": "trusting"}, False, "wrote 1 bytes"),
        ({"yolo": True}, False, "wrote 1 bytes"),
    ],
)
def test_leave_says_how_far_a_model_goes_unasked(
    app: App, turn: Turn, leave: dict[str, Any], waits: bool, text: str
) -> None:
    """A file is written unasked only where somebody said so beforehand."""
    write = tool_call("write_file", path="a.txt", content="x")
    # A conversation that may only read is not told of the tool; a model may call it all the same.
    asked = {"with_tools": True, **leave}
    events = turn("go", [("last.role == 'tool'", "Done."), ("true", write)], **asked)
    (called,) = [event for event in events if isinstance(event, Called)]
    assert (called.pending is not None) == waits
    assert text in called.text
    assert (app.workspace / "a.txt").exists() == called.ok


def test_what_is_critical_is_asked_for_whatever_was_said(app: App, turn: Turn) -> None:
    """A file that a shell obeys is on the floor that --yolo stands on."""
    write = tool_call("write_file", path=".envrc", content="x")
    events = turn("go", [("true", write)], yolo=True, autonomy="trusting")
    assert len(result(events).pending) == 1
    assert not (app.workspace / ".envrc").exists()


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
        with_tools=False,
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
