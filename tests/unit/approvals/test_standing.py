"""Standing rules: what an approval allows beyond its one run, and what never."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from approvals_home import Home, proposal

from localai.approvals.records import Approval
from localai.approvals.rules import Subject
from localai.approvals.standing import LONGEST_S, Scope, Standing
from localai.approvals.tables import standing_rules
from localai.core.errors import Conflict, Denied, Expired, Invalid, LocalaiError, NotFound
from localai.rbac.permissions import Actor, Risk

HOUR = Scope(3600)


def _allow(home: Home, approval: Approval, scope: Scope = HOUR) -> Standing:
    draft = home.approvals.draft_rule(home.operator, approval.id, scope, left_open=("content",))
    seen = approval.action_sha256
    home.approvals.approve(home.operator, approval.id, seen_sha256=seen, rule=draft)
    return draft


def _covers(home: Home, actor: Actor | None = None, **changes: Any) -> bool:
    plain = {
        "tool": "write_file",
        "arguments": {"path": "a.txt", "content": "other"},
        "risk": Risk.HIGH,
        "roles": (),
        "workspace": "/work",
    }
    call = Subject(**{**plain, **changes})
    return any(rule.matches(call) for rule in home.approvals.standing.of(actor or home.operator))


def test_a_call_like_it_runs_unasked_for_as_long_as_was_said(home: Home) -> None:
    """By the clock that goes first, and after a restart, too."""
    _allow(home, home.open())
    assert _covers(home)
    home.clock.pass_time(3599)
    assert _covers(home)
    home.clock.wall_offset_us -= 7_200_000_000
    assert not _covers(home)
    home.clock.wall_offset_us += 7_200_000_000
    home.clock.pass_time(1)
    assert not _covers(home)


def test_nothing_else_is_allowed(home: Home) -> None:
    """Another tool, path, workspace, argument, risk or user asks again."""
    _allow(home, home.open())
    assert not _covers(home, tool="run_command")
    assert not _covers(home, workspace="/elsewhere")
    assert not _covers(home, risk=Risk.CRITICAL)
    assert not _covers(home, arguments={"path": "b.txt", "content": "x"})
    assert not _covers(home, arguments={"path": "a.txt", "content": "x", "mode": "0777"})
    assert not _covers(home, arguments={"content": "x"})
    assert not _covers(home, home.add_user("mina", "user"))


def test_a_rule_can_be_of_one_conversation(home: Home) -> None:
    """Eight hours at most, and nowhere else."""
    agent = home.operator.agent("5e55")
    _allow(home, home.open(agent), Scope(LONGEST_S, is_session=True))
    assert _covers(home, agent)
    assert not _covers(home, home.operator.agent("0ther"))
    assert not _covers(home)
    home.clock.pass_time(LONGEST_S)
    assert not _covers(home, agent)


def test_the_rule_is_shown_in_full_and_saved_as_shown(home: Home) -> None:
    """Every argument, what is open, whose, where and until when; the audit keeps the lines."""
    draft = _allow(home, home.open())
    (live,) = home.approvals.standing.live()
    assert live.words == draft.words
    told = "\n".join(draft.words)
    for part in (
        "tools      write_file",
        "risk       low, medium, high; critical is never allowed by a rule",
        "argument   path is 'a.txt'",
        "argument   content is anything",
        "argument   no other one",
        "workspace  '/work'",
        "user       kim, in every conversation",
        f"until      {draft.expires_at}",
    ):
        assert part in told
    entries = [each for each in home.audit.page().items if each.event == "policy.rule-made"]
    assert entries[0].details["rule"] == list(draft.words)


def test_what_is_critical_makes_no_rule(home: Home) -> None:
    """Whatever the span."""
    critical = home.open(risk=Risk.CRITICAL)
    with pytest.raises(Denied, match="never by a rule"):
        home.approvals.draft_rule(home.operator, critical.id, HOUR, left_open=())


def test_what_a_written_rule_asks_about_makes_no_rule(home: Home) -> None:
    """It would be asked about again: asking is stricter than allowing."""
    asked = home.approvals.open(home.operator, replace(proposal(), policy_rule="ask-me"))
    with pytest.raises(Denied, match="the rule ask-me asks every time"):
        home.approvals.draft_rule(home.operator, asked.id, HOUR, left_open=())


@pytest.mark.parametrize("span", [0, -1, LONGEST_S + 1])
def test_a_rule_lasts_eight_hours_at_most(home: Home, span: int) -> None:
    """And not no time."""
    with pytest.raises(Invalid, match="8 hours"):
        home.approvals.draft_rule(home.operator, home.open().id, Scope(span), left_open=())


def test_a_request_without_a_conversation_makes_no_rule_of_one(home: Home) -> None:
    """There is none to keep it to."""
    with pytest.raises(Invalid, match="belongs to no conversation"):
        home.approvals.draft_rule(
            home.operator, home.open().id, Scope(60, is_session=True), left_open=()
        )


def test_an_agent_drafts_nothing_and_a_user_neither(home: Home) -> None:
    """Who may not decide makes no rule."""
    approval = home.open()
    for actor in (home.operator.agent("5e55"), home.add_user("mina", "user")):
        with pytest.raises(Denied):
            home.approvals.draft_rule(actor, approval.id, HOUR, left_open=())


def test_a_rule_of_one_request_does_not_come_with_another(home: Home) -> None:
    """What was read is what is saved."""
    first, second = home.open(), home.open()
    draft = home.approvals.draft_rule(home.operator, first.id, HOUR, left_open=())
    with pytest.raises(Conflict, match="drafted for another request"):
        home.approvals.approve(
            home.operator, second.id, seen_sha256=second.action_sha256, rule=draft
        )
    assert home.approvals.get(home.operator, second.id).status == "pending"
    assert home.approvals.standing.live() == ()


def test_a_decision_that_fails_saves_no_rule(home: Home) -> None:
    """They are one transaction."""
    approval = home.open()
    draft = home.approvals.draft_rule(home.operator, approval.id, HOUR, left_open=())
    with pytest.raises(Conflict):
        home.approvals.approve(home.operator, approval.id, seen_sha256="0" * 64, rule=draft)
    home.clock.pass_time(301)
    with pytest.raises(Expired):
        home.approvals.approve(
            home.operator, approval.id, seen_sha256=approval.action_sha256, rule=draft
        )
    assert home.approvals.standing.live() == ()


def test_a_rule_that_is_taken_back_is_gone_from_the_next_call_on(home: Home) -> None:
    """Once, by its name or the beginning of its id, audited."""
    name = _allow(home, home.open()).rule.name
    home.approvals.standing.revoke(home.operator, name[: len("standing.") + 6])
    assert not _covers(home)
    with pytest.raises(NotFound):
        home.approvals.standing.revoke(home.operator, name)
    assert home.events(name) == ["policy.rule-made", "policy.rule-revoked"]
    with pytest.raises(Denied):
        home.approvals.standing.revoke(home.add_user("mina", "viewer"), name)


def test_a_rule_ends_with_its_makers_right_to_decide(home: Home) -> None:
    """And begins again with it."""
    jun = home.add_user("jun", "operator")
    approval = home.open()
    draft = home.approvals.draft_rule(jun, approval.id, HOUR, left_open=("content",))
    home.approvals.approve(jun, approval.id, seen_sha256=approval.action_sha256, rule=draft)
    assert _covers(home)
    home.set_role("jun", "viewer")
    assert not _covers(home)
    home.set_role("jun", "operator")
    assert _covers(home)


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": "{}"},
        {"expires_us": 2**60},
        {"user_id": "mina"},
        {"workspace": "/"},
        {"risk": "low"},
        {"session": "5e55"},
    ],
)
def test_the_database_refuses_a_rule_that_grows(home: Home, change: dict[str, Any]) -> None:
    """Whoever holds the connection; nor is one removed."""
    _allow(home, home.open())
    with pytest.raises(LocalaiError), home.database.transaction() as connection:
        connection.execute(sa.update(standing_rules).values(**change))
    with pytest.raises(LocalaiError), home.database.transaction() as connection:
        connection.execute(sa.delete(standing_rules))


def test_the_database_refuses_a_rule_that_no_approval_made(home: Home) -> None:
    """Of a pending request, of another tool, for longer than eight hours."""
    approval = home.open()
    draft = home.approvals.draft_rule(home.operator, approval.id, HOUR, left_open=())
    rows = [dict(draft.row)]
    home.approve(approval)
    rows += [dict(draft.row, **change) for change in ({"tool": "run_command"}, {"risk": "low"})]
    longer = dict(draft.row, expires_us=draft.row["expires_us"] + 86_400_000_000)
    pending = dict(draft.row, approval=home.open().id)
    for row in (*rows[1:], longer, pending):
        with pytest.raises(LocalaiError), home.database.transaction() as connection:
            connection.execute(sa.insert(standing_rules), row)
    assert home.approvals.standing.live() == ()
