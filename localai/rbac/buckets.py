"""Token buckets in the database, exact whoever takes from them.

A bucket is kept as the moment at which it is full again, in whole microseconds, so that nothing is
lost to rounding: the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371,
annex A). Every function is one step of its caller's transaction.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from localai.core.rate import Rate
from localai.rbac.tables import rate_buckets as b

SECOND = 1_000_000
_FIND = sa.select(b.c.full_us, b.c.refused).where(
    b.c.user_id == sa.bindparam("of_user"), b.c.tool == sa.bindparam("of_tool")
)
_NEW = insert(b)
_PUT = _NEW.on_conflict_do_update(
    index_elements=[b.c.user_id, b.c.tool],
    set_={"full_us": _NEW.excluded.full_us, "refused": _NEW.excluded.refused},
)


@dataclass(frozen=True)
class Bucket:
    """A user's bucket of one thing, and how fast it fills; as much again may be owed to some."""

    user: str
    thing: str
    rate: Rate
    may_owe: bool = False

    @property
    def cost_us(self) -> int:
        """How long one of its contents takes to come back; rounded up: never one too many."""
        return -(-self.rate.seconds * SECOND // self.rate.calls)

    @property
    def span_us(self) -> int:
        """How long it takes to fill from nothing."""
        return self.rate.calls * self.cost_us


@dataclass(frozen=True)
class Taken:
    """What came of it: `amount` was taken, `left` is there, all is back in `full_in_us`.

    Where there was too little, it is there in `wait_us`; `refused` is how often in a row that was
    so.
    """

    amount: int
    left: int
    full_in_us: int
    wait_us: int = 0
    refused: int = 0


def take(
    connection: sa.Connection, bucket: Bucket, now: int, least: int = 1, most: int = 1
) -> Taken:
    """Take as many as are there, no less than `least` and no more than `most`; else nothing."""
    full, refused = _find(connection, bucket, now)
    left = _left(bucket, full, now)
    amount = min(left, most) if left >= least else 0
    refused = refused + 1 if left < least else 0
    full += amount * bucket.cost_us
    _put(connection, bucket, full, refused)
    wait = 0 if not refused else full + least * bucket.cost_us - (now + bucket.span_us)
    return Taken(amount, left - amount, full - now, wait, refused)


def give_back(connection: sa.Connection, bucket: Bucket, now: int, amount: int) -> None:
    """Put back what was taken and not used; of less than nothing, take so much more."""
    full, refused = _find(connection, bucket, now)
    _put(connection, bucket, max(full - amount * bucket.cost_us, now), refused)


def look(connection: sa.Connection, bucket: Bucket, now: int) -> Taken:
    """How it stands."""
    full, _ = _find(connection, bucket, now)
    return Taken(0, _left(bucket, full, now), full - now)


def _left(bucket: Bucket, full: int, now: int) -> int:
    return max(0, (now + bucket.span_us - full) // bucket.cost_us)


def _find(connection: sa.Connection, bucket: Bucket, now: int) -> tuple[int, int]:
    names = {"of_user": bucket.user, "of_tool": bucket.thing}
    found: Any = connection.execute(_FIND, names).one_or_none()
    if found is None:
        return now, 0
    # A clock that was set back must not leave the bucket empty for long.
    most = bucket.span_us * (2 if bucket.may_owe else 1)
    return min(max(found.full_us, now), now + most), found.refused


def _put(connection: sa.Connection, bucket: Bucket, full: int, refused: int) -> None:
    row = {"user_id": bucket.user, "tool": bucket.thing, "full_us": full, "refused": refused}
    connection.execute(_PUT, row)
