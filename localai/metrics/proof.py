"""Proof that no count was lost: what was counted is what the audit holds, to the last one."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from localai.core import metrics
from localai.core.audit import events
from localai.core.metrics import Reading
from localai.metrics.objectives import Series

# What is compared: series of the metrics, and the audited events that they count together.
_SAME: dict[str, tuple[tuple[Series, ...], tuple[str, ...]]] = {
    "requests": (
        (Series(metrics.APPROVAL_REQUESTS, where={"status": "pending"}),),
        ("approval.requested",),
    ),
    "approved": (
        (Series(metrics.APPROVAL_REQUESTS, where={"status": "approved"}),),
        ("approval.approved",),
    ),
    "rejected": (
        (Series(metrics.APPROVAL_REQUESTS, where={"status": "rejected"}),),
        ("approval.rejected",),
    ),
    "cancelled": (
        (Series(metrics.APPROVAL_REQUESTS, where={"status": "cancelled"}),),
        ("approval.cancelled",),
    ),
    "expired": (
        (Series(metrics.APPROVAL_TIMEOUTS), Series(metrics.APPROVAL_LAPSED)),
        ("approval.expired",),
    ),
    "executions": (
        (Series(metrics.TOOL_RUNS, unless={"status": "denied"}),),
        ("approval.succeeded", "approval.failed", "approval.unknown", "tool.ran"),
    ),
    "calls refused by the policy": (
        (Series(metrics.TOOL_RUNS, where={"status": "denied"}),),
        ("tool.denied",),
    ),
    "permissions denied": (
        (Series(metrics.CHECKS, where={"result": "denied"}),),
        ("permission.denied",),
    ),
}


@dataclass(frozen=True)
class Compared:
    """One thing that was counted twice, in different places."""

    what: str
    counted: int
    audited: int


@dataclass(frozen=True)
class Proof:
    """All of them; whether each is the same in both."""

    is_exact: bool
    items: tuple[Compared, ...]


def prove(connection: sa.Connection, readings: Iterable[Reading]) -> Proof:
    """Compare what was counted with the audit, as both stand in this transaction."""
    audited = events(connection)
    listed = list(readings)
    items = tuple(_compared(what, listed, audited) for what in _SAME)
    return Proof(all(each.counted == each.audited for each in items), items)


def _compared(what: str, readings: list[Reading], audited: Counter[str]) -> Compared:
    series, names = _SAME[what]
    counted = sum(each.sum(readings) for each in series)
    return Compared(what, round(counted), sum(audited[name] for name in names))
