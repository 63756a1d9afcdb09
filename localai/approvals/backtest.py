"""A candidate policy on trial: stored requests, judged by it and by the rules in force. Pure."""

import heapq
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localai.approvals.policy import Mode, Verdict, decide
from localai.approvals.rules import STRICTEST, Effect, Rule, Subject
from localai.core.clock import rfc3339
from localai.core.errors import Invalid
from localai.rbac.permissions import Risk

_CURSOR = re.compile(r"([0-2])-([0-9]{1,17})-(\w+)", re.ASCII)
# What a person decided and a policy says: what contradicts the person is listed first.
_REJECTED_ALLOWED, _APPROVED_DENIED = ("rejected", "allow"), ("approved", "deny")
_CONTRADICTIONS = (_REJECTED_ALLOWED, _APPROVED_DENIED)


@dataclass(frozen=True)
class Difference:
    """A request of which the candidate says something else than the rules in force say now.

    `rule` is what decides under the candidate.
    """

    id: str
    tool_name: str
    status: str
    now: Effect
    candidate: Effect
    rule: str


@dataclass(frozen=True)
class Backtest:
    """What both policies say of all requests since then, and a page of those that differ.

    `rejected_allowed` counts what a person rejected and a policy lets run unasked,
    `approved_denied` what a person approved and a policy refuses.
    """

    since: str
    requests: int
    now: Mapping[str, int]
    candidate: Mapping[str, int]
    rejected_allowed: Mapping[str, int]
    approved_denied: Mapping[str, int]
    items: Sequence[Difference]
    total: int
    next: str | None
    unknowable: tuple[str, ...] = (
        "calls that ran or were refused unasked, for they left no arguments behind",
        "roles, folders and links as they were, for today's count",
        "what standing rules add, for they are left out on both sides",
    )


@dataclass(frozen=True)
class Judge:
    """How a home judges, whatever the rules; `unconfined` are its tools without a sandbox."""

    mode: Mode
    enabled: bool
    roles: Callable[[str], tuple[str, ...]]
    unconfined: frozenset[str]

    def verdict(self, call: Subject, rules: Iterable[Rule]) -> Verdict:
        """What these rules and the mode say of the call."""
        confined = call.tool not in self.unconfined
        return decide(call, rules, self.mode, enabled=self.enabled, confined=confined)


@dataclass(frozen=True)
class Judged:
    """A stored request and what both policies say of it."""

    row: Any
    now: Verdict
    candidate: Verdict

    @property
    def decision(self) -> str:
        """What a person said: rejected, approved, or nothing that counts here."""
        if self.row.state == "rejected":
            return "rejected"
        return "" if self.row.decided_us is None or self.row.state == "cancelled" else "approved"

    @property
    def place(self) -> tuple[int, int, str]:
        """Where it stands in the list: contradictions first, then the newest."""
        pair = (self.decision, self.candidate.effect)
        rank = _CONTRADICTIONS.index(pair) if pair in _CONTRADICTIONS else len(_CONTRADICTIONS)
        return rank, -self.row.created_us, self.row.id

    @property
    def difference(self) -> Difference:
        """As it is listed."""
        row, said = self.row, self.candidate
        return Difference(row.id, row.tool, row.state, self.now.effect, said.effect, said.rule)


def judged(
    rows: Iterable[Any], judge: Judge, now: Sequence[Rule], candidate: Sequence[Rule]
) -> Iterator[Judged]:
    """Each row (id, tool, action, risk, user_id, state, created_us, decided_us) with verdicts."""
    for row in rows:
        action = json.loads(row.action)
        risk = Risk[row.risk.upper()]
        roles = judge.roles(row.user_id)
        call = Subject(row.tool, action["arguments"], risk, roles, action["cwd"])
        yield Judged(row, judge.verdict(call, now), judge.verdict(call, candidate))


def compare(found: Iterable[Judged], *, since_us: int, limit: int, cursor: str | None) -> Backtest:
    """Count all of them and keep one page; no more than a page is ever held."""
    counts: Counter[tuple[str, str, str]] = Counter()
    after = _after(cursor)

    def differing() -> Iterator[tuple[tuple[int, int, str], Difference]]:
        for each in found:
            counts[each.decision, each.now.effect, each.candidate.effect] += 1
            if each.now.effect != each.candidate.effect and each.place > after:
                yield each.place, each.difference

    listed = heapq.nsmallest(limit + 1, differing())
    return Backtest(
        since=rfc3339(since_us) or "",
        requests=counts.total(),
        now=_effects((now, count) for (_, now, _), count in counts.items()),
        candidate=_effects((then, count) for (_, _, then), count in counts.items()),
        rejected_allowed=_against(counts, *_REJECTED_ALLOWED),
        approved_denied=_against(counts, *_APPROVED_DENIED),
        items=tuple(difference for _, difference in listed[:limit]),
        total=sum(count for (_, now, then), count in counts.items() if now != then),
        next=_cursor(*listed[limit - 1][0]) if listed[limit:] else None,
    )


def _effects(said: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = dict.fromkeys(reversed(STRICTEST), 0)
    for effect, count in said:
        found[effect] += count
    return found


def _against(
    counts: Mapping[tuple[str, str, str], int], decision: str, effect: str
) -> dict[str, int]:
    decided = [(said, count) for (person, *said), count in counts.items() if person == decision]
    now, then = (sum(count for said, count in decided if said[side] == effect) for side in (0, 1))
    return {"now": now, "candidate": then}


def _cursor(rank: int, newness: int, row_id: str) -> str:
    return f"{rank}-{-newness}-{row_id}"


def _after(cursor: str | None) -> tuple[int, int, str]:
    if cursor is None:
        return -1, 0, ""
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise Invalid(f"{cursor!r} is not a cursor", hint="take `next` of the page before")
    return int(parts[1]), -int(parts[2]), parts[3]
