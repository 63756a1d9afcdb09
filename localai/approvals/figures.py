"""What there is to tell of requests, as metrics: taken from figures that the database keeps.

A request is over when the clock says so, whether or not a process has written that down yet.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa

from localai.approvals import rows
from localai.approvals.statistics import edges, kept
from localai.approvals.tables import approval_counts as c
from localai.approvals.tables import approval_waits as w
from localai.core import metrics
from localai.core.clock import Clock
from localai.core.counters import HOUR_US
from localai.core.metrics import MICRO, Distribution, Reading

_STATES = (
    sa.select(
        c.c.state,
        sa.func.sum(c.c.requests).label("requests"),
        sa.func.sum(c.c.waited_us).label("waited_us"),
    )
    .where(c.c.span_us == 0)
    .group_by(c.c.state)
)
_WAITS = sa.select(w.c.bucket, w.c.requests).where(w.c.span_us == 0)


def readings(connection: sa.Connection, clock: Clock) -> Iterator[Reading]:
    """All that ever happened to requests, and what waits now."""
    states: Counter[str] = Counter()
    waited = 0
    for state, requests, waited_us in connection.execute(_STATES):
        states[state] += requests
        waited += waited_us
    buckets = Counter({row.bucket: row.requests for row in connection.execute(_WAITS)})
    over, oldest_us = _waiting(connection, clock)
    yield from _told(states, buckets, waited, over)
    yield Reading(metrics.APPROVAL_PENDING, states["pending"] - over)
    age = 0 if oldest_us is None else max(clock.now_us() - oldest_us, 0)
    yield Reading(metrics.APPROVAL_OLDEST, age / MICRO)


def readings_since(connection: sa.Connection, clock: Clock, since_us: int) -> Iterator[Reading]:
    """What became of the requests that were made since the hour of that moment."""
    over, _ = _waiting(connection, clock, since_us)
    yield from _told(*kept(connection, since_us), over)


def _waiting(connection: sa.Connection, clock: Clock, since_us: int = 0) -> tuple[int, int | None]:
    """How many wait although their time is over, and when the oldest of the others was made."""
    asked = {**rows.clocks(clock), "since": since_us // HOUR_US * HOUR_US}
    row = connection.execute(rows.STANDING, asked).one()
    return row.over or 0, row.oldest_us


def _told(states: Counter[str], buckets: Counter[int], waited: int, over: int) -> Iterator[Reading]:
    opened, decided = states.total(), buckets.total()
    withdrawn, waiting, rejected = states["cancelled"], states["pending"], states["rejected"]
    # What was approved may be anything by now; what was not decided and does not wait is over.
    expired = opened - decided - withdrawn - waiting + over
    became = {
        "pending": opened,
        "approved": decided - rejected,
        "rejected": rejected,
        "expired": expired,
        "cancelled": withdrawn,
    }
    for status, requests in became.items():
        yield Reading(metrics.APPROVAL_REQUESTS, requests, (status,))
    yield Reading(metrics.APPROVAL_TIMEOUTS, expired)
    yield Reading(metrics.APPROVAL_LAPSED, states["expired"] - (expired - over))
    yield Reading(metrics.APPROVAL_RESPONSE, _distribution(buckets, waited / MICRO))


def _distribution(buckets: Counter[int], total: float) -> Distribution:
    """Each kept bucket lies within one of ours: a second and a minute are bounds of both."""
    bounds = metrics.APPROVAL_RESPONSE.buckets
    found = [0] * (len(bounds) + 1)
    for bucket, requests in buckets.items():
        found[bisect_left(bounds, edges(bucket)[1] / MICRO)] += requests
    return Distribution(tuple(found), total)
