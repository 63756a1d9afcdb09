"""The one path on which any tool runs."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from approvals_home import Home, TurnableClock
from measured import Kept

from localai.agent.builtin import registry
from localai.agent.runner import Rules, Runner
from localai.agent.sandbox.tiers import Sandbox
from localai.agent.tools import ByItself, Context, Registry, Tool, ToolResult
from localai.approvals.gate import Ask, Gate, Wait
from localai.approvals.records import Approval, Reply, Waiting
from localai.core.counters import counted
from localai.core.errors import (
    Conflict,
    Denied,
    Expired,
    Invalid,
    LocalaiError,
    NotFound,
    Rejected,
    Unavailable,
)
from localai.core.metrics import TOOL_DURATION, TOOL_RUNS
from localai.rbac.permissions import Actor, Risk

_WRITE = json.dumps({"path": "a.txt", "content": "new\n"})


class Unasked:
    """A gate that fails the test when somebody comes to it."""

    def decide(self, approval: Approval) -> Approval:
        raise AssertionError(f"nobody should be asked about {approval.tool_name}")


@pytest.fixture
def yes(home: Home) -> Gate:
    return Ask(home.approvals, home.operator, lambda _: Reply(is_yes=True))


@pytest.fixture
def no(home: Home) -> Gate:
    return Ask(home.approvals, home.operator, lambda _: Reply(is_yes=False, reason="not today"))


@pytest.fixture
def nobody(home: Home) -> Gate:
    return Wait(home.approvals, home.operator, 0)


def _meanwhile(home: Home, change: Callable[[], object]) -> Gate:
    """A person says yes, and then the world changes."""

    class Changing:
        def decide(self, approval: Approval) -> Approval:
            approved = home.approve(approval)
            change()
            return approved

    return Changing()


def test_low_risk_runs_without_a_question(home: Home, runner: Runner, workspace: Path) -> None:
    """And is audited with its digest and outcome."""
    (workspace / "a.txt").write_text("hello")
    outcome = runner.run(home.operator, "read_file", '{"path": "a.txt"}', Unasked())
    assert (outcome.result.text, outcome.approval) == ("hello", None)
    entry = home.audit.page(limit=1).items[0]
    assert (entry.event, entry.subject) == ("tool.ran", "read_file")
    assert entry.details["outcome"] == "read 5 of 5 bytes"
    assert len(entry.details["action_sha256"]) == 64


def test_high_risk_runs_after_a_yes(home: Home, runner: Runner, workspace: Path, yes: Gate) -> None:
    """Once, exactly as approved, and the record tells how it ended."""
    outcome = runner.run(home.operator, "write_file", _WRITE, yes, reason="a note")
    assert (workspace / "a.txt").read_text() == "new\n"
    assert outcome.approval is not None
    assert outcome.approval.status == "succeeded"
    assert outcome.approval.outcome == "wrote 4 bytes to a.txt"
    assert outcome.approval.reason == "a note"


def test_a_no_is_raised_and_nothing_runs(
    home: Home, runner: Runner, workspace: Path, no: Gate
) -> None:
    """With the reason, for a person or a model to read."""
    with pytest.raises(Rejected, match="kim rejected write_file: not today"):
        runner.run(home.operator, "write_file", _WRITE, no)
    assert list(workspace.iterdir()) == []


def test_a_failing_tool_is_failed(home: Home, runner: Runner, yes: Gate) -> None:
    """A program's exit code is the outcome."""
    arguments = json.dumps({"argv": [sys.executable, "-c", "raise SystemExit(3)"]})
    outcome = runner.run(home.operator, "run_command", arguments, yes)
    assert outcome.approval is not None
    assert (outcome.approval.status, outcome.approval.outcome) == ("failed", "exit code 3")


