"""Counts what happens often: in memory, written down within a second and at the end."""

import threading
from collections import Counter, deque

from localai.core import log
from localai.core.counters import ITSELF, amount, observed, put
from localai.core.db import Database
from localai.core.errors import LocalaiError
from localai.core.metrics import Metric

_SECONDS = 1.0
_MOST = 20_000  # events in a row; more are added up at once

Key = tuple[Metric, tuple[str, ...], str]


class Tally:
    """Counts that cost no commit. A process that is killed loses those of its last second.

    What changes state is counted by `counters.count`, in the transaction of the change.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # Appending is atomic and takes no lock: a permission check must not pay for being counted.
        self._events: deque[tuple[Metric, tuple[str, ...], float]] = deque()
        self._counts: Counter[Key] = Counter()
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # one flush at a time: closing waits for the timer's
        self._timer: threading.Timer | None = None

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Count one, or more."""
        self._events.append((metric, labels, by))
        if self._timer is None or len(self._events) > _MOST:
            self._tend()

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        self.count(metric, *labels, by=value)

    def flush(self) -> None:
        """Write down what was counted; what cannot be written is kept for the next time."""
        with self._writing:
            self._flush()

    def close(self) -> None:
        """Write down the last ones; nothing is written by this object afterwards."""
        timer = self._timer
        self.flush()
        if timer is not None:
            timer.cancel()
            timer.join()

    def _tend(self) -> None:
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()
            if len(self._events) > _MOST:
                self._add_up()

    def _add_up(self) -> None:
        waiting = Counter(self._events.popleft() for _ in range(len(self._events)))
        for (metric, labels, by), times in waiting.items():
            parts = observed(metric, by) if metric.buckets else ((ITSELF, amount(metric, by)),)
            for part, number in parts:
                self._counts[metric, labels, part] += number * times

    def _flush(self) -> None:
        with self._lock:
            # First this: what is counted from now on sets another timer.
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self._database.is_open:
                return  # a count is no reason to open one
            self._add_up()
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with self._database.transaction() as connection:
                for (metric, labels, part), by in counts.items():
                    put(connection, metric, labels, part, by)
        except LocalaiError as error:
            log.write("metrics.not-counted", error)
            with self._lock:
                self._counts.update(counts)
