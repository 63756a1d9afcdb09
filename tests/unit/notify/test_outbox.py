"""What is told is neither lost nor told twice."""

import pytest
from conftest import TurnableClock
from notify_home import Room, request, room

from localai.core import lease
from localai.core.db import Database
from localai.core.directories import Directories
from localai.notify.outbox import MOST_AT_ONCE
from localai.notify.plan import Plan
from localai.notify.records import Failure


class StopError(Exception):
    """Ends a transaction."""


def test_what_is_rolled_back_is_not_told(told: Room) -> None:
    """The row is a part of its cause's transaction."""
    with pytest.raises(StopError), told.database.transaction() as connection:
        told.announcer.announce(connection, "approval.requested", request())
        raise StopError
    assert told.rows() == []


def test_the_same_event_is_told_once(told: Room) -> None:
    """Whoever writes it down a second time: a sweeper that was slower, say."""
    told.change(1)
    told.change(1)
    told.change(1, "approval.approved")
    assert [row.event for row in told.rows()] == ["requested", "approved"]


def test_what_nobody_is_told_of_is_not_written_down(told: Room) -> None:
    """Claims, ends and votes are no events."""
    for change in (
        "approval.claimed",
        "approval.succeeded",
        "approval.voted",
        "approval.cancelled",
    ):
        told.change(1, change)
    assert told.rows() == []


def test_several_notices_go_out_as_one_digest(told: Room) -> None:
    """Oldest first, each once."""
    for number in range(3):
        told.change(number)
        told.clock.advance(1)
    done = told.drain.look(("mail",))
    assert (done.sent, told.fake.messages[0].event) == (1, "digest")
    assert told.fake.approvals == [f"{number:016x}" for number in range(3)]
    assert told.states() == ["sent"] * 3


