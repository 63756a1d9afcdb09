"""Figures that a test can read: what was counted, and how often each histogram was added to."""

from collections import Counter

from localai.core.metrics import Metric


class Kept:
    """Keeps what it is told, by the metric and its labels."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.values: dict[tuple[str, ...], list[float]] = {}

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        self.counts[metric.name, *metric.labelled(labels).values()] += by  # type: ignore[assignment]

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        key = (metric.name, *metric.labelled(labels).values())
        self.values.setdefault(key, []).append(value)

    def of(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """What was counted of it, by its labels."""
        return {key[1:]: n for key, n in self.counts.items() if key[0] == metric.name}

    def times(self, metric: Metric) -> dict[tuple[str, ...], int]:
        """How many values it was told, by its labels."""
        return {key[1:]: len(n) for key, n in self.values.items() if key[0] == metric.name}
