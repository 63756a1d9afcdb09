"""Statistics over requests: figures that the database keeps, as exact as counting the rows."""

import random
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from approvals_home import Home, TurnableClock, action

from localai.approvals.statistics import Statistics, _bucket, edges
from localai.approvals.tables import approval_waits, approvals
from localai.core.errors import LocalaiError

HOUR = 3600 * 1_000_000


def test_nothing_gives_counts_of_zero_and_no_shares(home: Home) -> None:
    """A share of nothing is not a number."""
    found = home.approvals.statistics(home.operator, 0)
    assert (found.total, found.by_status, found.by_tool) == (0, {}, {})
    assert (found.approval_rate, found.avg_time, found.p95_time, found.expired_share) == (None,) * 4


def test_counts_decisions_and_times(home: Home, clock: TurnableClock) -> None:
    """Approved, rejected and expired, by status and tool, with seconds to a decision."""
    yes, no, late = home.open(), home.open(tool="run_command"), home.open()
    home.approvals.cancel(home.operator, home.open().id)
    clock.pass_time(10)
    home.approve(yes)
    clock.pass_time(10)
    home.approvals.reject(home.operator, no.id)
    home.approvals.finish(home.approvals.claim(home.operator, yes.id, action()), "ok", ok=True)
    clock.pass_time(300)
    found = home.approvals.statistics(home.operator, 0)
    assert home.approvals.get(home.operator, late.id).status == "expired"
    assert found.total == 4
    assert found.by_status == {"cancelled": 1, "expired": 1, "rejected": 1, "succeeded": 1}
    assert found.by_tool["run_command"] == {"rejected": 1}
    assert found.by_decider == {"kim": {"approved": 1, "rejected": 1}}
    assert (found.approval_rate, found.expired_share) == (0.5, 0.25)
    assert found.avg_time == pytest.approx(15, abs=1)
    assert found.median_time == pytest.approx(15, abs=1)
    assert found.p95_time == pytest.approx(20, abs=1)


def test_counts_only_since_the_moment_given(home: Home, clock: TurnableClock) -> None:
    """What is older is left out."""
    home.open()
    clock.pass_time(60)
    assert home.approvals.statistics(home.operator, clock.now_us()).total == 0


def test_the_figures_are_those_of_the_rows(home: Home, clock: TurnableClock) -> None:
    """Over days, whatever became of the requests and wherever the count begins."""
    rng = random.Random(7)
    ana = home.add_user("ana", "operator")
    began = clock.now_us()
    for _ in range(150):
        _live(home, clock, rng, ana)
        clock.pass_time(rng.choice([0, 40, 1800, 9000]))
    home.approvals.sweep()
    for since in [0, began - 1, *(began + rng.randrange(60 * HOUR) for _ in range(12))]:
        assert home.approvals.statistics(ana, since) == _counted(home, since)


def test_lists_count_what_they_list(home: Home, clock: TurnableClock) -> None:
    """By every filter and by several."""
    rng = random.Random(8)
    ana = home.add_user("ana", "operator")
    for _ in range(60):
        _live(home, clock, rng, ana)
    some: list[dict[str, Any]] = [
        {},
        {"status": "expired"},
        {"tool": "run_command", "status": "rejected"},
        {"user": "ana"},
        {"session": "s1"},
        {"session": "s1", "tool": "write_file", "user": "kim", "status": "succeeded"},
    ]
    for filters in some:
        page = home.approvals.list(home.operator, limit=1000, **filters)
        assert page.total == len(page.items)
        assert page.items or len(filters) > 1


def test_every_wait_lies_in_its_bucket(home: Home) -> None:
    """In Python as in the trigger that counts it."""
    waits = [0, 1, 9_999, 10_000, 999_999, 1_000_000, 1_999_999, 599_999_999, 600_000_000]
    waits += [659_999_999, 660_000_000, 10**12, -5]
    for waited in waits:
        low, high = edges(_bucket(waited))
        assert low <= waited < high
    assert [edges(n)[1] == edges(n + 1)[0] for n in range(2000)] == [True] * 2000
    _insert_decided(home, waits)
    with home.database.read() as connection:
        counted = sa.select(approval_waits.c.bucket, approval_waits.c.requests)
        found = connection.execute(counted.where(approval_waits.c.span_us == 0)).all()
    assert dict(map(tuple, found)) == Counter(_bucket(waited) for waited in waits)


def _live(home: Home, clock: TurnableClock, rng: random.Random, ana: Any) -> None:
    """One request and, perhaps, what becomes of it."""
    asker = rng.choice([home.operator, ana]).agent(rng.choice(["s1", "s2", None]))
    try:
        opened = home.open(asker, tool=rng.choice(["write_file", "run_command"]))
    except LocalaiError:
        clock.pass_time(400)  # too many of the conversation wait
        return
    clock.pass_time(rng.choice([0, 0.2, 3, 60, 250]))
    decider, fate = rng.choice([home.operator, ana]), rng.randrange(6)
    if fate == 0:
        return
    if fate == 1:
        home.approvals.cancel(home.operator, opened.id)
    elif fate == 2:
        home.approvals.reject(decider, opened.id)
    else:
        home.approve(opened, decider)
    if fate == 4:
        home.approvals.revoke(decider, opened.id)
    if fate == 5:
        grant = home.approvals.claim(home.operator, opened.id, action(tool=opened.tool_name))
        home.approvals.finish(grant, "done", ok=rng.random() < 0.7)


def _counted(home: Home, since: int) -> Statistics:
    """The same, counted row by row."""
    with home.database.read() as connection:
        rows = connection.execute(sa.select(approvals).where(approvals.c.created_us >= since)).all()
    decided = [row for row in rows if row.decided_us is not None and row.state != "cancelled"]
    waits = sorted(row.decided_us - row.created_us for row in decided)
    half, count = len(waits) // 2, len(waits)
    middle = waits[half] if count % 2 else (waits[half - 1] + waits[half]) / 2
    rejected = sum(row.state == "rejected" for row in decided)
    by_tool: dict[str, Counter[str]] = {}
    by_decider: dict[str, Counter[str]] = {}
    for row in rows:
        by_tool.setdefault(row.tool, Counter())[row.state] += 1
    for row in decided:
        word = "rejected" if row.state == "rejected" else "approved"
        by_decider.setdefault(row.decided_by, Counter())[word] += 1
    return Statistics(
        since=home.approvals.statistics(home.operator, since).since,
        total=len(rows),
        by_status=Counter(row.state for row in rows),
        approval_rate=(count - rejected) / count,
        avg_time=sum(waits) / 1_000_000 / count,
        median_time=middle / 1_000_000,
        p95_time=waits[-(-95 * count // 100) - 1] / 1_000_000,
        expired_share=sum(row.state == "expired" for row in rows) / len(rows),
        by_tool=by_tool,
        by_decider=by_decider,
    )


def _insert_decided(home: Home, waits: list[int]) -> None:
    """Requests that waited just so long."""
    opened = [home.open() for _ in waits]
    with home.database.transaction() as connection:
        for each, waited in zip(opened, waits, strict=True):
            values = {
                "state": "rejected",
                "version": approvals.c.version + 1,
                "decided_us": approvals.c.created_us + waited,
                "decided_by": "kim",
            }
            row = sa.update(approvals).where(approvals.c.id == each.id).values(values)
            connection.execute(row)
