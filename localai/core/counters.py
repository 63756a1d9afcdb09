"""What happened, counted in the database: a short-lived command's counts outlive it.

Seconds and shares are kept in millionths, so that sums are exact whoever adds them. The database
also keeps, by the hour and for three months, what each count was when the hour began: triggers do.
"""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from localai.core.canonical import canonical
from localai.core.db import Database, metadata
from localai.core.metrics import MICRO, MOST_SERIES, OTHER, Metric

Counts = Mapping[str, Sequence[tuple[dict[str, str], int]]]

HOUR_US: Final = 3600 * MICRO
ITSELF, SUM, BUCKET = "", "_sum", "_bucket"
_SUFFIX = {ITSELF: ITSELF, SUM: SUM}

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, primary_key=True),  # JSON, keys in order
    sa.Column("value", sa.BigInteger, nullable=False),
)
counter_hours = sa.Table(
    "counter_hours",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True),  # hours since 1970
    sa.Column("value", sa.BigInteger, nullable=False),  # before its first change in that hour
    sa.Index("counter_hours_by_hour", "hour"),
)

_NEW = insert(counters)
_ADD = _NEW.on_conflict_do_update(
    index_elements=[counters.c.name, counters.c.labels],
    set_={"value": counters.c.value + _NEW.excluded.value},
)
_NAMED = (
    counters.c.name == sa.bindparam("of_name"),
    counters.c.labels == sa.bindparam("of_labels"),
)
_IS_THERE = sa.select(sa.literal(1)).where(*_NAMED)
_LABELS = sa.select(counters.c.labels).where(counters.c.name == sa.bindparam("of_name"))
_ALL = sa.select(counters)
_BEFORE = (
    sa.select(counter_hours.c.value)
    .where(counter_hours.c.name == counters.c.name, counter_hours.c.labels == counters.c.labels)
    .where(counter_hours.c.hour >= sa.bindparam("of_hour"))
    .order_by(counter_hours.c.hour)
    .limit(1)
    .scalar_subquery()
)
_SINCE = sa.select(
    counters.c.name,
    counters.c.labels,
    (counters.c.value - sa.func.coalesce(_BEFORE, counters.c.value)).label("value"),
)


def count(connection: sa.Connection, metric: Metric, *labels: str, by: float = 1) -> None:
    """Count one, or more, in the transaction of what is counted; ValueError for other labels."""
    put(connection, metric, labels, ITSELF, amount(metric, by))


def observe(connection: sa.Connection, metric: Metric, value: float, *labels: str) -> None:
    """Add a value to a histogram, in the transaction of what took so long."""
    for part, by in observed(metric, value):
        put(connection, metric, labels, part, by)


def amount(metric: Metric, by: float) -> int:
    """So much as it is kept."""
    return round(max(by, 0) * MICRO) if metric.is_fine else int(by)


def observed(metric: Metric, value: float) -> tuple[tuple[str, int], tuple[str, int]]:
    """What a value adds to a histogram: one to its bucket, itself to the sum."""
    place = bisect_left(metric.buckets, value)
    return (metric.bounds[place], 1), (SUM, round(max(value, 0) * MICRO))


def put(
    connection: sa.Connection, metric: Metric, labels: tuple[str, ...], part: str, by: int
) -> None:
    """Add to a metric `ITSELF`, to the `SUM` of a histogram, or to its bucket of that bound."""
    if not by and part == ITSELF:
        return
    name, known = metric.name + _SUFFIX.get(part, BUCKET), _known(connection, metric, labels)
    if part not in _SUFFIX:
        known["le"] = part
    row = {"name": name, "labels": canonical(known).decode(), "value": by}
    connection.execute(_ADD, row)


def read(connection: sa.Connection) -> Counts:
    """All that was ever counted: by stored name, each series with its labels."""
    return _grouped(connection.execute(_ALL))


def read_since(connection: sa.Connection, since_us: int) -> Counts:
    """What was counted since the hour began in which that moment lies; three months are kept."""
    return _grouped(connection.execute(_SINCE, {"of_hour": since_us // HOUR_US}))


def counted(database: Database, metric: Metric) -> list[tuple[dict[str, str], int]]:
    """How many there were, by their labels."""
    query = sa.select(counters).where(counters.c.name == metric.name).order_by(counters.c.labels)
    with database.read() as connection:
        return [(json.loads(row.labels), row.value) for row in connection.execute(query)]


def _known(connection: sa.Connection, metric: Metric, values: tuple[str, ...]) -> dict[str, str]:
    """The labels; a new value among too many counts as another."""
    labels = metric.labelled(values)
    if None not in metric.labels.values():
        return labels
    name = metric.name + (SUM if metric.buckets else "")
    asked = {"of_name": name, "of_labels": canonical(labels).decode()}
    if connection.scalar(_IS_THERE, asked) or _has_room(connection, metric, name, labels):
        return labels
    return {key: OTHER if metric.labels[key] is None else told for key, told in labels.items()}


def _has_room(
    connection: sa.Connection, metric: Metric, name: str, labels: Mapping[str, str]
) -> bool:
    """Whether its open labels are among those that are told apart, or still may be."""
    opened = [each for each, known in metric.labels.items() if known is None]
    stored = (json.loads(text) for text in connection.scalars(_LABELS, {"of_name": name}))
    told = {tuple(each[label] for label in opened) for each in stored}
    mine = tuple(labels[label] for label in opened)
    return mine in told or len(told - {(OTHER,) * len(opened)}) < MOST_SERIES


def _grouped(rows: Iterable[Any]) -> Counts:
    found: defaultdict[str, list[tuple[dict[str, str], int]]] = defaultdict(list)
    for name, labels, value in rows:
        found[name].append((json.loads(labels), value))
    return found
