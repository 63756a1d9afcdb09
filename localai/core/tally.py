"""Counts what happens often: in memory, written down within a second and at the end."""

import threading
from collections import Counter

from localai.core import log
from localai.core.counters import ITSELF, amount, observed, put
from localai.core.db import Database
from localai.core.errors import LocalaiError
from localai.core.metrics import Metric

_SECONDS = 1.0


class Tally:
    """Counts that cost no commit. A process that is killed loses those of its last second.

    What changes state is counted by `counters.count`, in the transaction of the change.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: Counter[tuple[str, tuple[str, ...], str]] = Counter()
        self._metrics: dict[str, Metric] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # one flush at a time: closing waits for the timer's
        self._timer: threading.Timer | None = None

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Count one, or more."""
        self._add(metric, labels, ((ITSELF, amount(metric, by)),))

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        self._add(metric, labels, observed(metric, value))

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

    def _add(
        self, metric: Metric, labels: tuple[str, ...], parts: tuple[tuple[str, int], ...]
    ) -> None:
        with self._lock:
            self._metrics[metric.name] = metric
            for part, by in parts:
                self._counts[metric.name, labels, part] += by
            if self._timer is None:
                self._timer = threading.Timer(_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def _flush(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self._database.is_open:
                return  # a count is no reason to open one
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with self._database.transaction() as connection:
                for (name, labels, part), by in counts.items():
                    put(connection, self._metrics[name], labels, part, by)
        except LocalaiError as error:
            log.write("metrics.not-counted", error)
            with self._lock:
                self._counts.update(counts)