def test_run_command_says_that_it_is_unconfined(home: Home, runner: Runner, nobody: Gate) -> None:
    """In the record and in what a person is shown."""
    with pytest.raises(Waiting) as caught:
        runner.run(home.operator, "run_command", '{"argv": ["ls"]}', nobody)
    unconfined = "none: runs unconfined with your own rights"
    assert caught.value.approval.sandbox == unconfined
    assert f"sandbox    {unconfined}" in caught.value.approval.shown


def test_nobody_there_leaves_the_request_to_be_resumed(
    home: Home, runner: Runner, workspace: Path, nobody: Gate
) -> None:
    """Pending names the request; once approved, it is claimed and run, once."""
    with pytest.raises(Waiting) as caught:
        runner.run(home.operator.agent("s1"), "write_file", _WRITE, nobody)
    waiting = caught.value.approval
    assert (waiting.requester_kind, waiting.session) == ("agent", "s1")
    with pytest.raises(Waiting):
        runner.resume(home.operator, waiting.id)
    home.approve(waiting)
    assert runner.resume(home.operator, waiting.id[:6]).result.ok
    assert (workspace / "a.txt").read_text() == "new\n"
    with pytest.raises(Conflict, match="it has run"):
        runner.resume(home.operator, waiting.id)


def test_resuming_runs_in_the_workspace_that_was_approved(
    home: Home, runner: Runner, workspace: Path, tmp_path: Path, nobody: Gate
) -> None:
    """Wherever the person who resumes it stands."""
    with pytest.raises(Waiting) as caught:
        runner.run(home.operator, "write_file", _WRITE, nobody)
    home.approve(caught.value.approval)
    runner.workspace = tmp_path
    runner.resume(home.operator, caught.value.approval_id)
    assert (workspace / "a.txt").exists()


def test_a_session_given_is_kept(home: Home, runner: Runner, nobody: Gate) -> None:
    """The conversation that a call belongs to."""
    with pytest.raises(Waiting) as caught:
        runner.run(home.operator, "write_file", _WRITE, nobody, session="s2")
    assert caught.value.approval.session == "s2"


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("write_fil", "{}", NotFound),
        ("write_file", "{", Invalid),
        ("write_file", "[]", Invalid),
        ("write_file", '{"path": "a", "path": "b", "content": ""}', Invalid),
        ("write_file", '{"path": "a", "content": NaN}', Invalid),
        ("write_file", '{"path": "a"}', Invalid),
        ("write_file", '{"path": "a", "content": "", "mode": 1}', Invalid),
        ("write_file", '{"path": "\\ud800", "content": ""}', Invalid),
        ("write_file", '{"path": "../a", "content": ""}', Denied),
        ("read_file", '{"path": "/etc/passwd"}', Denied),
        ("run_command", '{"argv": "ls -l"}', Invalid),
    ],
)
def test_bad_calls_end_before_anybody_is_asked(
    home: Home, runner: Runner, name: str, arguments: str, error: type[LocalaiError]
) -> None:
    """No request, no effect, an error that says what is expected."""
    with pytest.raises(error):
        runner.run(home.operator, name, arguments, Unasked())
    assert home.approvals.list(home.operator).total == 0


def test_our_own_files_are_out_of_reach(home: Home, workspace: Path) -> None:
    """Even where the home lies in the workspace."""
    runner = Runner(
        registry(Sandbox(enabled=False)),
        home.approvals,
        home.rbac.require,
        Rules(),
        workspace=home.directories.config.parent,
        protected=home.directories.all,
    )
    for path in ("home/data/localai.db", "home/keys/secrets.key", "home"):
        with pytest.raises(Denied, match="belongs to localai"):
            runner.run(home.operator, "read_file", json.dumps({"path": path}), Unasked())


@pytest.mark.parametrize(
    ("role", "tool", "arguments"),
    [
        ("viewer", "read_file", '{"path": "a"}'),
        ("user", "run_command", '{"argv": ["ls"]}'),
    ],
)
def test_tools_need_their_permission(
    home: Home, runner: Runner, role: str, tool: str, arguments: str
) -> None:
    """A role that may not run tools, and one that may not run programs."""
    lee = home.add_user("lee", role)
    with pytest.raises(Denied, match="lacks the permission"):
        runner.run(lee, tool, arguments, Unasked())


