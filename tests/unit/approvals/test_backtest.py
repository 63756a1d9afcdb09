"""A candidate policy, tried on stored requests."""

import json
import tracemalloc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from localai.approvals.backtest import Backtest, Judge, compare, judged
from localai.approvals.policy import Mode
from localai.approvals.rules import Effect, Equal, Rule
from localai.core.errors import Invalid

_ROLES = {"kim": ("admin",)}


def _row(number: int, state: str = "rejected", path: str = "a", **changes: Any) -> SimpleNamespace:
    plain = {
        "id": f"{number:016x}",
        "tool": "write_file",
        "action": json.dumps({"arguments": {"path": path}, "cwd": "/work"}),
        "risk": "high",
        "user_id": "kim",
        "state": state,
        "created_us": number * 1_000_000,
        "decided_us": None if state in {"pending", "expired"} else number,
    }
    return SimpleNamespace(**{**plain, **changes})


def _rule(effect: Effect, path: str, **changes: Any) -> Rule:
    return Rule(f"{effect}-{path}", effect, arguments={"path": Equal((path,))}, **changes)


def _judge(mode: Mode = "normal", *, enabled: bool = True) -> Judge:
    return Judge(mode, enabled, lambda user: _ROLES.get(user, ()), frozenset({"run_command"}))


def _tried(
    rows: Any,
    candidate: list[Rule],
    now: list[Rule] | None = None,
    *,
    judge: Judge | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Backtest:
    found = judged(rows, judge or _judge(), now or [], candidate)
    return compare(found, since_us=0, limit=limit, cursor=cursor)


def test_both_policies_are_counted_and_what_differs_is_listed() -> None:
    """With what became of each, and the candidate's rule."""
    rows = [_row(1, "expired", "a"), _row(2, "pending", "b"), _row(3, "expired", "c")]
    found = _tried(rows, [_rule("allow", "a"), _rule("deny", "b")], [_rule("deny", "b")])
    assert (found.since, found.requests) == ("1970-01-01T00:00:00.000Z", 3)
    assert found.now == {"allow": 0, "ask": 2, "deny": 1}
    assert found.candidate == {"allow": 1, "ask": 1, "deny": 1}
    (item,) = found.items
    assert (item.tool_name, item.status, item.rule) == ("write_file", "expired", "allow-a")
    assert (item.now, item.candidate) == ("ask", "allow")


def test_what_contradicts_a_person_stands_first() -> None:
    """Rejected and let run, then approved and refused, then the rest, each newest first."""
    rows = [
        _row(1, "rejected", "run"),
        _row(2, "succeeded", "refuse"),
        _row(3, "expired", "run"),
        _row(4, "rejected", "run"),
        _row(5, "revoked", "refuse"),
        _row(6, "rejected", "refuse"),
        _row(7, "cancelled", "refuse"),
    ]
    found = _tried(rows, [_rule("allow", "run"), _rule("deny", "refuse")])
    assert [int(each.id, 16) for each in found.items] == [4, 1, 5, 2, 7, 6, 3]
    assert found.rejected_allowed == {"now": 0, "candidate": 2}
    assert found.approved_denied == {"now": 0, "candidate": 2}


def test_a_contradiction_that_is_in_force_already_is_counted_and_does_not_differ() -> None:
    """A count of none means that there is none."""
    allowing = [_rule("allow", "a")]
    found = _tried([_row(1, "rejected", "a")], allowing, allowing)
    assert found.rejected_allowed == {"now": 1, "candidate": 1}
    assert (found.items, found.total) == ((), 0)


def test_pages_follow_each_other_without_gap_or_repetition() -> None:
    """New requests meanwhile, every page still goes on where the last one ended."""
    rows = [_row(n, ("rejected", "succeeded", "expired")[n % 3], "ad"[n % 2]) for n in range(1, 30)]
    candidate = [_rule("allow", "a"), _rule("deny", "d")]
    whole = [each.id for each in _tried(rows, candidate).items]
    paged, cursor = [], None
    while True:
        page = _tried(rows, candidate, limit=4, cursor=cursor)
        assert (page.total, page.requests) == (29, 29)
        paged += [each.id for each in page.items]
        if (cursor := page.next) is None:
            break
    assert paged == whole
    assert len(whole) == 29


@pytest.mark.parametrize("cursor", ["", "x", "3-1-a", "0-1", "0--1-a", "0-1-", "0-1-a b"])
def test_what_is_no_cursor_is_invalid(cursor: str) -> None:
    """Whoever writes one."""
    with pytest.raises(Invalid, match="not a cursor"):
        _tried([], [], cursor=cursor)


def test_the_mode_the_roles_and_the_sandbox_of_the_home_decide_as_they_do_for_a_call() -> None:
    """A tool that nobody knows any more is judged, too."""
    allowing = [Rule("all", "allow", roles=("admin",))]
    rows = [
        _row(1),
        _row(2, user_id="gone"),
        _row(3, tool="run_command"),
        _row(4, risk="critical"),
        _row(5, tool="no_more"),
    ]
    assert _tried(rows, allowing).candidate == {"allow": 3, "ask": 2, "deny": 0}
    strict = _tried(rows, allowing, judge=_judge("strict"))
    assert strict.candidate == {"allow": 2, "ask": 2, "deny": 1}
    assert _tried(rows, [], judge=_judge(enabled=False)).now["allow"] == 5


def test_no_more_than_a_page_is_held() -> None:
    """However many requests there are and differ."""

    def rows() -> Iterator[SimpleNamespace]:
        action = {"arguments": {"path": "a", "content": "x" * 10_000}, "cwd": "/work"}
        for number in range(1, 5_001):
            yield _row(number, action=json.dumps(action))

    tracemalloc.start()
    try:
        found = _tried(rows(), [_rule("allow", "a")], limit=10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.total, len(found.items)) == (5_000, 10)
    assert peak < 1_000_000
