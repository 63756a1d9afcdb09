"""What this home is held to: shares of good events, and how much of the rest may be spent.

Alert rules and the terminal's view are both made from these. The windows are those of
https://sre.google/workbook/alerting-on-slos/.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Literal

from localai.core import metrics
from localai.core.metrics import Distribution, Metric, Reading

WINDOW_DAYS: Final = 30


@dataclass(frozen=True)
class Series:
    """Series of a metric: the counter itself, or a histogram's `count` or one of its `buckets`.

    `where` gives for labels the regular expression that all of a value must match; `unless` the
    one that it must not.
    """

    metric: Metric
    part: Literal["counter", "count", "bucket"] = "counter"
    where: Mapping[str, str] = field(default_factory=dict)
    unless: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name under which it is published."""
        return self.metric.name + ("" if self.part == "counter" else f"_{self.part}")

    @property
    def selector(self) -> str:
        """As PromQL selects it."""
        matchers = [f'{label}=~"{what}"' for label, what in self.where.items()]
        matchers += [f'{label}!~"{what}"' for label, what in self.unless.items()]
        return f"{self.name}{{{','.join(matchers)}}}" if matchers else self.name

    def sum(self, readings: Iterable[Reading]) -> float:
        """How many events they count together."""
        return sum(self._of(each) for each in readings if each.metric is self.metric)

    def _of(self, reading: Reading) -> float:
        labels = dict(zip(reading.metric.labels, reading.labels, strict=True))
        if not isinstance(reading.value, Distribution):
            return reading.value if self.holds(labels) else 0
        if self.part == "count":
            return reading.value.count if self.holds(labels) else 0
        counts = accumulate(reading.value.buckets)
        return sum(
            number
            for bound, number in zip(reading.metric.bounds, counts, strict=True)
            if self.holds({**labels, "le": bound})
        )

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is one of them."""
        return all(re.fullmatch(what, labels[name]) for name, what in self.where.items()) and not (
            any(re.fullmatch(what, labels[name]) for name, what in self.unless.items())
        )


@dataclass(frozen=True)
class Objective:
    """A share of events that are to be good, over `WINDOW_DAYS`."""

    name: str
    title: str
    told: str
    target: float
    good: tuple[Series, ...]
    total: tuple[Series, ...]


@dataclass(frozen=True)
class Burn:
    """Spending the budget `factor` times too fast, for a long window and still in a short one."""

    severity: Literal["critical", "warning"]
    factor: float
    long: str
    short: str


BURNS: Final = (
    Burn("critical", 14.4, "1h", "5m"),
    Burn("critical", 6, "6h", "30m"),
    Burn("warning", 3, "1d", "2h"),
    Burn("warning", 1, "3d", "6h"),
)

# Being scraped is no service to anybody.
_SERVED = {"service": "metrics"}
ANSWERED_S: Final = "300.0"

OBJECTIVES: Final = (
    Objective(
        "requests",
        "Requests are served",
        "99% of HTTP requests end without an error of ours (5xx).",
        0.99,
        (Series(metrics.HTTP_REQUESTS, unless={**_SERVED, "status": "5.."}),),
        (Series(metrics.HTTP_REQUESTS, unless=_SERVED),),
    ),
    Objective(
        "answers",
        "Answers succeed",
        "99% of chats, questions to documents and indexings do what was asked.",
        0.99,
        (Series(metrics.OPERATIONS, where={"result": "ok"}),),
        (Series(metrics.OPERATIONS),),
    ),
    Objective(
        "approvals",
        "Requests are decided",
        "95% of requests that nobody withdraws are decided within 5 minutes.",
        0.95,
        (Series(metrics.APPROVAL_RESPONSE, "bucket", where={"le": ANSWERED_S}),),
        (Series(metrics.APPROVAL_RESPONSE, "count"), Series(metrics.APPROVAL_TIMEOUTS)),
    ),
)
