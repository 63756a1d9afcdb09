"""Statistics over requests: how many, how they ended, how long people took. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localai.core.clock import rfc3339

_SECOND = 1_000_000


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


def summarise(since_us: int, rows: Sequence[Any]) -> Statistics:
    """The figures of these rows, each with tool, status, created_us, decided_us, decided_by."""
    decided = [row for row in rows if row.decided_us is not None and row.status != "cancelled"]
    approved = [row for row in decided if row.status != "rejected"]
    times = sorted((row.decided_us - row.created_us) / _SECOND for row in decided)
    expired = [row for row in rows if row.status == "expired"]
    return Statistics(
        since=rfc3339(since_us) or "",
        total=len(rows),
        by_status=dict(sorted(Counter(row.status for row in rows).items())),
        approval_rate=_share(len(approved), len(decided)),
        avg_time=sum(times) / len(times) if times else None,
        median_time=_middle(times),
        p95_time=times[-(-95 * len(times) // 100) - 1] if times else None,
        expired_share=_share(len(expired), len(rows)),
        by_tool=_counted((row.tool, row.status) for row in rows),
        by_decider=_counted((row.decided_by, _decision(row)) for row in decided),
    )


def _decision(row: Any) -> str:
    return "rejected" if row.status == "rejected" else "approved"


def _counted(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    counted: dict[str, Counter[str]] = {}
    for name, kind in pairs:
        counted.setdefault(name, Counter())[kind] += 1
    return {name: dict(sorted(counted[name].items())) for name in sorted(counted)}


def _middle(times: Sequence[float]) -> float | None:
    half = len(times) // 2
    if not times:
        return None
    return times[half] if len(times) % 2 else (times[half - 1] + times[half]) / 2


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
