"""How this home stands, without Prometheus: objectives, their budgets, and the main figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from localai.core import metrics
from localai.core.metrics import Distribution, Metric, Reading
from localai.metrics.objectives import OBJECTIVES, Objective, Series

Readings = Sequence[Reading]
# A figure of a span of time; None where nothing was there to tell it from.
Figure = Callable[[Readings], float | None]


@dataclass(frozen=True)
class Held:
    """An objective and how it is kept: shares from 0 to 1, None without events.

    `budget_left` is the share of the allowed bad events that is unspent, below nought where more
    were spent; `burn` how many times too fast it was spent lately: 1 just lasts.
    """

    name: str
    title: str
    target: float
    events: int
    good_share: float | None
    budget_left: float | None
    burn: float | None


@dataclass(frozen=True)
class Overview:
    """Figures by name, of now, of lately and of the whole window: seconds, shares and counts."""

    at: str
    lately_since: str
    window_since: str
    objectives: tuple[Held, ...]
    now: Mapping[str, float]
    lately: Mapping[str, float | None]
    window: Mapping[str, float | None]


def held(objective: Objective, lately: Readings, window: Readings) -> Held:
    """How the objective is kept."""
    good, total = _events(objective, window)
    allowed = 1 - objective.target
    bad = _share(total - good, total)
    good_lately, total_lately = _events(objective, lately)
    bad_lately = _share(total_lately - good_lately, total_lately)
    return Held(
        objective.name,
        objective.title,
        objective.target,
        round(total),
        None if bad is None else 1 - bad,
        None if bad is None else 1 - bad / allowed,
        None if bad_lately is None else bad_lately / allowed,
    )


def figures(readings: Readings) -> dict[str, float | None]:
    """Every figure of a span of time."""
    return {name: figure(readings) for name, figure in FIGURES.items()}


def now(readings: Readings) -> dict[str, float]:
    """What stands at this moment, by name; where a metric has labels they follow its name."""
    return {
        " ".join([_NOW[reading.metric.name], *reading.labels]).strip(): reading.value
        for reading in readings
        if reading.metric.name in _NOW and not isinstance(reading.value, Distribution)
    }


def objectives(lately: Readings, window: Readings) -> tuple[Held, ...]:
    """How all of them are kept."""
    return tuple(held(each, lately, window) for each in OBJECTIVES)


def quantile(share: float, distribution: Distribution, bounds: Sequence[float]) -> float | None:
    """The value that so many stay below, as Prometheus' `histogram_quantile` tells it."""
    if not distribution.count:
        return None
    rank, below, low = share * distribution.count, 0, 0.0
    for high, inside in zip(bounds, distribution.buckets, strict=False):
        if inside and below + inside >= rank:
            return low + (high - low) * (rank - below) / inside
        below, low = below + inside, high
    return low


def _events(objective: Objective, readings: Readings) -> tuple[float, float]:
    good = sum(each.sum(readings) for each in objective.good)
    return good, sum(each.sum(readings) for each in objective.total)


def _total(metric: Metric, **where: str) -> Figure:
    return Series(metric, where=where).sum


def _at(share: float, metric: Metric) -> Figure:
    def figure(readings: Readings) -> float | None:
        found = [each.value for each in readings if each.metric is metric]
        columns = zip(
            *(each.buckets for each in found if isinstance(each, Distribution)), strict=True
        )
        merged = Distribution(tuple(map(sum, columns)), 0)
        return quantile(share, merged, metric.buckets)

    return figure


def _ratio(over: Figure, under: Figure) -> Figure:
    def figure(readings: Readings) -> float | None:
        return _share(over(readings) or 0, under(readings) or 0)

    return figure


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


_NOW = {
    metrics.APPROVAL_PENDING.name: "approvals_waiting",
    metrics.APPROVAL_OLDEST.name: "oldest_waiting_seconds",
    metrics.NOTIFICATIONS_WAITING.name: "notifications_waiting",
    metrics.RESOURCES.name: "in_use",
    metrics.GPU_MEMORY.name: "gpu_memory",
    metrics.GPU_BUSY.name: "gpu_busy",
}
FIGURES: dict[str, Figure] = {
    "answers": _total(metrics.OPERATIONS, result="ok"),
    "answers_failed": _total(metrics.OPERATIONS, result="failed"),
    "first_token_p95_seconds": _at(0.95, metrics.FIRST_TOKEN),
    "tokens_per_second": _ratio(
        _total(metrics.TOKENS, kind="generated"), _total(metrics.ENGINE_SECONDS, phase="decode")
    ),
    "tokens_written": _total(metrics.TOKENS, kind="generated"),
    "tokens_read": _total(metrics.TOKENS, kind="prompt"),
    "approvals_opened": _total(metrics.APPROVAL_REQUESTS, status="pending"),
    "approvals_approved": _total(metrics.APPROVAL_REQUESTS, status="approved"),
    "approvals_rejected": _total(metrics.APPROVAL_REQUESTS, status="rejected"),
    "approvals_timed_out": _total(metrics.APPROVAL_TIMEOUTS),
    "approval_p50_seconds": _at(0.5, metrics.APPROVAL_RESPONSE),
    "approval_p95_seconds": _at(0.95, metrics.APPROVAL_RESPONSE),
    "tool_runs": _total(metrics.TOOL_RUNS, status="succeeded|failed|unknown"),
    "tool_runs_failed": _total(metrics.TOOL_RUNS, status="failed|unknown"),
    "permissions_denied": _total(metrics.CHECKS, result="denied"),
    "notifications_sent": _total(metrics.NOTIFICATIONS, result="sent"),
    "notifications_failed": _total(metrics.NOTIFICATIONS, result="failed"),
    "http_requests": _total(metrics.HTTP_REQUESTS),
    "http_errors": _total(metrics.HTTP_REQUESTS, status="5.."),
}
