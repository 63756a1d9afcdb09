"""Calls that are asked for and not run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from approvals_home import Home

from localai.agent.builtin import registry
from localai.agent.runner import Rules, Runner
from localai.agent.sandbox.tiers import Sandbox
from localai.approvals import elsewhere
from localai.approvals.repeats import Once
from localai.approvals.rules import read
from localai.core.errors import Conflict, Denied, Invalid, TooOften
from localai.rbac.permissions import Actor

WRITE = json.dumps({"path": "a.txt", "content": "new\n"})
TOOLS = {"write_file": ["path", "content"], "read_file": ["path"], "deploy": []}
Made = Callable[..., Runner]


@pytest.fixture
def runner(home: Home, tmp_path: Path) -> Made:
    """Makes a runner with these rules in an empty workspace."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    def made(**words: object) -> Runner:
        limit = words.pop("limit", None)
        rules = Rules(roles=home.rbac.roles, **words)  # type: ignore[arg-type]
        return Runner(
            registry(Sandbox()),
            home.approvals,
            home.rbac.require,
            rules,
            workspace=workspace,
            protected=(),
            limit=limit,  # type: ignore[arg-type]
        )

    return made


def test_a_proposal_is_the_action_that_a_run_would_ask_for(home: Home, runner: Made) -> None:
    """The same digest; and approved it runs."""
    here = runner()
    asked = here.propose(home.operator, "write_file", WRITE, reason="why")
    stated = here.restated(home.operator, asked)
    assert (asked.action_sha256, asked.reason) == (stated.action.sha256, "why")
    assert not (here.workspace / "a.txt").exists()
    home.approve(asked)
    assert here.resume(home.operator, asked.id).result.ok
    assert (here.workspace / "a.txt").read_text() == "new\n"


def test_what_may_run_unasked_waits_when_somebody_asks(home: Home, runner: Made) -> None:
    """Asking is always allowed to be more careful than the policy."""
    here = runner()
    (here.workspace / "a.txt").write_text("x")
    asked = here.propose(home.operator, "read_file", '{"path": "a.txt"}')
    assert (asked.status, asked.risk) == ("pending", "low")


def test_what_the_policy_refuses_cannot_be_asked_for(home: Home, runner: Made) -> None:
    """A tool's call and another system's action alike; both are audited."""
    text = """
    [[rule]]
    name = "no-deploys"
    effect = "deny"
    tools = ["deploy", "write_file"]
    why = "frozen"
    match = [{}]
    no_match = [{tool = "read_file"}]
    """
    here = runner(written=lambda _: read(text, TOOLS))
    for name, arguments in (("deploy", "{}"), ("write_file", WRITE)):
        with pytest.raises(Denied, match="frozen"):
            here.propose(home.operator, name, arguments)
        assert home.events(name) == ["tool.denied"]


@pytest.mark.parametrize("mode", ["normal", "strict"])
def test_another_systems_action_is_high_risk_and_never_runs_here(
    home: Home, runner: Made, mode: str
) -> None:
    """Strict mode, too, lets it be asked for: there is nothing here to confine."""
    here = runner(mode=mode)
    asked = here.propose(home.operator, "deploy", '{"n": 1}')
    assert (asked.risk, asked.sandbox, asked.arguments) == ("high", elsewhere.SANDBOX, {"n": 1})
    home.approve(asked)
    with pytest.raises(Conflict, match="another system's"):
        here.resume(home.operator, asked.id)
    assert home.approvals.get(home.operator, asked.id).status == "approved"


def test_arguments_are_those_of_the_tool(home: Home, runner: Made) -> None:
    """Nothing is asked for that could not run."""
    for arguments in ("{}", '{"path": 1, "content": ""}', "[]", '{"a": 1, "a": 2}'):
        with pytest.raises(Invalid):
            runner().propose(home.operator, "write_file", arguments)
    assert home.approvals.list(home.operator).total == 0


def test_who_may_not_call_a_tool_may_not_ask_for_it(home: Home, runner: Made) -> None:
    """By role, as when it runs."""
    here = runner()
    home.add_user("vera", "viewer")
    home.add_user("lee", "user")
    with pytest.raises(Denied):
        here.propose(Actor("vera"), "deploy", "{}")
    with pytest.raises(Denied):
        here.propose(Actor("lee"), "run_command", '{"argv": ["true"]}')


def test_actions_of_other_systems_share_a_rate(home: Home, runner: Made) -> None:
    """A new name for each would be a way around it."""
    taken: list[str] = []

    def limit(_: Actor, tool: str) -> None:
        taken.append(tool)
        if len(taken) > 2:
            raise TooOften("enough", wait_s=3)

    here = runner(limit=limit)
    here.propose(home.operator, "one", "{}")
    here.propose(home.operator, "two", "{}")
    with pytest.raises(TooOften):
        here.propose(home.operator, "three", "{}")
    assert set(taken) == {elsewhere.BUCKET}


def test_asking_again_is_not_asking_more(home: Home, runner: Made) -> None:
    """The rate is not touched, and the answer is the first one."""
    taken: list[str] = []
    here = runner(limit=lambda _, tool: taken.append(tool))
    once = Once("k", "00" * 32)
    first = here.propose(home.operator, "write_file", WRITE, once=once)
    assert here.propose(home.operator, "write_file", WRITE, once=once) == first
    assert taken == ["write_file"]
