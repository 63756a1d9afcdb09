"""Sending: nothing is lost in an outage, nothing is sent twice by two."""

import os
import random
import threading

import pytest
from conftest import TurnableClock
from notify_home import SECOND, Room, room

from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.errors import Unavailable
from localai.core.files import claimed
from localai.core.redact import remember
from localai.notify.backoff import GIVES_UP_S
from localai.notify.plan import Plan
from localai.notify.records import Failure, Pass

HOUR = 3600
IS_FULL = os.environ.get("PROVE") == "1"
EVENTS = 200 if IS_FULL else 30


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(5 if IS_FULL else 1))
def test_a_day_without_a_mail_server_loses_nothing(
    seed: int, database: Database, home: Directories, clock: TurnableClock
) -> None:
    """Every notice of the day is told once the server is back, each exactly once."""
    dice = random.Random(seed)
    made = room(database, home, clock, batch_s=60, uniform=dice.uniform)
    back_us = clock.now_us() + GIVES_UP_S * SECOND
    made.fake.failing = lambda: Failure("down") if clock.now_us() < back_us else None
    moments = sorted(dice.uniform(0, GIVES_UP_S) for _ in range(EVENTS))
    start = clock.now_us()
    for number, moment in enumerate([0.0, *moments]):
        _until(made, start + int(moment * SECOND))
        made.change(number)
    _until(made, back_us + 20 * 60 * SECOND)
    assert sorted(made.fake.approvals) == [f"{number:016x}" for number in range(EVENTS + 1)]
    assert set(made.states()) == {"sent"}
    assert len(made.fake.messages) < 10, "what gathered goes out in digests"
    assert len(made.fake.tried) < 20 * EVENTS + 200, "and the server is not stormed"


def _until(made: Room, moment_us: int) -> None:
    """Look whenever something is due, up to the moment."""
    while (due := made.outbox.next_due_us(["mail"])) is not None and due <= moment_us:
        made.clock.advance(max(due - made.clock.now_us(), 0) / SECOND)
        made.drain.look(("mail",))
    made.clock.advance(max(moment_us - made.clock.now_us(), 0) / SECOND)


def test_a_server_that_stays_away_longer_is_given_up_and_the_notice_kept(told: Room) -> None:
    """As a dead letter, with the last error."""
    told.change()
    told.fake.failing = lambda: Failure("still down")
    _until(told, told.clock.now_us() + 25 * HOUR * SECOND)
    (row,) = told.rows()
    assert (row.state, row.error) == ("dead", "still down")
    assert 100 < row.attempts < 130


def test_a_server_that_is_down_is_tried_thrice_at_once_and_then_ever_more_rarely(
    told: Room,
) -> None:
    """Two seconds, four, and then up to a quarter of an hour."""
    told.change()
    told.fake.failing = lambda: Failure("down")
    moments = []
    for _ in range(12):
        told.drain.look(("mail",))
        due = told.outbox.next_due_us(["mail"])
        assert due is not None
        moments.append((due - told.clock.now_us()) / SECOND)
        told.clock.advance(moments[-1])
    assert moments == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def test_once_sends_what_is_due_and_what_becomes_due_soon(told: Room) -> None:
    """It waits for quick retries and gathered notices, and not for a quarter of an hour."""
    told.change()
    answers = iter([Failure("greylisted"), Failure("greylisted"), None])
    told.fake.failing = lambda: next(answers)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        told.clock.advance(seconds)

    assert told.drain.once(wait) == Pass(1, ("mail: greylisted",) * 2)
    assert waited == [2, 4]
    told.change(1)
    told.fake.failing = lambda: Failure("down")
    told.drain.once(wait)
    assert told.states() == ["sent", "queued"]
    assert told.clock.now_us() < told.rows()[1].due_us


def test_once_leaves_it_to_a_process_that_is_at_it(told: Room) -> None:
    """Which looks again after it has given the lock back."""
    told.change()
    with claimed(told.drain._lock):
        assert told.drain.is_held
        assert told.drain.once() == Pass(0)
    assert not told.drain.is_held
    assert told.drain.once().sent == 1


def test_a_process_that_holds_the_lock_and_sleeps_does_not_stop_the_others(
    told: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation that was suspended with Ctrl-Z: after a minute another process sends."""
    started: list[str] = []
    monkeypatch.setattr(os, "posix_spawnp", lambda _, words, *__, **___: started.append(words[-1]))
    told.change(0)
    with claimed(told.drain._lock):
        told.clock.advance(59)
        told.change(1)
        assert started == ["/bin/true"], "the first, before the lock was held"
        assert told.drain.once() == Pass(0)
        told.clock.advance(2)
        told.change(2)
        assert started == ["/bin/true"] * 2
        assert told.drain.once().sent == 1
    assert told.states() == ["sent"] * 3


def test_a_system_that_starts_no_process_fails_no_decision(
    told: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told waits for the next one."""

    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "posix_spawnp", refused)
    told.change()
    assert told.states() == ["queued"]


def test_drains_that_look_at_once_send_each_notice_once(told: Room) -> None:
    """Even without the lock: every row is leased by one of them."""
    for number in range(20):
        told.change(number, risk="low")
    barrier = threading.Barrier(4)

    def drain() -> None:
        barrier.wait()
        while (batch := told.outbox.take("webhook", gathers=False, apart_s=0)) is not None:
            told.drain._send(batch)

    with told.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE notifications SET channel = 'webhook'")
    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told.fake.approvals) == [f"{number:016x}" for number in range(20)]


def test_a_bug_in_a_channel_is_a_failure_like_another(told: Room) -> None:
    """The notice is tried again, and the other channels are used."""

    def broken() -> Failure:
        raise ZeroDivisionError

    told.change()
    told.fake.failing = broken
    assert told.drain.look(("mail",)).failed == ("mail: a bug in localai: ZeroDivisionError",)
    assert told.states() == ["queued"]


def test_an_error_that_holds_a_secret_is_kept_without_it(told: Room) -> None:
    """In the outbox, from where it is listed."""
    remember("swordfish-77")
    told.change()
    told.fake.failing = lambda: Failure("the server says swordfish-77")
    told.drain.look(("mail",))
    assert told.rows()[0].error == "the server says [redacted]"


def test_what_runs_beside_sends_until_it_is_closed(told: Room) -> None:
    """A conversation, say; closing it ends the thread."""
    heard = threading.Event()
    told.fake.failing = heard.set
    told.change()
    told.notify.drain_in_background()
    assert heard.wait(20)
    told.notify.close()
    assert told.notify._thread is not None
    assert not told.notify._thread.is_alive()
    assert told.states() == ["sent"]


def test_a_database_that_is_away_for_a_moment_ends_nothing(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """The next look may find it."""

    def sweep() -> None:
        raise Unavailable("the database cannot be used")

    made = room(database, home, clock, sweep=sweep)
    said: list[Pass] = []

    def tell(done: Pass) -> None:
        said.append(done)
        made.drain.is_over.set()

    made.drain.forever(tell, is_heard=False)
    assert said == [Pass(0, ("the database cannot be used",))]


def test_the_terminal_is_rung_by_who_has_one_whoever_sends_the_mail(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """A service that sends has no bell to ring."""
    made = room(database, home, clock, plan=Plan(("mail", "terminal")))
    made.change()
    made.drain.once(lambda _: None)
    assert [row.state for row in made.rows() if row.channel == "terminal"] == ["queued"]
    with claimed(made.drain._lock):
        made.drain.forever(lambda _: made.drain.is_over.set(), is_heard=True)
    assert set(made.states()) == {"sent"}
