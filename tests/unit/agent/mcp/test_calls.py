"""What a call of another program comes to."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from approvals_home import Home, TurnableClock

from localai.agent.mcp.calls import MAX_ARGUMENTS, Calls, Told, waits
from localai.agent.runner import Runner
from localai.approvals.records import Approval
from localai.rbac.permissions import Actor

NOTE = json.dumps({"path": "note.txt", "content": "buy milk\n"})


def waiting(came: Told | Approval) -> Approval:
    assert isinstance(came, Approval)
    return came


def refused(came: Told | Approval) -> Mapping[str, Any]:
    assert isinstance(came, Told)
    assert came.is_error
    assert came.data is not None
    return came.data


def test_what_waits_says_what_a_person_types_and_what_the_model_calls(
    calls: Calls, agent: Actor
) -> None:
    """In words and in fields, with the digest that the decision holds for."""
    request = waiting(calls.begin(agent, "write_file", NOTE))
    told = waits(request)
    assert f"ai approve {request.id}" in told.text
    assert f'approval_result with {{"id": "{request.id}"}}' in told.text
    assert told.data is not None
    assert told.data["status"] == "pending"
    assert told.data["action_sha256"] == request.action_sha256
    assert not told.is_error


def test_what_was_approved_runs_when_it_is_taken_up_and_never_again(
    home: Home, calls: Calls, agent: Actor, workspace: Path
) -> None:
    """The result is given once; afterwards only how it ended."""
    request = waiting(calls.begin(agent, "write_file", NOTE))
    assert calls.is_waiting(agent, request)
    assert waiting(calls.take(agent, request.id)).id == request.id
    home.approve(request)
    assert not calls.is_waiting(agent, request)
    assert calls.take(agent, request.id) == Told("wrote 9 bytes to note.txt")
    (workspace / "note.txt").unlink()
    assert calls.take(agent, request.id) == Told("succeeded: wrote 9 bytes to note.txt")
    assert list(workspace.iterdir()) == []


def test_a_request_that_expired_says_so(calls: Calls, agent: Actor, clock: TurnableClock) -> None:
    """Nobody decided in time: that is no rejection."""
    request = waiting(calls.begin(agent, "write_file", NOTE))
    clock.pass_time(301)
    assert refused(calls.take(agent, request.id))["category"] == "expired"


def test_a_rejection_brings_its_reason(home: Home, calls: Calls, agent: Actor) -> None:
    """The model reads why."""
    request = waiting(calls.begin(agent, "write_file", NOTE))
    home.approvals.reject(home.operator, request.id, reason="wrong file")
    told = refused(calls.take(agent, request.id))
    assert (told["category"], "wrong file" in told["message"]) == ("rejected", True)


def test_a_changed_call_runs_as_the_person_changed_it_and_says_so(
    home: Home, calls: Calls, agent: Actor, runner: Runner, workspace: Path
) -> None:
    """The model must not believe that its own arguments ran."""
    request = waiting(calls.begin(agent, "write_file", NOTE))
    changed = json.dumps({"path": "other.txt", "content": "tea"})
    stated = runner.restated(home.operator, request, changed)
    seen = request.action_sha256
    home.approvals.amend(home.operator, request.id, stated, seen_sha256=seen)
    came = calls.take(agent, request.id)
    assert isinstance(came, Told)
    assert came.text.startswith("run with arguments that a person changed:")
    assert [each.name for each in workspace.iterdir()] == ["other.txt"]


def test_another_clients_session_of_the_same_user_may_take_it_up(
    home: Home, calls: Calls, agent: Actor
) -> None:
    """A client that was started anew goes on."""
    request = waiting(calls.begin(agent, "write_file", NOTE))
    home.approve(request)
    assert calls.take(replace(agent, session="mcp-another"), request.id) == Told(
        "wrote 9 bytes to note.txt"
    )


@pytest.mark.parametrize(
    "asked_by", ["another user", "a chat of the user", "the user at a terminal"]
)
def test_a_request_of_anybody_else_is_unknown(
    home: Home, calls: Calls, agent: Actor, runner: Runner, asked_by: str
) -> None:
    """Not refused, which would tell that it is there; and nothing runs."""
    actor = {
        "another user": home.add_user("uli", "user").agent("mcp-theirs"),
        "a chat of the user": replace(agent, session="0123456789abcdef"),
        "the user at a terminal": home.operator,
    }[asked_by]
    request = waiting(calls.begin(actor, "write_file", NOTE))
    home.approve(request)
    assert refused(calls.take(agent, request.id)) == refused(calls.take(agent, "f" * 16)) | {
        "message": f"no request {request.id!r} of yours"
    }
    assert home.approvals.get(home.operator, request.id).status == "approved"


@pytest.mark.parametrize(
    "prefix", ["", "%", "____", "0123", "0123456789ABCDEF", "\x1b[2J", "x" * 99]
)
def test_only_a_whole_id_names_a_request(calls: Calls, agent: Actor, prefix: str) -> None:
    """A prefix could name another's request, and list the candidates."""
    assert refused(calls.take(agent, prefix))["category"] == "not_found"


def test_an_agent_that_may_run_no_tool_is_denied(home: Home, calls: Calls) -> None:
    """And the refusal is audited as every other."""
    viewer = home.add_user("vera", "viewer").agent("mcp-hers")
    assert refused(calls.begin(viewer, "list_files", "{}"))["category"] == "denied"
    assert home.events("tools:run") == ["permission.denied"]


def test_huge_arguments_are_refused_before_they_are_read(calls: Calls, agent: Actor) -> None:
    """With the limit in the hint."""
    told = refused(calls.begin(agent, "write_file", "x" * (MAX_ARGUMENTS + 1)))
    assert (told["category"], str(MAX_ARGUMENTS) in told["hint"]) == ("invalid", True)


def test_a_bug_in_a_tool_is_told_and_logged(
    calls: Calls, agent: Actor, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets an answer; the connection goes on."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(runner, "run", broken)
    told = refused(calls.begin(agent, "list_files", "{}"))
    assert (told["category"], "oops" in told["message"]) == ("internal", True)