def test_every_method_asks_for_a_permission(home: Home, runner: Runner, nobody: Gate) -> None:
    """A stranger cannot even list the tools."""
    stranger = Actor("stranger")
    calls: list[Callable[[], Any]] = [
        lambda: runner.tools(stranger),
        lambda: runner.tool(stranger, "read_file"),
        lambda: runner.specs(stranger),
        lambda: runner.run(stranger, "read_file", "{}", nobody),
        lambda: runner.resume(stranger, "abcd"),
        lambda: runner.settle(stranger, "abcd", nobody),
    ]
    for call in calls:
        with pytest.raises(Denied):
            call()


def _with_rules(runner: Runner, **rules: Any) -> Runner:
    runner._rules = dataclasses.replace(runner._rules, **rules)
    return runner


def test_strict_mode_refuses_what_is_unconfined(home: Home, runner: Runner) -> None:
    """The refusal is audited, and says which setting refuses."""
    with pytest.raises(Denied, match="strict mode runs nothing without a sandbox") as caught:
        _with_rules(runner, mode="strict").run(
            home.operator, "run_command", '{"argv": ["ls"]}', Unasked()
        )
    assert caught.value.hint == "ai policy show strict.confined"
    entry = home.audit.page(limit=1).items[0]
    assert (entry.event, entry.details["rule"]) == ("tool.denied", "strict.confined")


def test_switched_off_approvals_let_it_run_and_the_audit_says_so(
    home: Home, runner: Runner, workspace: Path
) -> None:
    """Written down before it runs, because it may do harm, and again after."""
    _with_rules(runner, enabled=False).run(home.operator, "write_file", _WRITE, Unasked())
    assert (workspace / "a.txt").read_text() == "new\n"
    assert home.events("write_file") == ["tool.started", "tool.ran"]
    assert home.audit.page(limit=1).items[0].details["rule"] == "approvals.enabled=false"


