"""Reads every figure of this home at one moment: what was counted, what stands, the machine."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import sqlalchemy as sa

from localai import __version__
from localai.core import counters, log, metrics
from localai.core.counters import BUCKET, SUM, Counts
from localai.core.db import Database
from localai.core.errors import LocalaiError
from localai.core.metrics import CATALOGUE, MICRO, Distribution, Metric, Reading

Source = Callable[[sa.Connection], Iterable[Reading]]
SourceSince = Callable[[sa.Connection, int], Iterable[Reading]]


@dataclass(frozen=True)
class Collector:
    """Reads; it never writes. `sources` tell what rooms keep themselves, `machine` what it finds.

    `sources_since` tell what happened in a room since a moment.
    """

    database: Database
    sources: Sequence[Source]
    sources_since: Sequence[SourceSince]
    machine: Callable[[], Iterable[Reading]]

    def stored(self, connection: sa.Connection) -> list[Reading]:
        """What the database tells."""
        found = list(_completed(_counted(counters.read(connection))))
        for source in self.sources:
            found += source(connection)
        return found

    def read(self) -> Sequence[Reading]:
        """Everything; where the database cannot be read, the machine's figures and that."""
        started = perf_counter()
        found = list(self.machine())
        try:
            with self.database.read() as connection:
                found += self.stored(connection)
        except LocalaiError as error:
            log.write("metrics.unreadable", error=error.message)
            found.append(Reading(metrics.COLLECTOR_UP, 0))
        else:
            found.append(Reading(metrics.COLLECTOR_UP, 1))
        found.append(Reading(metrics.BUILD, 1, (__version__,)))
        found.append(Reading(metrics.SCRAPE_DURATION, perf_counter() - started))
        return found

    def read_since(self, since_us: int) -> Sequence[Reading]:
        """What happened since the hour of that moment began."""
        with self.database.read() as connection:
            found = list(_completed(_counted(counters.read_since(connection, since_us))))
            for source in self.sources_since:
                found += source(connection, since_us)
        return found


def _counted(counts: Counts) -> Iterator[Reading]:
    """The series that were counted, as metrics; what an older version counted is left out."""
    for metric in CATALOGUE.values():
        if metric.kind == "histogram":
            yield from _histograms(metric, counts)
        for labels, value in counts.get(metric.name, ()):
            yield Reading(
                metric, value / MICRO if metric.is_fine else value, _values(metric, labels)
            )


def _histograms(metric: Metric, counts: Counts) -> Iterator[Reading]:
    bounds = [*map(str, metric.buckets), "+Inf"]
    found: defaultdict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * len(bounds))
    for labels, value in counts.get(metric.name + BUCKET, ()):
        if (bound := labels.pop("le")) in bounds:
            found[_values(metric, labels)][bounds.index(bound)] += value
    sums = {_values(metric, labels): n for labels, n in counts.get(metric.name + SUM, ())}
    for values, buckets in found.items():
        yield Reading(metric, Distribution(tuple(buckets), sums.get(values, 0) / MICRO), values)


def _completed(readings: Iterable[Reading]) -> Iterator[Reading]:
    """What was counted, and a nought for every series beside it."""
    found: dict[str, dict[tuple[str, ...], Reading]] = {name: {} for name in CATALOGUE}
    for reading in readings:
        found[reading.metric.name][reading.labels] = reading
    for metric in CATALOGUE.values():
        if metric.kind == "gauge" or metric in _OF_ROOMS:
            continue
        there = found[metric.name]
        for labels in sorted(metric.all_labels(tuple(there))):
            yield there.get(labels) or Reading(metric, _nothing(metric), labels)


# What a room keeps itself: it tells all series of it.
_OF_ROOMS = (
    metrics.APPROVAL_REQUESTS,
    metrics.APPROVAL_RESPONSE,
    metrics.APPROVAL_TIMEOUTS,
    metrics.APPROVAL_LAPSED,
)


def _nothing(metric: Metric) -> float | Distribution:
    return Distribution((0,) * (len(metric.buckets) + 1), 0) if metric.buckets else 0


def _values(metric: Metric, labels: dict[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in metric.labels)
