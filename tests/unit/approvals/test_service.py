"""Requests from opening to end."""

import dataclasses
import sqlite3
import threading
from typing import Any

import pytest
from approvals_home import Home, TurnableClock, action, proposal

from localai.approvals.action import Facts, FileFact
from localai.approvals.records import Waiting
from localai.core import ids
from localai.core.errors import Conflict, Denied, Expired, Invalid, LocalaiError, NotFound, Rejected
from localai.rbac.permissions import Actor


def test_open_stores_the_request_and_its_audit_row_together(home: Home) -> None:
    """A request that can be seen has been audited."""
    opened = home.open(reason="because")
    assert (opened.status, opened.reason, opened.needed) == ("pending", "because", 1)
    assert opened.arguments == opened.proposed_arguments == {"path": "a.txt", "content": "x"}
    assert home.events(opened.id) == ["approval.requested"]


def test_record_has_the_fields_of_the_contract(home: Home) -> None:
    """The JSON of an approval is what scripts were promised, nothing more."""
    assert list(dataclasses.asdict(home.open())) == [
        "id",
        "tool_name",
        "arguments",
        "proposed_arguments",
        "action_sha256",
        "risk",
        "status",
        "user_id",
        "requester_kind",
        "session",
        "reason",
        "policy_rule",
        "sandbox",
        "created_at",
        "expires_at",
        "needed",
        "votes",
        "decided_at",
        "decided_by",
        "decision_reason",
        "finished_at",
        "outcome",
    ]


def test_a_whole_life_is_in_the_audit_in_order(home: Home) -> None:
    """Each change has its row, and the chain is whole."""
    opened = home.approve(home.open())
    grant = home.approvals.claim(home.operator, opened.id, action())
    ended = home.approvals.finish(grant, "wrote it", ok=True)
    assert (ended.status, ended.outcome) == ("succeeded", "wrote it")
    assert home.events(opened.id) == [
        "approval.requested",
        "approval.approved",
        "approval.claimed",
        "approval.succeeded",
    ]
    assert home.audit.verify().is_whole


