"""How a pending request gets its answer."""

import threading
from collections.abc import Callable

import pytest
from approvals_home import Home, TurnableClock

from localai.approvals.gate import Ask, Gate, Wait
from localai.approvals.records import Approval, Reply, Waiting
from localai.approvals.standing import LONGEST_S, Scope
from localai.core.errors import Conflict, Denied, Expired, Rejected

MakeGate = Callable[[Home, bool], Gate]


def _asking(home: Home, is_yes: bool) -> Gate:
    reply = Reply(is_yes, None if is_yes else "not now")
    return Ask(home.approvals, home.operator, lambda _: reply)


def _waiting(home: Home, is_yes: bool) -> Gate:
    """Another terminal answers as soon as the request is announced."""

    def answer(approval: Approval) -> None:
        if is_yes:
            home.approve(approval)
        else:
            home.approvals.reject(home.operator, approval.id, reason="not now")

    return Wait(home.approvals, home.operator, 60, announce=answer)


both = pytest.mark.parametrize("make", [_asking, _waiting])


@both
def test_yes_returns_the_approved_request(home: Home, make: MakeGate) -> None:
    """It can be claimed now."""
    opened = home.open()
    decided = make(home, True).decide(opened)
    assert (decided.id, decided.status) == (opened.id, "approved")


@both
def test_no_is_rejected_with_its_reason(home: Home, make: MakeGate) -> None:
    """Who asked reads who said no, and why."""
    with pytest.raises(Rejected, match="kim rejected write_file: not now"):
        make(home, False).decide(home.open())


@both
def test_what_expired_is_expired(home: Home, clock: TurnableClock, make: MakeGate) -> None:
    """An answer after the end counts for nothing."""
    opened = home.open()
    clock.pass_time(301)
    with pytest.raises(Expired):
        make(home, True).decide(opened)


@both
def test_what_was_cancelled_is_a_no(home: Home, make: MakeGate) -> None:
    """A withdrawn request does not run."""
    opened = home.open()
    home.approvals.cancel(home.operator, opened.id)
    with pytest.raises((Rejected, Conflict), match="cancelled"):
        make(home, True).decide(opened)


def test_ask_shows_the_whole_action(home: Home) -> None:
    """The question carries every line that a person must read."""
    seen: list[tuple[str, ...]] = []

    def ask(approval: Approval) -> Reply:
        seen.append(approval.shown)
        return Reply(is_yes=True)

    opened = home.open()
    Ask(home.approvals, home.operator, ask).decide(opened)
    assert seen == [opened.shown]


def _decided_meanwhile(home: Home, other: str, *, is_yes: bool) -> Approval:
    """Answer here after another terminal was faster."""

    def ask(approval: Approval) -> Reply:
        getattr(home.approvals, other)(
            home.operator, approval.id, seen_sha256=approval.action_sha256
        )
        return Reply(is_yes)

    return Ask(home.approvals, home.operator, ask).decide(home.open())


def test_two_terminals_that_both_say_yes_agree(home: Home) -> None:
    """The other one's yes is as good as this one's."""
    assert _decided_meanwhile(home, "approve", is_yes=True).status == "approved"


def test_a_yes_here_does_not_undo_a_no_elsewhere(home: Home) -> None:
    """The first decision counts."""
    with pytest.raises(Rejected):
        _decided_meanwhile(home, "reject", is_yes=True)


def test_a_no_here_never_runs_it_here(home: Home) -> None:
    """The person is told that it is approved already, and it stays unclaimed."""
    with pytest.raises(Conflict, match="already approved by kim"):
        _decided_meanwhile(home, "approve", is_yes=False)
    assert home.approvals.list(home.operator, status="approved").total == 1


@pytest.mark.parametrize("is_in_time", [True, False])
def test_always_saves_the_rule_with_the_approval_or_not_at_all(
    home: Home, clock: TurnableClock, is_in_time: bool
) -> None:
    """They are one answer: what comes too late leaves neither."""
    agent = home.operator.agent("5e55")
    opened = home.open(agent)
    scope = Scope(LONGEST_S, is_session=True)
    rule = home.approvals.draft_rule(home.operator, opened.id, scope, left_open=("content",))
    gate = Ask(home.approvals, home.operator, lambda _: Reply(is_yes=True, rule=rule))
    if is_in_time:
        assert gate.decide(opened).status == "approved"
        assert [each.name for each in home.approvals.standing.of(agent)] == [rule.rule.name]
        return
    clock.pass_time(301)
    with pytest.raises(Expired):
        gate.decide(opened)
    assert home.approvals.standing.live() == ()


def test_an_agent_cannot_be_asked(home: Home) -> None:
    """A gate wired to an agent decides nothing."""
    gate = Ask(home.approvals, home.operator.agent("s"), lambda _: Reply(is_yes=True))
    with pytest.raises(Denied, match="an agent never decides"):
        gate.decide(home.open())


def test_wait_gives_up_when_nobody_answers(home: Home) -> None:
    """With no time to wait the request is named at once, and stays pending."""
    opened = home.open()
    with pytest.raises(Waiting) as caught:
        Wait(home.approvals, home.operator, 0).decide(opened)
    assert caught.value.approval == opened


def test_wait_notices_a_decision_made_while_it_waits(home: Home) -> None:
    """The decision comes from another thread, after the waiting began."""
    opened = home.open()
    timer = threading.Timer(0.1, home.approve, [opened])
    timer.start()
    assert Wait(home.approvals, home.operator, 60).decide(opened).status == "approved"
    timer.join()
