"""What is told of requests as metrics, against the rows themselves."""

import random
from collections import Counter

import sqlalchemy as sa
from approvals_home import Home, TurnableClock, action

from localai.approvals import figures
from localai.approvals.tables import approvals
from localai.core import metrics
from localai.core.counters import HOUR_US
from localai.core.metrics import Distribution, Reading

DAY_S = 86_400


def _told(home: Home, since_us: int | None = None) -> dict[str, float | Distribution]:
    """Readings by name and labels, joined."""
    with home.database.read() as connection:
        if since_us is None:
            found = list(figures.readings(connection, home.clock))
        else:
            found = list(figures.readings_since(connection, home.clock, since_us))
    return {_name(each): each.value for each in found}


def _name(reading: Reading) -> str:
    return " ".join([reading.metric.name, *reading.labels])


def _statuses(told: dict[str, float | Distribution]) -> list[float | Distribution]:
    names = ("pending", "approved", "rejected", "expired", "cancelled")
    return [told[f"approval_requests_total {name}"] for name in names]


def test_nothing_is_nought(home: Home) -> None:
    """And not absent: an increase from nothing is seen by nobody."""
    told = _told(home)
    assert _statuses(told) == [0, 0, 0, 0, 0]
    assert told["approval_response_time_seconds"] == Distribution((0,) * 9, 0)
    assert told["approval_timeout_total"] == told["localai_approval_pending"] == 0
    assert told["localai_approval_oldest_pending_seconds"] == 0


def test_each_request_is_counted_once_when_it_is_opened_and_once_when_it_ends(
    home: Home, clock: TurnableClock
) -> None:
    """Whatever became of an approval afterwards, it was approved."""
    run, unused, no, withdrawn, late = (home.open() for _ in range(5))
    clock.pass_time(7)
    home.approve(run)
    home.approve(unused)
    home.approvals.finish(home.approvals.claim(home.operator, run.id, action()), "ok", ok=False)
    home.approvals.reject(home.operator, no.id)
    home.approvals.cancel(home.operator, withdrawn.id)
    clock.pass_time(295)
    waiting = home.open()
    told = _told(home)
    assert late.id != waiting.id
    assert _statuses(told) == [6, 2, 1, 1, 1]
    assert told["approval_timeout_total"] == 1, "by the clock, though nobody wrote it down"
    assert told["localai_approval_pending"] == 1
    assert told["localai_approval_grants_lapsed_total"] == 0
    response = told["approval_response_time_seconds"]
    assert isinstance(response, Distribution)
    assert (response.buckets, round(response.total)) == ((0, 0, 3, 0, 0, 0, 0, 0, 0), 21)
    clock.pass_time(DAY_S)
    home.approvals.sweep()
    told = _told(home)
    assert _statuses(told) == [6, 2, 1, 2, 1]
    assert told["localai_approval_grants_lapsed_total"] == 1
    assert told["localai_approval_pending"] == 0


def test_the_oldest_that_waits_is_told_in_seconds(home: Home, clock: TurnableClock) -> None:
    """One whose time is over waits no more."""
    home.open()
    clock.pass_time(200)
    home.open()
    assert 200 <= _number(_told(home), metrics.APPROVAL_OLDEST.name) < 201
    clock.pass_time(150)
    assert 150 <= _number(_told(home), metrics.APPROVAL_OLDEST.name) < 151
    assert _number(_told(home), metrics.APPROVAL_PENDING.name) == 1


def test_writing_down_what_is_over_changes_no_figure(home: Home, clock: TurnableClock) -> None:
    """So a counter never falls, whichever process comes first."""
    for _ in range(3):
        home.open()
    clock.pass_time(301)
    before = _told(home)
    assert home.approvals.sweep() == 3
    assert _told(home) == before


def test_figures_since_an_hour_are_those_of_the_rows(home: Home, clock: TurnableClock) -> None:
    """Over days, wherever the window begins."""
    rng = random.Random(11)
    began = clock.now_us()
    for _ in range(120):
        request = home.open()
        clock.pass_time(rng.choice([1, 4, 29, 100, 280, 400]))
        ending = rng.choice(["approve", "reject", "cancel", "wait"])
        if home.approvals.get(home.operator, request.id).status != "pending":
            continue
        if ending == "approve":
            home.approve(request)
        elif ending == "reject":
            home.approvals.reject(home.operator, request.id)
        elif ending == "cancel":
            home.approvals.cancel(home.operator, request.id)
        clock.pass_time(rng.choice([0, 0, 500, 4000]))
    for hours in (0, 1, 5, 26, 1000):
        since = began if hours == 1000 else clock.now_us() - hours * HOUR_US
        _same_as_rows(home, since)
    assert _statuses(_told(home, 0)) == _statuses(_told(home))


def _same_as_rows(home: Home, since_us: int) -> None:
    hour = since_us // HOUR_US * HOUR_US
    home.approvals.sweep()
    with home.database.read() as connection:
        found = connection.execute(sa.select(approvals).where(approvals.c.created_us >= hour)).all()
    rows = Counter(_ending(row.state, row.decided_us) for row in found)
    statuses = [rows[name] for name in ("approved", "rejected", "expired", "cancelled")]
    told = _told(home, since_us)
    assert _statuses(told) == [len(found), *statuses]
    waits = [
        (row.decided_us - row.created_us) / 1e6
        for row in found
        if row.decided_us and row.state != "cancelled"
    ]
    response = told["approval_response_time_seconds"]
    assert isinstance(response, Distribution)
    assert response.count == len(waits)
    assert round(response.total, 3) == round(sum(waits), 3)
    for bound, number in zip(
        metrics.APPROVAL_RESPONSE.buckets,
        [sum(response.buckets[: n + 1]) for n in range(8)],
        strict=True,
    ):
        assert number == sum(wait < bound for wait in waits)


def _ending(state: str, decided_us: int | None) -> str:
    if state in {"rejected", "cancelled", "pending"}:
        return state
    return "approved" if decided_us else "expired"


def _number(told: dict[str, float | Distribution], name: str) -> float:
    value = told[name]
    assert not isinstance(value, Distribution)
    return value
