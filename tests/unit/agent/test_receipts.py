"""A receipt goes where its call goes: into the audit, whatever becomes of the call."""

import json
from pathlib import Path
from typing import Any

import pytest
from approvals_home import Home

from localai.agent.builtin import registry
from localai.agent.runner import Rules, Runner
from localai.agent.sandbox.tiers import Sandbox
from localai.approvals.gate import Wait
from localai.approvals.records import Approval, Waiting
from localai.approvals.rules import Rule, read
from localai.core.errors import Denied

RECEIPT = {"model": "m", "model_sha256": None, "sampler": {"temperature": 0.5}, "seed": 7}
WRITE = json.dumps({"path": "a.txt", "content": "x"})
NO_NOTES = """
[[rule]]
name = "no-notes"
effect = "deny"
tools = ["write_file"]
match = [{arguments = {path = "a"}}]
no_match = [{tool = "read_file"}]
"""


def _runner(home: Home, workspace: Path, rules: Rules) -> Runner:
    return Runner(
        registry(Sandbox(enabled=False)),
        home.approvals,
        home.rbac.require,
        rules,
        workspace=workspace,
        protected=home.directories.all,
    )


def _call(runner: Runner, home: Home, receipt: dict[str, Any] | None) -> None:
    gate = Wait(home.approvals, home.operator, 0)
    runner.run(home.operator.agent("s"), "write_file", WRITE, gate, receipt=receipt)


def _audited(home: Home) -> list[tuple[str, Any]]:
    """The events about calls, newest first, with their receipts."""
    entries = home.audit.page(limit=100).items
    found = [entry for entry in entries if entry.event.startswith(("approval", "tool"))]
    return [(entry.event, entry.details.get("receipt")) for entry in found]


def _waiting(runner: Runner, home: Home, receipt: dict[str, Any] | None = RECEIPT) -> Approval:
    with pytest.raises(Waiting) as caught:
        _call(runner, home, receipt)
    return caught.value.approval


def test_a_request_is_opened_with_it(home: Home, runner: Runner) -> None:
    """As it was given, beside what the entry always says."""
    _waiting(runner, home)
    assert _audited(home) == [("approval.requested", RECEIPT)]


def test_what_follows_from_a_request_leads_back_to_it(home: Home, runner: Runner) -> None:
    """The decision and the run are a person's and the tool's: one receipt is enough."""
    home.approve(waiting := _waiting(runner, home))
    runner.resume(home.operator, waiting.id)
    *later, (opened, receipt) = _audited(home)
    assert (opened, receipt) == ("approval.requested", RECEIPT)
    assert {found for _, found in later} == {None}


def test_what_a_person_made_of_a_call_is_no_models(home: Home, runner: Runner) -> None:
    """The request that replaces it names the one that was proposed."""
    waiting = _waiting(runner, home)
    other = runner.restated(home.operator, waiting, '{"path": "b.txt", "content": "y"}')
    seen = waiting.action_sha256
    home.approvals.amend(home.operator, waiting.id, other, seen_sha256=seen)
    opened = [receipt for event, receipt in _audited(home) if event == "approval.requested"]
    assert opened == [None, RECEIPT]


def test_what_runs_unasked_is_noted_with_it(home: Home, workspace: Path) -> None:
    """Before and after."""
    _call(_runner(home, workspace, Rules(enabled=False)), home, RECEIPT)
    assert _audited(home) == [("tool.ran", RECEIPT), ("tool.started", RECEIPT)]


def test_what_the_policy_refuses_is_noted_with_it(home: Home, workspace: Path) -> None:
    """Nothing ran, and it is known who wanted it."""
    tools = {tool.name: list(tool.schema["properties"]) for tool in registry().all()}
    rules: list[Rule] = list(read(NO_NOTES, tools))
    with pytest.raises(Denied, match="no-notes|refuses"):
        _call(_runner(home, workspace, Rules(written=lambda _: rules)), home, RECEIPT)
    assert _audited(home) == [("tool.denied", RECEIPT)]


def test_without_a_receipt_there_is_none(home: Home, runner: Runner) -> None:
    """Not even an empty one."""
    _waiting(runner, home, None)
    entry = home.audit.page(limit=1).items[0]
    assert entry.event == "approval.requested"
    assert "receipt" not in entry.details
