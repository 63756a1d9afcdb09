"""Statistics over requests: how many, how they ended, how long people took.

They are read from figures that the database keeps by the hour and by the day, so that a million
requests cost no more than a few; what lies before the first whole hour is counted row by row.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from localai.approvals.tables import approval_counts as c
from localai.approvals.tables import approval_waits as w
from localai.approvals.tables import approvals as a
from localai.core.clock import rfc3339

_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_DAY = 24 * _HOUR
_BEFORE_ALL = -(2**62)
_WAITED = a.c.decided_us - a.c.created_us
_DECIDED = sa.text("decided_us IS NOT NULL AND state <> 'cancelled'")  # as in approvals_by_wait
_SINCE, _HOURS, _DAYS = (sa.bindparam(name, type_=sa.BigInteger) for name in ("since", "h", "d"))
_EDGE = (a.c.created_us >= _SINCE, a.c.created_us < _HOURS)


@dataclass(frozen=True)
class Statistics:
    """Counts, shares from 0 to 1, and times to a decision in seconds; None where there is none."""

    since: str
    total: int
    by_status: Mapping[str, int]
    approval_rate: float | None
    avg_time: float | None
    median_time: float | None
    p95_time: float | None
    expired_share: float | None
    by_tool: Mapping[str, Mapping[str, int]]
    by_decider: Mapping[str, Mapping[str, int]]


def read(connection: sa.Connection, since_us: int) -> Statistics:
    """The figures of the requests made since then; those that are over are written down as such."""
    since = {"since": max(since_us, 0), "h": _up(since_us, _HOUR), "d": _up(since_us, _DAY)}
    counts = connection.execute(_COUNTS, since).all()
    buckets = Counter(_bucket(each) for each in connection.scalars(_EDGE_WAITS, since))
    for bucket, requests in connection.execute(_BUCKETS, since):
        buckets[bucket] += requests

    def waited(rank: int) -> int:
        for bucket in sorted(buckets):
            if rank < buckets[bucket]:
                low, high = edges(bucket)
                place = {**since, "low": low, "high": high - 1, "rank": rank}
                return int(connection.execute(_RANKED, place).scalar_one())
            rank -= buckets[bucket]
        raise AssertionError(rank)

    return _summary(since_us, counts, waited)


def kept(connection: sa.Connection, since_us: int) -> tuple[Counter[str], Counter[int], int]:
    """Requests made since the hour of that moment: how many by state, how many waits by bucket.

    And the sum of those waits in microseconds. Nothing is counted row by row.
    """
    hour = max(since_us, 0) // _HOUR * _HOUR
    since = {"since": hour, "h": hour, "d": _up(hour, _DAY)}
    states: Counter[str] = Counter()
    waited = 0
    for row in connection.execute(_COUNTS, since):
        states[row.state] += row.requests
        waited += row.waited_us
    buckets: Counter[int] = Counter()
    for bucket, requests in connection.execute(_BUCKETS, since):
        buckets[bucket] += requests
    return states, buckets, waited


def edges(bucket: int) -> tuple[int, int]:
    """What a bucket of `approval_waits` holds: from so many microseconds to less than so many.

    Hundredths of the first second, seconds to the tenth minute, minutes after that.
    """
    low, high = _edge(bucket), _edge(bucket + 1)
    return (low if bucket else _BEFORE_ALL), high


def _edge(bucket: int) -> int:
    if bucket < _SECONDS:
        return bucket * _SECOND // 100
    if bucket < _MINUTES:
        return (bucket - _SECONDS + 1) * _SECOND
    return (bucket - _MINUTES + 10) * 60 * _SECOND


_SECONDS, _MINUTES = 100, 699  # the first bucket that holds a second, and a minute


def _bucket(waited: int) -> int:
    if waited < _SECOND:
        return max(waited, 0) * 100 // _SECOND
    if waited < 600 * _SECOND:
        return _SECONDS - 1 + waited // _SECOND
    return _MINUTES - 10 + waited // (60 * _SECOND)


def _up(moment: int, span: int) -> int:
    return -(-max(moment, 0) // span) * span


def _whole_spans(table: sa.Table, *groups: Any, **sums: Any) -> "Iterator[sa.Select[Any]]":
    hours = (table.c.span_us == _HOUR, table.c.start_us >= _HOURS, table.c.start_us < _DAYS)
    days = (table.c.span_us == _DAY, table.c.start_us >= _DAYS)
    columns = (*groups, *(sa.func.sum(column).label(name) for name, column in sums.items()))
    yield from (sa.select(*columns).where(*each).group_by(*groups) for each in (hours, days))


_EDGE_COUNTS = (
    sa.select(
        *(a.c.tool, a.c.state, sa.func.coalesce(a.c.decided_by, "").label("decided_by")),
        sa.func.count().label("requests"),
        sa.func.sum(sa.case((_DECIDED, _WAITED), else_=0)).label("waited_us"),
    )
    .where(*_EDGE)
    .group_by(a.c.tool, a.c.state, a.c.decided_by)
)
_COUNTS = sa.union_all(
    _EDGE_COUNTS,
    *_whole_spans(
        c,
        *(c.c.tool, c.c.state, c.c.decided_by),
        requests=c.c.requests,
        waited_us=c.c.waited_us,
    ),
)
_EDGE_WAITS = sa.select(_WAITED).where(*_EDGE, _DECIDED)
_BUCKETS = sa.union_all(*_whole_spans(w, w.c.bucket, requests=w.c.requests))
_RANKED = (
    sa.select(_WAITED)
    .where(_DECIDED, _WAITED.between(sa.bindparam("low"), sa.bindparam("high")))
    .where(a.c.created_us >= _SINCE)
    .order_by(_WAITED)
    .limit(1)
    .offset(sa.bindparam("rank"))
)


def _summary(since_us: int, counts: Sequence[Any], waited: Callable[[int], int]) -> Statistics:
    """Of rows of tool, state, decided_by, requests and waited_us; `waited` gives the n-th wait."""
    decided = [row for row in counts if row.decided_by and row.state != "cancelled"]
    of_decided = sum(row.requests for row in decided)
    rejected = sum(row.requests for row in decided if row.state == "rejected")
    by_status = _counted((row.state, "", row.requests) for row in counts)
    statuses = {name: each[""] for name, each in by_status.items()}
    total = sum(statuses.values())
    return Statistics(
        since=rfc3339(since_us) or "",
        total=total,
        by_status=statuses,
        approval_rate=_share(of_decided - rejected, of_decided),
        avg_time=_share(sum(row.waited_us for row in decided) / _SECOND, of_decided),
        median_time=_middle(of_decided, waited),
        p95_time=waited(-(-95 * of_decided // 100) - 1) / _SECOND if of_decided else None,
        expired_share=_share(statuses.get("expired", 0), total),
        by_tool=_counted((row.tool, row.state, row.requests) for row in counts),
        by_decider=_counted((row.decided_by, _decision(row), row.requests) for row in decided),
    )


def _decision(row: Any) -> str:
    return "rejected" if row.state == "rejected" else "approved"


def _counted(counts: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for name, kind, requests in counts:
        if requests:
            found.setdefault(name, Counter())[kind] += requests
    return {name: dict(sorted(found[name].items())) for name in sorted(found)}


def _middle(count: int, waited: Callable[[int], int]) -> float | None:
    if not count:
        return None
    return (waited((count - 1) // 2) + waited(count // 2)) / 2 / _SECOND


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
