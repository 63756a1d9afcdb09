"""The outbox, from the side of who sends: what is due, what was taken, what is tried again.

A row is queued, leased, sent or dead. Leasing is one conditional update, so two processes never
send the same; a lease whose process died is taken back. What a crash may
have sent keeps its `batch`, so that it is sent again under the same id and can be recognised.
"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from localai.core import lease, log
from localai.core.clock import Clock
from localai.core.counters import count
from localai.core.db import Database
from localai.core.ids import new_id
from localai.core.metrics import NOTIFICATIONS
from localai.core.redact import redact
from localai.notify import rows
from localai.notify.backoff import next_us, wait_s
from localai.notify.records import Failure, Notice

MOST_AT_ONCE: Final = 50
_SECOND: Final = 1_000_000
_KEPT_US: Final = 30 * 86_400 * _SECOND
_MOST_ERROR: Final = 500

When = Callable[[int, str, str, str], int]


@dataclass(frozen=True)
class Batch:
    """Notices that go out as one message; `id` is the message's."""

    id: str
    channel: str
    notices: Sequence[Notice]


class Outbox:
    """The rows of one home. `when` moves a moment out of quiet hours, `uniform` draws waits."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        when: When,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._database = database
        self._clock = clock
        self._when = when
        self._uniform = uniform

    @property
    def now_us(self) -> int:
        """The moment, by the clock of the outbox."""
        return self._clock.now_us()

    def take(self, channel: str, *, gathers: bool, apart_s: float) -> Batch | None:
        """Lease what is due on the channel, if anything is and the channel may be used now.

        A channel that `gathers` is used once in `apart_s` seconds, for all that waits for it.
        """
        now = self._clock.now_us()
        with self._database.read() as connection:
            if not connection.scalar(rows.IS_DUE, {"channel": channel, "now": now}):
                return None
        with self._database.transaction() as connection:
            free_at = self._free_at(connection, channel, apart_s if gathers else 0)
            if free_at > now:
                connection.execute(rows.POSTPONE, {"of": channel, "now": now, "to": free_at})
                return None
            found = self._due(connection, channel, now, gathers=gathers)
            if not found:
                return None
            batch = found[0].batch or new_id()
            leased = {
                "ids": [row.id for row in found],
                "holder": lease.mine(self._clock),
                "as": batch,
                "now": now,
            }
            taken = connection.execute(rows.LEASE, leased).all()
        return Batch(batch, channel, [rows.notice(row) for row in taken])

    def _free_at(self, connection: sa.Connection, channel: str, apart_s: float) -> int:
        """When the channel may be used: not too soon after the last message, and not on hold."""
        last, held = connection.execute(rows.LAST, {"channel": channel}).one()
        return max((last or 0) + int(apart_s * _SECOND) if last else 0, held or 0)

    def _due(
        self, connection: sa.Connection, channel: str, now: int, *, gathers: bool
    ) -> Sequence[Any]:
        at = {"channel": channel, "now": now, "most": MOST_AT_ONCE if gathers else 1}
        first = connection.execute(rows.FIRST_DUE, {"channel": channel, "now": now}).one_or_none()
        if first is None:
            return ()
        if first.batch is not None:  # it may have been sent: nothing is added to it
            return connection.execute(rows.OF_BATCH, {"of": first.batch}).all()
        if not gathers:
            return [first]
        is_escalated = first.event == "escalated"
        # What waits for another try rides along: if one goes out now, all do.
        return connection.execute(rows.TOGETHER, {**at, "escalated": is_escalated}).all()

    def sent(self, batch: Batch, answer: str) -> None:
        """Write down that the message was taken."""
        with self._database.transaction() as connection:
            written = {"of": batch.id, "now": self._clock.now_us()}
            done = connection.execute(rows.SENT, written).rowcount
            count(connection, NOTIFICATIONS, batch.channel, "sent", by=done)
        for notice in batch.notices:
            _log("notify.sent", batch, notice, answer=answer)

    def failed(self, batch: Batch, failure: Failure) -> None:
        """Write down why the message was not taken, and when each of its notices is tried again."""
        error = redact(f"{failure.message}{_because(failure)}")[:_MOST_ERROR]
        with self._database.transaction() as connection:
            leased = connection.execute(rows.LEASED, {"of": batch.id}).all()
            # One wait for all: else the shortest of many would call on the server ever more often.
            fewest = min((row.attempts for row in leased), default=1)
            wait = max(wait_s(fewest, self._uniform), failure.retry_after_s or 0)
            returned = [self._returned(row, failure, wait, error) for row in leased]
            if returned:
                connection.execute(rows.RETURN, returned)
            count(connection, NOTIFICATIONS, batch.channel, "failed", by=len(leased))
            dead = sum(row["to_state"] == "dead" for row in returned)
            count(connection, NOTIFICATIONS, batch.channel, "dead", by=dead)
        for notice in batch.notices:
            told = {"tries": notice.attempts, "is_permanent": failure.is_permanent, "error": error}
            _log("notify.failed", batch, notice, **told)

    def _returned(self, row: Any, failure: Failure, wait: float, error: str) -> dict[str, Any]:
        now, asked = self._clock.now_us(), failure.retry_after_s
        due = next_us(now, row.first_us, wait)
        is_over = failure.is_permanent or due is None
        due = now if due is None else self._when(due, row.event, row.risk, row.channel)
        return {
            "of_id": row.id,
            "to_state": "dead" if is_over else "queued",
            "due": due,
            "held": now + int(asked * _SECOND) if asked and not is_over else None,
            "kept_batch": row.batch if failure.is_uncertain and not is_over else None,
            "why": error,
        }

    def release(self) -> None:
        """Take back the leases of dead processes, and drop what nobody needs any more."""
        now = self._clock.now_us()
        with self._database.read() as connection:
            held = connection.execute(rows.HELD).all()
            is_useless = connection.scalar(rows.USELESS, {"now": now})
        dead = [row.id for row in held if lease.is_dead(row.lease, self._clock)]
        if dead or is_useless:
            with self._database.transaction() as connection:
                connection.execute(rows.FREE, {"ids": dead})
                connection.execute(rows.DROP, {"now": now})

    def prune(self) -> None:
        """Forget what was sent a month ago."""
        with self._database.transaction() as connection:
            connection.execute(rows.PRUNE, {"before": self._clock.now_us() - _KEPT_US})

    def next_due_us(self, channels: Collection[str]) -> int | None:
        """When something is due next on these channels; None if nothing waits."""
        with self._database.read() as connection:
            found: int | None = connection.scalar(rows.NEXT, {"channels": list(channels)})
        return found


def _log(event: str, batch: Batch, notice: Notice, **told: object) -> None:
    """A line for each notice of a message, so that each is found by its request."""
    with log.about(approval=notice.approval):
        kind = {"channel": batch.channel, "notice": notice.event, "message": batch.id}
        log.write(event, **kind, **told)


def _because(failure: Failure) -> str:
    return "".join(f" ({cause})" for cause in failure.causes if cause not in failure.message)