def test_nothing_risky_runs_unaudited(
    home: Home, runner: Runner, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the audit cannot be written, the file is not."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(home.audit, "record", full)
    with pytest.raises(Unavailable):
        _with_rules(runner, enabled=False).run(home.operator, "write_file", _WRITE, Unasked())
    assert list(workspace.iterdir()) == []


def test_a_file_edited_between_yes_and_claim_is_not_written(
    home: Home, runner: Runner, workspace: Path
) -> None:
    """The person saw another file."""
    file = workspace / "a.txt"
    file.write_text("seen")
    gate = _meanwhile(home, lambda: file.write_text("edited"))
    with pytest.raises(Conflict, match=r"a\.txt is different now"):
        runner.run(home.operator, "write_file", _WRITE, gate)
    assert file.read_text() == "edited"
    assert home.approvals.list(home.operator, status="revoked").total == 1


def test_a_folder_swapped_for_a_link_is_not_written_through(
    home: Home, runner: Runner, workspace: Path
) -> None:
    """Neither outside nor elsewhere inside."""
    for name in ("a", "b"):
        (workspace / name).mkdir()

    def swap() -> None:
        (workspace / "a").rename(workspace / "c")
        (workspace / "a").symlink_to("b")

    arguments = '{"path": "a/x.txt", "content": "new"}'
    with pytest.raises(Conflict, match="different now"):
        runner.run(home.operator, "write_file", arguments, _meanwhile(home, swap))
    assert list((workspace / "b").iterdir()) == list((workspace / "c").iterdir()) == []


def test_a_folder_swapped_for_a_link_out_is_denied(
    home: Home, runner: Runner, workspace: Path, tmp_path: Path
) -> None:
    """What was approved inside never lands outside."""
    (workspace / "a").mkdir()
    (tmp_path / "outside").mkdir()

    def swap() -> None:
        (workspace / "a").rmdir()
        (workspace / "a").symlink_to(tmp_path / "outside")

    arguments = '{"path": "a/x.txt", "content": "new"}'
    with pytest.raises(Denied, match="leads outside"):
        runner.run(home.operator, "write_file", arguments, _meanwhile(home, swap))
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("where", ["early", "late"])
def test_a_program_swapped_between_yes_and_claim_is_not_run(
    home: Home, runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Neither a shim earlier on PATH nor another file at the same path."""
    marker = tmp_path / "ran"

    def place(folder: str, content: str) -> None:
        (tmp_path / folder).mkdir(exist_ok=True)
        program = tmp_path / folder / "greet"
        program.write_text(f"#!/bin/sh\n{content}\n")
        program.chmod(0o755)

    place("late", "echo hello")
    monkeypatch.setenv("PATH", f"{tmp_path}/early:{tmp_path}/late:{os.environ['PATH']}")
    gate = _meanwhile(home, lambda: place(where, f"touch {marker}"))
    with pytest.raises(Conflict, match="the program"):
        runner.run(home.operator, "run_command", '{"argv": ["greet"]}', gate)
    assert not marker.exists()


def test_another_environment_is_not_what_was_approved(
    home: Home, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH and locale decide what a program does."""
    gate = _meanwhile(home, lambda: monkeypatch.setenv("LANG", "xx_XX"))
    with pytest.raises(Conflict, match="the environment"):
        runner.run(home.operator, "run_command", '{"argv": ["ls"]}', gate)


def test_a_tool_that_takes_other_arguments_now_is_not_run(
    home: Home, runner: Runner, nobody: Gate
) -> None:
    """A new release may describe a tool otherwise; the yes was to the old one."""
    with pytest.raises(Waiting) as caught:
        runner.run(home.operator, "write_file", _WRITE, nobody)
    home.approve(caught.value.approval)
    old = runner._registry.get("write_file")

    def write_file(context: Context, path: str, content: str) -> ToolResult:
        """Write differently."""
        raise AssertionError((context, path, content))

    runner._registry = Registry([dataclasses.replace(old, function=write_file)])
    with pytest.raises(Conflict, match="takes other arguments"):
        runner.resume(home.operator, caught.value.approval_id)


def _failing(error: BaseException) -> Tool:
    def fail(context: Context) -> ToolResult:
        """Fail."""
        raise error

    return Tool("fail", fail, "files:write", Risk.HIGH, ByItself("none"))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (Conflict("it moved"), "it moved"),
        (ValueError("a bug"), "ValueError('a bug')"),
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_a_tool_that_breaks_is_written_down_and_the_error_goes_on(
    home: Home, runner: Runner, yes: Gate, error: BaseException, outcome: str, enabled: bool
) -> None:
    """Interrupts, refusals and bugs: the record is failed, and nothing is swallowed."""
    runner._registry = Registry([_failing(error)])
    with pytest.raises(type(error)):
        _with_rules(runner, enabled=enabled).run(home.operator, "fail", "{}", yes)
    assert home.audit.page(limit=1).items[0].details["outcome"] == outcome
    assert [item.outcome for item in home.approvals.list(home.operator, status="failed").items] == (
        [outcome] * enabled
    )


def _waiting(home: Home, runner: Runner) -> Approval:
    with pytest.raises(Waiting) as caught:
        runner.run(home.operator, "write_file", _WRITE, Wait(home.approvals, home.operator, 0))
    return caught.value.approval


def test_settle_asks_about_what_still_waits(
    home: Home, runner: Runner, workspace: Path, yes: Gate
) -> None:
    """A conversation goes on where it was left."""
    waiting = _waiting(home, runner)
    assert runner.settle(home.operator, waiting.id, yes).result.ok
    assert (workspace / "a.txt").exists()


def test_settle_runs_what_was_approved_meanwhile(home: Home, runner: Runner) -> None:
    """Nobody is asked twice."""
    waiting = home.approve(_waiting(home, runner))
    assert runner.settle(home.operator, waiting.id, Unasked()).result.ok


def test_settle_tells_what_ran_elsewhere(home: Home, runner: Runner) -> None:
    """It is not run again; its outcome is the answer."""
    waiting = home.approve(_waiting(home, runner))
    runner.resume(home.operator, waiting.id)
    result = runner.settle(home.operator, waiting.id, Unasked()).result
    assert (result.ok, result.text) == (True, "succeeded: wrote 4 bytes to a.txt")


def test_settle_tells_a_no(home: Home, runner: Runner) -> None:
    """The person's reason is the answer."""
    waiting = _waiting(home, runner)
    home.approvals.reject(home.operator, waiting.id, reason="not today")
    with pytest.raises(Rejected, match="not today"):
        runner.settle(home.operator, waiting.id, Unasked())


def test_settle_tells_what_expired(home: Home, runner: Runner, clock: TurnableClock) -> None:
    """Nobody answered in time."""
    waiting = _waiting(home, runner)
    clock.pass_time(301)
    with pytest.raises(Expired):
        runner.settle(home.operator, waiting.id, Unasked())


def test_settle_never_runs_again_what_died(
    home: Home, runner: Runner, clock: TurnableClock, workspace: Path
) -> None:
    """Unknown is an answer too."""
    waiting = home.approve(_waiting(home, runner))
    action = home.approvals.action(home.operator, waiting.id)
    home.approvals.claim(home.operator, waiting.id, action)
    clock.boot = "next-boot"
    home.approvals.sweep()
    result = runner.settle(home.operator, waiting.id, Unasked()).result
    assert (result.ok, result.text) == (False, "unknown: the process died while it ran")
    assert list(workspace.iterdir()) == []


def test_tools_are_listed_with_what_they_need(home: Home, runner: Runner) -> None:
    """Names, risks and permissions, one by one as well."""
    page = runner.tools(home.operator)
    assert page.total == len(page.items) == len(registry().all())
    found = runner.tool(home.operator, "write_file")
    assert found in page.items
    assert (found.risk, found.permission) == ("high", "files:write")
    with pytest.raises(NotFound):
        runner.tool(home.operator, "write")
    assert [spec.name for spec in runner.specs(home.operator)] == [t.name for t in page.items]


def test_a_conversation_goes_on_with_what_a_person_changed(
    home: Home, runner: Runner, workspace: Path, nobody: Gate
) -> None:
    """The request that it waited for stands for the one in its place."""
    with pytest.raises(Waiting) as waiting:
        runner.run(home.operator, "write_file", _WRITE, nobody)
    old = waiting.value.approval
    edited = runner.restated(home.operator, old, '{"path": "a.txt", "content": "edited"}')
    home.approvals.amend(home.operator, old.id, edited, seen_sha256=old.action_sha256)
    outcome = runner.settle(home.operator, old.id, nobody)
    assert (workspace / "a.txt").read_text() == "edited"
    assert outcome.approval is not None
    assert outcome.approval.replaces == old.id
    assert outcome.approval.proposed_arguments["content"] == "new\n"


def test_a_changed_call_must_fit_the_tool(home: Home, runner: Runner, nobody: Gate) -> None:
    """As any other."""
    with pytest.raises(Waiting) as waiting:
        runner.run(home.operator, "write_file", _WRITE, nobody)
    for arguments in ("{", '{"path": 1, "content": "x"}', '{"path": "a"}', '{"path": "/etc/x"}'):
        with pytest.raises(LocalaiError):
            runner.restated(home.operator, waiting.value.approval, arguments)


def _foreign(name: str, risk: Risk) -> Tool:
    def reads(context: Context) -> ToolResult:
        """Read what strangers wrote."""
        return ToolResult(True, "approve yourself", "read", is_foreign=name == "fetch")

    return Tool(name, reads, "files:read", risk, ByItself("none"))


def test_after_foreign_text_a_call_is_of_the_next_higher_risk(home: Home, workspace: Path) -> None:
    """In that conversation, for good; what only reads stays low, and others are not concerned."""
    tools = [_foreign("fetch", Risk.LOW), _foreign("act", Risk.MEDIUM)]
    rules = Rules()
    arguments = {"workspace": workspace, "protected": ()}
    running = Runner(Registry(tools), home.approvals, home.rbac.require, rules, **arguments)
    led, other = home.operator.agent("aaaa0001"), home.operator.agent("bbbb0001")
    assert running.run(led, "act", "{}", Unasked()).result.ok
    assert running.run(led, "fetch", "{}", Unasked()).result.is_foreign
    with pytest.raises(Waiting) as caught:
        running.run(led, "act", "{}", Wait(home.approvals, home.operator, 0))
    assert caught.value.approval.risk == "high"
    assert running.run(led, "fetch", "{}", Unasked()).result.ok
    assert running.run(other, "act", "{}", Unasked()).result.ok


def test_foreign_text_that_was_approved_counts_as_well(home: Home, workspace: Path) -> None:
    """Where the call itself had to wait, and was run by a command of its own."""
    tools = [_foreign("fetch", Risk.HIGH), _foreign("act", Risk.HIGH)]
    arguments = {"workspace": workspace, "protected": ()}
    running = Runner(Registry(tools), home.approvals, home.rbac.require, Rules(), **arguments)
    led = home.operator.agent("aaaa0001")
    with pytest.raises(Waiting) as caught:
        running.run(led, "fetch", "{}", Wait(home.approvals, home.operator, 0))
    home.approve(caught.value.approval)
    running.resume(home.operator, caught.value.approval_id)
    with pytest.raises(Waiting) as caught:
        running.run(led, "act", "{}", Wait(home.approvals, home.operator, 0))
    assert caught.value.approval.risk == "critical"


def test_what_an_agent_may_not_even_ask_is_audited_and_a_persons_slip_is_not(
    home: Home, runner: Runner
) -> None:
    """By the name that it gave, however long or strange; with why."""
    agent = home.operator.agent("aaaa0001")
    calls = (("approve\x1b[2J" * 50, "{}"), ("read_file", '{"path": "../secret"}'), ("ls", "{"))
    for actor in (home.operator, agent):
        for name, arguments in calls:
            with pytest.raises(LocalaiError):
                runner.run(actor, name, arguments, Unasked())
    refused = [each for each in home.audit.page().items if each.event == "tool.refused"]
    assert len(refused) == 3
    assert all(len(each.subject) <= 100 and "\x1b" not in each.subject for each in refused)
    told = [str(each.details["outcome"]).partition(":")[0] for each in reversed(refused)]
    assert told == ["not_found", "denied", "not_found"]
    assert {each.details["session"] for each in refused} == {"aaaa0001"}


def test_calls_are_counted_and_timed(
    home: Home, runner: Runner, workspace: Path, yes: Gate, no: Gate
) -> None:
    """Whoever was asked, and whether they went well or not; what never ran took no time."""
    kept = Kept()
    runner._measures = kept
    (workspace / "a.txt").write_text("hello")
    failing = json.dumps({"argv": [sys.executable, "-c", "raise SystemExit(3)"]})
    runner.run(home.operator, "read_file", '{"path": "a.txt"}', Unasked())
    runner.run(home.operator, "read_file", '{"path": "b.txt"}', Unasked())
    runner.run(home.operator, "write_file", _WRITE, yes)
    runner.run(home.operator, "run_command", failing, yes)
    with pytest.raises(Rejected):
        runner.run(home.operator, "write_file", _WRITE, no)
    assert kept.times(TOOL_DURATION) == {
        ("read_file",): 2,
        ("write_file",): 1,
        ("run_command",): 1,
    }
    runs = {(each["tool"], each["status"]): n for each, n in counted(home.database, TOOL_RUNS)}
    assert runs == {
        ("read_file", "succeeded"): 1,
        ("read_file", "failed"): 1,
        ("write_file", "succeeded"): 1,
        ("run_command", "failed"): 1,
    }