def test_after_a_message_the_next_ones_gather(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """The first is told at once, the others when the minute is over, together."""
    made = room(database, home, clock, batch_s=60)
    made.change(0)
    made.drain.look(("mail",))
    for number in range(1, 4):
        made.clock.advance(5)
        made.change(number)
        made.drain.look(("mail",))
    assert len(made.fake.messages) == 1
    assert made.outbox.next_due_us(["mail"]) == 1_760_000_060_000_000
    made.clock.advance(45)
    made.drain.look(("mail",))
    assert [len(message.notices) for message in made.fake.messages] == [1, 3]


def test_a_digest_holds_so_many_and_the_rest_follows(told: Room) -> None:
    """A mail with a thousand rows is read by nobody."""
    for number in range(MOST_AT_ONCE + 5):
        told.change(number)
    for _ in range(2):
        told.drain.look(("mail",))
        told.clock.advance(1)
    assert [len(message.notices) for message in told.fake.messages] == [MOST_AT_ONCE, 5]
    assert len(set(told.fake.approvals)) == MOST_AT_ONCE + 5


def test_what_a_webhook_gets_is_one_notice_at_a_time(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """Programs read events, not digests, and need no pause."""
    made = room(database, home, clock, plan=Plan(("webhook",)), batch_s=60)
    for number in range(3):
        made.change(number)
    assert made.drain.look(("webhook",)).sent == 3
    assert [message.event for message in made.fake.messages] == ["requested"] * 3


def test_a_failure_is_tried_again_after_its_wait_and_not_before(told: Room) -> None:
    """And the reason is kept."""
    told.change()
    told.fake.failing = lambda: Failure("the server is busy")
    assert told.drain.look(("mail",)).failed == ("mail: the server is busy",)
    (row,) = told.rows()
    assert (row.state, row.attempts, row.error) == ("queued", 1, "the server is busy")
    assert told.drain.look(("mail",)).failed == ()
    told.clock.advance(2)
    told.fake.failing = lambda: None
    assert told.drain.look(("mail",)).sent == 1
    assert told.rows()[0].error is None


def test_what_is_refused_for_good_is_dead_at_once_and_can_be_revived(told: Room) -> None:
    """A person who has mended the cause gives it another day."""
    told.change()
    told.fake.failing = lambda: Failure("no such user", is_permanent=True)
    told.drain.look(("mail",))
    assert told.states() == ["dead"]
    told.fake.failing = lambda: None
    told.notify.retry(None, told.rows()[0].id[:6])  # type: ignore[arg-type]
    assert told.drain.look(("mail",)).sent == 1


def test_nothing_is_sent_before_the_moment_that_a_server_names(told: Room) -> None:
    """Not even what was enqueued meanwhile."""
    told.change(0)
    told.fake.failing = lambda: Failure("too many", retry_after_s=600)
    told.drain.look(("mail",))
    told.fake.failing = lambda: None
    told.clock.advance(599)
    told.change(1)
    assert told.drain.look(("mail",)).sent == 0
    told.clock.advance(1)
    told.drain.look(("mail",))
    assert sorted(told.fake.approvals) == [f"{0:016x}", f"{1:016x}"]


def test_what_waits_for_another_try_rides_along_with_what_is_new(told: Room) -> None:
    """Once the server is back, one mail brings everything."""
    told.fake.failing = lambda: Failure("down")
    for number in range(4):
        told.change(number)
        told.drain.look(("mail",))
        told.clock.advance(1)
    told.fake.failing = lambda: None
    told.change(9)
    told.drain.look(("mail",))
    assert len(told.fake.messages) == 1
    assert len(set(told.fake.approvals)) == 5


def test_a_lease_of_a_dead_process_is_taken_back_and_its_message_keeps_its_id(
    told: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been sent: whoever gets it twice can tell."""
    told.change(0)
    told.change(1)
    with monkeypatch.context() as patched:
        patched.setattr(lease, "mine", lambda clock: f"{clock.boot_id} 999999999 1")
        batch = told.outbox.take("mail", gathers=True, apart_s=0)
    assert batch is not None
    assert told.drain.look(()).sent == 0
    told.clock.advance(1)
    told.change(2)
    told.drain.look(("mail",))
    told.clock.advance(1)
    told.drain.look(("mail",))
    assert [len(message.notices) for message in told.fake.messages] == [2, 1]
    assert told.fake.messages[0].id == batch.id


def test_what_a_living_process_sends_is_left_alone(told: Room) -> None:
    """Two never send the same."""
    told.change()
    assert told.outbox.take("mail", gathers=True, apart_s=0) is not None
    assert told.drain.look(("mail",)).sent == 0
    assert told.states() == ["leased"]


def test_an_uncertain_message_is_sent_again_under_its_id_and_alone(told: Room) -> None:
    """Only so can a duplicate be recognised."""
    told.change(0)
    told.fake.failing = lambda: Failure("broke off", is_uncertain=True)
    told.drain.look(("mail",))
    told.fake.failing = lambda: None
    told.clock.advance(2)
    told.change(1)
    told.drain.look(("mail",))
    told.clock.advance(1)
    told.drain.look(("mail",))
    assert [message.id for message in told.fake.tried[:2]] == [told.fake.tried[0].id] * 2
    assert [len(message.notices) for message in told.fake.messages] == [1, 1]


def test_an_escalation_waits_for_its_time_and_goes_apart(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """Others are told, so it is no part of the digest."""
    made = room(database, home, clock, plan=Plan(("mail",), escalate_s=120))
    made.change(0)
    made.drain.look(("mail",))
    made.clock.advance(119)
    assert made.drain.look(("mail",)).sent == 0
    made.clock.advance(1)
    made.change(1)
    made.drain.look(("mail",))
    made.clock.advance(1)
    made.drain.look(("mail",))
    assert sorted(message.event for message in made.fake.messages[1:]) == ["escalated", "requested"]


@pytest.mark.parametrize(
    "change", ["approval.approved", "approval.rejected", "approval.cancelled", "approval.expired"]
)
def test_a_decision_withdraws_the_escalation(
    change: str, database: Database, home: Directories, clock: TurnableClock
) -> None:
    """Nobody is woken for what is settled."""
    made = room(database, home, clock, plan=Plan(("mail",), escalate_s=120))
    made.change(0)
    made.change(1)
    made.change(0, change)
    left = [row.approval for row in made.rows() if row.event == "escalated"]
    assert left == [f"{1:016x}"]


def test_an_escalation_of_a_request_whose_time_is_over_is_dropped(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """Even if nobody has written down yet that it expired."""
    made = room(database, home, clock, plan=Plan(("mail",), escalate_s=120))
    made.change(0)
    made.drain.look(("mail",))
    made.clock.advance(301)
    made.drain.look(("mail",))
    assert [message.event for message in made.fake.messages] == ["requested"]
    assert made.states() == ["sent"]


def test_what_was_sent_is_forgotten_after_a_month_and_nothing_else(told: Room) -> None:
    """Dead letters stay until somebody has seen to them."""
    told.change(0)
    told.drain.look(("mail",))
    told.fake.failing = lambda: Failure("no", is_permanent=True)
    told.clock.advance(1)
    told.change(1)
    told.drain.look(("mail",))
    told.clock.advance(31 * 86_400)
    told.outbox.prune()
    assert told.states() == ["dead"]


def test_every_sending_is_counted(told: Room) -> None:
    """In the transaction that writes it down."""
    from localai.core.counters import counted
    from localai.core.metrics import NOTIFICATIONS

    told.change(0)
    told.fake.failing = lambda: Failure("down")
    told.drain.look(("mail",))
    told.fake.failing = lambda: None
    told.clock.advance(2)
    told.change(1)
    told.drain.look(("mail",))
    found = {labels["result"]: value for labels, value in counted(told.database, NOTIFICATIONS)}
    assert found == {"failed": 1, "sent": 2}
