"""Requests that need several people, and those that whoever asks may not approve."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
import sqlalchemy as sa
from approvals_home import Home, TurnableClock, action, proposal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localai.approvals.records import Approval, Waiting, granted
from localai.approvals.rules import read
from localai.approvals.standing import Scope
from localai.approvals.tables import approval_votes, approvals
from localai.core.errors import Conflict, Denied, Expired, Invalid, Rejected
from localai.rbac.permissions import Actor

PEOPLE = ("kim", "ana", "lee", "bob")


@pytest.fixture
def people(home: Home) -> Sequence[Actor]:
    """Four who may decide, the operator first."""
    return [home.operator, *(home.add_user(name, "operator") for name in PEOPLE[1:])]


def _open(home: Home, asker: Actor, needed: int = 2, *, bars_asker: bool = False) -> Approval:
    return home.approvals.open(asker, replace(proposal(), needed=needed, bars_asker=bars_asker))


def test_it_waits_until_enough_have_said_yes(home: Home, people: Sequence[Actor]) -> None:
    """Nobody may claim it before, and each yes is in the record and the audit."""
    opened = _open(home, home.operator)
    first = home.approve(opened, people[1])
    assert (first.status, [vote.user_id for vote in first.votes]) == ("pending", ["ana"])
    with pytest.raises(Waiting):
        home.approvals.claim(home.operator, opened.id, action())
    second = home.approve(opened, people[2])
    assert (second.status, len(second.votes), second.decided_by) == ("approved", 2, "lee")
    assert home.approvals.claim(home.operator, opened.id, action())
    assert home.events(opened.id) == [
        f"approval.{event}" for event in ("requested", "voted", "approved", "claimed")
    ]


def test_what_is_shown_says_who_is_needed(home: Home, people: Sequence[Actor]) -> None:
    """Before the question."""
    opened = _open(home, people[1], bars_asker=True)
    assert "needs      2 different people; nobody has approved yet" in opened.shown
    assert "not by     ana, who asks" in opened.shown
    shown = home.approve(opened, people[2]).shown
    assert "needs      2 different people; approved so far by lee" in shown


def test_a_person_counts_once(home: Home, people: Sequence[Actor]) -> None:
    """Under whatever name the operator tries."""
    opened = _open(home, people[3])
    home.approve(opened)
    with pytest.raises(Conflict, match="you have approved"):
        home.approve(opened)
    with pytest.raises(Conflict, match="you have approved"):
        home.approve(opened, replace(people[1], by="kim"))
    assert home.approvals.get(home.operator, opened.id).status == "pending"


def test_one_no_ends_it(home: Home, people: Sequence[Actor]) -> None:
    """Also that of one who had said yes."""
    for decider in (people[0], people[1]):
        opened = _open(home, people[3])
        home.approve(opened)
        rejected = home.approvals.reject(decider, opened.id, reason="no")
        assert rejected.status == "rejected"
        with pytest.raises(Rejected):
            granted(rejected)
        with pytest.raises(Conflict):
            home.approve(opened, people[2])


def test_whoever_asks_may_not_approve(home: Home, people: Sequence[Actor]) -> None:
    """Through an agent, or as another user, either."""
    ana, kim = people[1], home.operator
    for asker in (ana, ana.agent("s1"), replace(people[2], by="ana")):
        opened = _open(home, asker, 1, bars_asker=True)
        for decider in (ana, replace(people[3], by="ana")):
            with pytest.raises(Denied, match="somebody else"):
                home.approve(opened, decider)
        assert home.approve(opened, kim).status == "approved"
    refused = _open(home, ana, 1, bars_asker=True)
    assert home.approvals.reject(ana, refused.id).status == "rejected"


def test_with_one_person_there_are_no_four_eyes(home: Home) -> None:
    """What could never be approved is not asked for."""
    home.add_user("eve", "user")
    opened = _open(home, home.operator, 3, bars_asker=True)
    assert (opened.needed, opened.may_not_approve) == (1, None)
    assert home.approve(opened).status == "approved"


def test_a_vote_of_one_who_may_not_decide_any_more_is_worth_nothing(
    home: Home, people: Sequence[Actor]
) -> None:
    """Asked again when the call is to run."""
    opened = _open(home, home.operator)
    home.approve(opened, people[1])
    home.approve(opened, people[2])
    home.set_role("ana", "viewer")
    with pytest.raises(Denied, match="ana no longer"):
        home.approvals.claim(home.operator, opened.id, action())


def test_votes_do_not_outlive_the_request(
    home: Home, people: Sequence[Actor], clock: TurnableClock
) -> None:
    """The second yes comes too late."""
    opened = _open(home, home.operator)
    home.approve(opened, people[1])
    clock.pass_time(301)
    with pytest.raises(Expired):
        home.approve(opened, people[2])


def test_nobody_writes_it_anew_or_makes_a_rule_of_it(home: Home, people: Sequence[Actor]) -> None:
    """What several must see stays what they see."""
    barred = _open(home, people[1], 1, bars_asker=True)
    with pytest.raises(Denied, match="would be the one who asks"):
        home.approvals.amend(home.operator, barred.id, proposal(), seen_sha256=barred.action_sha256)
    for opened in (barred, _open(home, people[1])):
        with pytest.raises(Denied, match="approved once"):
            home.approvals.draft_rule(home.operator, opened.id, Scope(60), left_open=())


def test_another_call_in_its_place_needs_as_many(home: Home, people: Sequence[Actor]) -> None:
    """The one who wrote it is the first of them."""
    opened = _open(home, people[3])
    other = replace(proposal(arguments={"path": "b.txt", "content": "y"}), needed=2)
    amended = home.approvals.amend(
        home.operator, opened.id, other, seen_sha256=opened.action_sha256
    )
    assert (amended.status, len(amended.votes)) == ("pending", 1)
    assert home.approve(amended, people[1]).status == "approved"


def test_the_database_counts_too(home: Home, people: Sequence[Actor]) -> None:
    """Whoever holds the connection."""
    opened = _open(home, people[1], bars_asker=True)
    home.approve(opened, people[2])
    vote = {
        "approval": opened.id,
        "decision": "approved",
        "action_sha256": opened.action_sha256,
        "at_us": 1,
    }
    for voter in ("lee", "kim", "ana"):  # again; as if it were the last; the one who asks
        with pytest.raises(Conflict), home.database.transaction() as connection:
            connection.execute(sa.insert(approval_votes), {**vote, "voter": voter})
    single, own = _open(home, people[3]), _open(home, people[3], 1, bars_asker=True)
    for request, decider in ((opened, "lee"), (single, "kim"), (own, "bob")):
        decided = {
            "state": "approved",
            "version": approvals.c.version + 1,
            "decided_us": 1,
            "decided_by": decider,
            "grant_expires_us": 2**60,
            "grant_boot_id": "b",
            "grant_mono_us": 2**60,
        }
        row = sa.update(approvals).where(approvals.c.id == request.id).values(decided)
        with pytest.raises(Conflict), home.database.transaction() as connection:
            connection.execute(row)


# Each example asks for a request of its own, so that one home serves them all.
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    needed=st.integers(1, 4),
    bars_asker=st.booleans(),
    votes=st.lists(st.tuples(st.sampled_from(PEOPLE), st.booleans()), max_size=7),
)
def test_it_runs_when_enough_different_people_agree(
    home: Home, needed: int, *, bars_asker: bool, votes: Sequence[tuple[str, bool]]
) -> None:
    """And never otherwise."""
    for name in PEOPLE[1:]:
        with suppress(Conflict):
            home.add_user(name, "operator")
    opened = _open(home, Actor("lee"), needed, bars_asker=bars_asker)
    agreed: set[str] = set()
    is_refused = False
    for name, is_yes in votes:
        is_open = len(agreed) < needed and not is_refused
        if is_yes and is_open and not (bars_asker and name == "lee"):
            agreed.add(name)
        is_refused = is_refused or (is_open and not is_yes)
        with suppress(Conflict, Denied):
            if is_yes:
                home.approve(opened, Actor(name))
            else:
                home.approvals.reject(Actor(name), opened.id)
    status = home.approvals.get(home.operator, opened.id).status
    wanted = "approved" if len(agreed) == needed else "pending"
    assert status == ("rejected" if is_refused else wanted)


def test_a_rule_may_want_several_people() -> None:
    """Only one that asks, and a number of them."""
    example = '[[rule]]\nname = "r"\neffect = "ask"\napprovers = 2\nself_approval = false\n'
    ends = '[[rule.match]]\ntool = "a"\n[[rule.no_match]]\ntool = "b"\n'
    body = f'{example}tools = ["a"]\n{ends}'
    (rule,) = read(body, {"a": [], "b": []})
    assert (rule.approvers, rule.self_approval) == (2, False)
    assert "approvers  2 different people" in rule.words
    for change in (
        ('"ask"', '"deny"'),
        ("approvers = 2", "approvers = 0"),
        ("approvers = 2", "approvers = true"),
        ("self_approval = false", 'self_approval = "no"'),
    ):
        with pytest.raises(Invalid):
            read(body.replace(*change), {"a": [], "b": []})