def test_nothing_changes_where_the_audit_cannot_be_written(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision without its audit row is no decision."""
    opened = home.open()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(home.audit, "record", full)
        with pytest.raises(LocalaiError):
            home.approve(opened)
    assert home.approvals.get(home.operator, opened.id).status == "pending"


def test_approve_keeps_the_vote_and_the_reason(home: Home) -> None:
    """Who said yes, and why, stands in the record."""
    opened = home.open()
    seen = opened.action_sha256
    done = home.approvals.approve(home.operator, opened.id[:4], seen_sha256=seen, reason="fine")
    assert (done.status, done.decided_by, done.decision_reason) == ("approved", "kim", "fine")
    assert [(vote.user_id, vote.decision) for vote in done.votes] == [("kim", "approved")]


def test_reject_needs_no_digest(home: Home) -> None:
    """A no to whatever it is does no harm."""
    done = home.approvals.reject(home.operator, home.open().id, reason="no")
    assert (done.status, done.decision_reason) == ("rejected", "no")


@pytest.mark.parametrize("digits", [8, 12, 64])
def test_approve_takes_the_beginning_of_the_digest(home: Home, digits: int) -> None:
    """A person types eight digits or more, in capitals too."""
    opened = home.open()
    seen = opened.action_sha256[:digits].upper()
    assert home.approvals.approve(home.operator, opened.id, seen_sha256=seen).status == "approved"


@pytest.mark.parametrize("decide", ["approve", "reject"])
def test_a_decision_holds_only_for_the_action_that_was_read(home: Home, decide: str) -> None:
    """Another digest decides nothing."""
    opened = home.open()
    with pytest.raises(Conflict, match="not the action that you read"):
        getattr(home.approvals, decide)(home.operator, opened.id, seen_sha256="0" * 64)
    assert home.approvals.get(home.operator, opened.id).status == "pending"


@pytest.mark.parametrize("seen", ["", "abc", "g" * 64, "a" * 65])
def test_approve_refuses_what_is_not_a_digest(home: Home, seen: str) -> None:
    """Fewer than eight digits name too many actions."""
    opened = home.open()
    with pytest.raises(Invalid, match="not the beginning of a SHA-256"):
        home.approvals.approve(home.operator, opened.id, seen_sha256=seen)


def test_to_decide_returns_what_waits(home: Home) -> None:
    """The whole action, if its digest begins as the person says."""
    opened = home.open()
    found = home.approvals.to_decide(home.operator, opened.id[:6], opened.action_sha256[:8])
    assert found == opened
    with pytest.raises(Conflict, match="not the action that you read"):
        home.approvals.to_decide(home.operator, opened.id, "0" * 8)


def test_an_action_changed_in_the_database_is_not_shown_for_decision(home: Home) -> None:
    """Text that does not match its digest was not written by us."""
    opened = home.open()
    home.database.close()  # two SQLite libraries in one process must not hold one file
    raw = sqlite3.connect(home.directories.database_file)
    raw.execute("DROP TRIGGER approvals_refuses_update_of_fixed")
    raw.execute("DROP TRIGGER approvals_refuses_update")
    raw.execute("UPDATE approvals SET action = replace(action, 'a.txt', 'b.txt')")
    raw.commit()
    raw.close()
    with pytest.raises(Conflict, match="not the one that was asked for"):
        home.approvals.to_decide(home.operator, opened.id)


@pytest.mark.parametrize("verb", ["approve", "reject", "cancel", "revoke"])
@pytest.mark.parametrize("user", ["kim", "lee"])
def test_an_agent_never_decides(home: Home, verb: str, user: str) -> None:
    """Neither about its own request nor another's, whatever its user may do."""
    home.add_user("lee", "admin")
    opened = home.open(home.operator.agent("s"))
    decide = getattr(home.approvals, verb)
    extra = {"seen_sha256": opened.action_sha256} if verb == "approve" else {}
    with pytest.raises(Denied, match="an agent never decides"):
        decide(Actor(user, "agent", "s"), opened.id, **extra)
    assert home.approvals.get(home.operator, opened.id).status == "pending"
    assert home.events(opened.id)[-1] == "approval.agent-refused"


def test_the_operator_decides_about_the_operators_agent(home: Home) -> None:
    """The agent asked, not the person."""
    opened = home.open(home.operator.agent("s1"))
    assert (opened.requester_kind, opened.session) == ("agent", "s1")
    assert home.approve(opened).status == "approved"


@pytest.mark.parametrize("role", ["viewer", "user"])
def test_deciding_needs_the_permission(home: Home, role: str) -> None:
    """Who may only see or ask does not decide."""
    opened = home.open()
    lee = home.add_user("lee", role)
    with pytest.raises(Denied, match="approvals:decide"):
        home.approve(opened, lee)
    with pytest.raises(Denied, match="approvals:decide"):
        home.approvals.reject(lee, opened.id)


def test_every_method_asks_for_a_permission(home: Home) -> None:
    """A stranger can do nothing in this room."""
    opened, stranger = home.open(), Actor("stranger")
    desk, seen = home.approvals, opened.action_sha256
    calls: list[Any] = [
        lambda: home.open(stranger),
        lambda: desk.get(stranger, opened.id),
        lambda: desk.to_decide(stranger, opened.id),
        lambda: desk.action(stranger, opened.id),
        lambda: desk.list(stranger),
        lambda: desk.wait(stranger, opened.id, 0),
        lambda: desk.approve(stranger, opened.id, seen_sha256=seen),
        lambda: desk.reject(stranger, opened.id),
        lambda: desk.cancel(stranger, opened.id),
        lambda: desk.revoke(stranger, opened.id),
        lambda: desk.claim(stranger, opened.id, action()),
        lambda: desk.statistics(stranger, 0),
    ]
    for call in calls:
        with pytest.raises(Denied):
            call()


def test_users_cancel_their_own_requests_alone(home: Home) -> None:
    """Another's request takes the right to decide."""
    lee = home.add_user("lee", "user")
    own, other = home.open(lee), home.open()
    done = home.approvals.cancel(lee, own.id, reason="changed my mind")
    assert (done.status, done.decided_by) == ("cancelled", "lee")
    with pytest.raises(Denied, match="approvals:decide"):
        home.approvals.cancel(lee, other.id)
    assert home.approvals.cancel(home.operator, other.id).status == "cancelled"


def test_revoked_approvals_never_run(home: Home) -> None:
    """A yes can be taken back until it is used."""
    opened = home.approve(home.open())
    done = home.approvals.revoke(home.operator, opened.id, reason="too soon")
    assert (done.status, done.outcome) == ("revoked", "by kim: too soon")
    with pytest.raises(Conflict, match="revoked before it ran"):
        home.approvals.claim(home.operator, opened.id, action())


def test_the_second_decision_is_told_of_the_first(home: Home) -> None:
    """Even the same person deciding the same again learns who was first."""
    opened = home.approve(home.open())
    with pytest.raises(Conflict, match=f"{opened.id} is already approved by kim at 2"):
        home.approve(opened)
    with pytest.raises(Conflict, match="is already approved by kim"):
        home.approvals.reject(home.operator, opened.id)


def test_a_row_that_moved_between_reading_and_writing_is_told_truly(home: Home) -> None:
    """The update finds another version, and says which decision stands."""
    opened = home.open()
    stale_row = home.approvals._ledger.find(opened.id)
    home.approvals.reject(home.operator, opened.id, reason="no")
    with pytest.raises(Conflict, match=r"is already rejected by kim at .*: no"):
        home.approvals._decisions.cancel(home.operator, stale_row, None)


def test_expired_requests_cannot_be_decided(home: Home, clock: TurnableClock) -> None:
    """Late is late, and the truth is told and written down."""
    opened = home.open()
    clock.pass_time(300)
    assert home.approvals.get(home.operator, opened.id).status == "expired"
    with pytest.raises(Expired, match="nobody decided in time"):
        home.approve(opened)
    assert home.events(opened.id) == ["approval.requested", "approval.expired"]


def test_expiry_is_part_of_the_update(home: Home, clock: TurnableClock) -> None:
    """A row read before its end and written after it is not changed."""
    opened = home.open()
    fresh = home.approvals._ledger.find(opened.id)
    clock.pass_time(301)
    with pytest.raises(Expired):
        home.approvals._decisions.cancel(home.operator, fresh, None)


@pytest.mark.parametrize("seconds_back", [1, 3600, 10**8])
def test_a_clock_set_back_revives_nothing(
    home: Home, clock: TurnableClock, seconds_back: int
) -> None:
    """The monotonic clock of the same boot still says that it is over."""
    opened = home.open()
    approved = home.approve(home.open())
    clock.pass_time(901)
    clock.wall_offset_us -= (901 + seconds_back) * 1_000_000
    with pytest.raises(Expired):
        home.approve(opened)
    with pytest.raises(Expired):
        home.approvals.claim(home.operator, approved.id, action())


def test_a_clock_set_back_before_a_reboot_revives_nothing(home: Home, clock: TurnableClock) -> None:
    """After another boot, a wall clock that stands before the request was made is not believed."""
    opened = home.open()
    clock.boot = "next-boot"
    clock.monotonic_offset_us = -clock.monotonic_us()
    assert home.approvals.get(home.operator, opened.id).status == "pending"
    clock.wall_offset_us -= 10**12
    assert home.approvals.get(home.operator, opened.id).status == "expired"


def test_grant_ends_unclaimed(home: Home, clock: TurnableClock) -> None:
    """An approval is not kept in stock."""
    approved = home.approve(home.open())
    clock.pass_time(900)
    with pytest.raises(Expired, match="nobody ran it in time"):
        home.approvals.claim(home.operator, approved.id, action())
    assert home.approvals.sweep() == 1
    assert home.events(approved.id)[-1] == "approval.expired"


def test_grant_that_ends_between_reading_and_claiming_is_not_claimed(
    home: Home, clock: TurnableClock
) -> None:
    """The end of the grant is part of the update."""
    approved = home.approve(home.open())
    row = home.approvals._ledger.find(approved.id)
    clock.pass_time(901)
    with pytest.raises(Expired):
        home.approvals._claims.claim(home.operator, row, action())


def test_a_grant_is_used_once(home: Home) -> None:
    """The second claim learns that it is running."""
    approved = home.approve(home.open())
    home.approvals.claim(home.operator, approved.id, action())
    with pytest.raises(Conflict, match="it is running"):
        home.approvals.claim(home.operator, approved.id, action())


@pytest.mark.parametrize(
    ("decide", "error"), [("wait", Waiting), ("reject", Rejected), ("cancel", Rejected)]
)
def test_only_approved_requests_are_claimed(
    home: Home, decide: str, error: type[LocalaiError]
) -> None:
    """Pending waits, a no is a no."""
    opened = home.open()
    verbs: dict[str, Any] = {
        "wait": lambda *_: None,
        "reject": home.approvals.reject,
        "cancel": home.approvals.cancel,
    }
    verbs[decide](home.operator, opened.id)
    with pytest.raises(error):
        home.approvals.claim(home.operator, opened.id, action())


def test_a_changed_file_revokes_the_approval(home: Home) -> None:
    """What would run is not what was read, and can never run on that approval."""
    before = Facts(files=(FileFact("/work/a.txt", True, "1", "2", 3, "aa"),))
    after = Facts(files=(FileFact("/work/a.txt", True, "1", "2", 3, "bb"),))
    approved = home.approve(home.open(facts=before))
    with pytest.raises(Conflict, match=r"/work/a\.txt is different now"):
        home.approvals.claim(home.operator, approved.id, action(facts=after))
    with pytest.raises(Conflict, match="revoked"):
        home.approvals.claim(home.operator, approved.id, action(facts=before))
    assert home.events(approved.id)[-1] == "approval.revoked"


@pytest.mark.parametrize(
    ("who", "role"), [("lee", "viewer"), ("max", "user")], ids=["requester", "approver"]
)
def test_permissions_are_checked_again_at_the_claim(home: Home, who: str, role: str) -> None:
    """A requester who may not write or an approver who may not decide any more: no run."""
    lee, approver = home.add_user("lee", "user"), home.add_user("max", "operator")
    approved = home.approve(home.open(lee), approver)
    home.set_role(who, role)
    with pytest.raises(Denied, match=f"{who} no longer has the permission"):
        home.approvals.claim(home.operator, approved.id, action())
    assert home.approvals.get(home.operator, approved.id).status == "revoked"


def test_another_users_grant_takes_the_right_to_decide(home: Home) -> None:
    """Users claim what they asked for themselves."""
    lee = home.add_user("lee", "user")
    approved = home.approve(home.open())
    with pytest.raises(Denied, match="approvals:decide"):
        home.approvals.claim(lee, approved.id, action())
    assert home.approvals.get(lee, approved.id).status == "approved"


def test_a_claim_of_a_dead_process_becomes_unknown(home: Home, clock: TurnableClock) -> None:
    """What it did is not known, and it is never run again."""
    approved = home.approve(home.open())
    grant = home.approvals.claim(home.operator, approved.id, action())
    clock.boot = "next-boot"
    assert home.approvals.sweep() == 1
    assert home.approvals.get(home.operator, approved.id).status == "unknown"
    with pytest.raises(Conflict, match="its process died"):
        home.approvals.claim(home.operator, approved.id, action())
    with pytest.raises(Conflict, match="never run again"):
        home.approvals.finish(grant, "done after all", ok=True)


def test_a_claim_of_a_living_process_is_left_alone(home: Home) -> None:
    """The sweeper does not judge what still runs."""
    approved = home.approve(home.open())
    home.approvals.claim(home.operator, approved.id, action())
    assert home.approvals.sweep() == 0


def test_sweeping_loses_a_race_quietly(home: Home, clock: TurnableClock) -> None:
    """A row that somebody else buried first is not counted and not audited twice."""
    opened = home.open()
    row = home.approvals._ledger.find(opened.id)
    clock.pass_time(301)
    home.approvals.sweep()
    with home.database.transaction() as connection:
        assert home.approvals._claims._bury(connection, row) is False
    assert home.events(opened.id) == ["approval.requested", "approval.expired"]


def test_wait_returns_as_soon_as_it_is_decided(home: Home) -> None:
    """Another thread says yes, and the waiting one goes on long before its time is over."""
    opened = home.open()
    timer = threading.Timer(0.05, home.approve, [opened])
    timer.start()
    assert home.approvals.wait(home.operator, opened.id, 60).status == "approved"
    timer.join()


def test_wait_ends_with_its_time(home: Home) -> None:
    """The request stays pending, and the error names it."""
    opened = home.open()
    with pytest.raises(Waiting, match=opened.id) as caught:
        home.approvals.wait(home.operator, opened.id, 0.01)
    assert caught.value.approval_id == opened.id
    assert caught.value.hint == f"ai approve {opened.id}"


def test_wait_says_expired_where_both_are_true(home: Home, clock: TurnableClock) -> None:
    """The end of the request wins over the end of the waiting."""
    opened = home.open()
    clock.pass_time(301)
    with pytest.raises(Expired):
        home.approvals.wait(home.operator, opened.id, 0)


@pytest.fixture
def like_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three requests whose ids begin alike."""
    made = iter(["aaaa000000000001", "aaaa000000000002", "aaab000000000003"])
    monkeypatch.setattr("localai.approvals.service.new_id", lambda: next(made))
    return [home.open().id for _ in range(3)]


def test_an_ambiguous_prefix_lists_the_candidates(home: Home, like_named: list[str]) -> None:
    """Nothing is decided by a guess."""
    with pytest.raises(Invalid, match="aaaa000000000001, aaaa000000000002"):
        home.approvals.reject(home.operator, "aaaa")


def test_a_prefix_is_looked_for_among_what_the_verb_can_act_on(
    home: Home, like_named: list[str]
) -> None:
    """When all but one are decided, the short prefix names the one that is left."""
    home.approvals.reject(home.operator, like_named[0])
    assert home.approvals.reject(home.operator, "aaaa").id == like_named[1]
    with pytest.raises(Invalid, match="names 2 approvals"):
        home.approvals.reject(home.operator, "aaaa")


def test_a_whole_id_is_never_ambiguous(home: Home, like_named: list[str]) -> None:
    """The full id names its row whatever else begins so."""
    assert home.approvals.get(home.operator, like_named[2]).id == like_named[2]


@pytest.mark.parametrize("prefix", ["", "%", "____", "abc", "aaa%", "AAAA", "aaaa'--", "aaaag"])
def test_no_wildcard_matches(home: Home, like_named: list[str], prefix: str) -> None:
    """An id is at least four hexadecimal digits, nothing else."""
    with pytest.raises(Invalid, match="is not an id"):
        home.approvals.get(home.operator, prefix)


def test_an_unknown_id_is_not_found(home: Home) -> None:
    """And the hint lists what there is."""
    with pytest.raises(NotFound) as caught:
        home.approvals.get(home.operator, ids.new_id())
    assert caught.value.hint == "ai approvals list"


@pytest.mark.parametrize("reason", ["x" * 4097, "\ud800"])
def test_reasons_that_cannot_be_kept_are_refused(home: Home, reason: str) -> None:
    """Too long, or no text at all."""
    with pytest.raises(Invalid, match="the reason"):
        home.open(reason=reason)


def test_a_blank_reason_is_none(home: Home) -> None:
    """Spaces say nothing."""
    assert home.open(reason=" \n").reason is None


def test_list_filters_and_counts(home: Home, clock: TurnableClock) -> None:
    """By status as the clock has it, tool, user and session."""
    lee = home.add_user("lee", "user")
    home.open(lee.agent("s1"))
    clock.pass_time(301)
    fresh = home.open(tool="run_command")

    def ids_of(**filters: Any) -> list[str]:
        return [item.tool_name for item in home.approvals.list(home.operator, **filters).items]

    assert ids_of() == ["run_command", "write_file"]
    assert ids_of(status="expired") == ids_of(user="lee") == ids_of(session="s1") == ["write_file"]
    assert ids_of(tool="run_command", status="pending") == ["run_command"]
    assert home.approvals.list(home.operator, user="lee", status="pending").total == 0
    assert home.approvals.get(home.operator, fresh.id).status == "pending"


def test_list_pages_from_the_newest_without_gaps(home: Home) -> None:
    """The pages together are the list."""
    made = [home.open().id for _ in range(5)]
    first = home.approvals.list(home.operator, limit=2)
    second = home.approvals.list(home.operator, limit=2, cursor=first.next)
    third = home.approvals.list(home.operator, limit=2, cursor=second.next)
    listed = [item.id for page in (first, second, third) for item in page.items]
    assert listed == made[::-1]
    assert (first.total, third.next) == (5, None)


@pytest.mark.parametrize("filters", [{"status": "done"}, {"cursor": "x"}, {"cursor": "9" * 30}])
def test_list_refuses_what_it_does_not_know(home: Home, filters: dict[str, Any]) -> None:
    """A wrong word is an error, not an empty list."""
    with pytest.raises(Invalid):
        home.approvals.list(home.operator, **filters)


def test_calls_that_nobody_was_asked_about_are_audited(home: Home) -> None:
    """What ran, by which rule, and how it ended."""
    agent = home.operator.agent("s")
    home.approvals.note_call(agent, "tool.ran", proposal(), "read 3 bytes", ok=True)
    entry = home.audit.page(limit=1).items[0]
    assert (entry.event, entry.subject, entry.actor) == ("tool.ran", "write_file", "kim")
    assert entry.details == {
        "action_sha256": action().sha256,
        "risk": "high",
        "rule": "normal.from-high",
        "kind": "agent",
        "session": "s",
        "sandbox": action().sandbox,
        "outcome": "read 3 bytes",
        "ok": True,
    }


def test_action_is_what_will_run(home: Home) -> None:
    """The stored action, read back."""
    assert home.approvals.action(home.operator, home.open().id) == action()


def test_a_conversation_has_five_requests_waiting_at_most(home: Home) -> None:
    """A flood is told so; what is decided or expires makes room, and others have their own."""
    agent = home.operator.agent("5e55")
    waiting = [home.open(agent) for _ in range(5)]
    with pytest.raises(Denied, match="5 requests of this conversation wait for a person already"):
        home.open(agent)
    assert home.approvals.list(home.operator).total == 5
    home.open(home.operator.agent("0ther"))
    home.open(home.operator)
    home.approve(waiting[0])
    home.open(agent)
    with pytest.raises(Denied):
        home.open(agent)
    home.clock.pass_time(301)
    home.open(agent)
