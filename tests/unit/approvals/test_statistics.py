"""Statistics over requests."""

from types import SimpleNamespace

import pytest
from approvals_home import Home, TurnableClock, action

from localai.approvals.statistics import summarise


def test_nothing_gives_counts_of_zero_and_no_shares() -> None:
    """A share of nothing is not a number."""
    found = summarise(0, [])
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


@pytest.mark.parametrize(
    ("seconds", "median", "p95"),
    [([4], 4, 4), ([1, 3], 2, 3), ([1, 2, 9], 2, 9), (list(range(1, 101)), 50.5, 95)],
)
def test_times_are_summed_up_as_the_words_say(
    seconds: list[int], median: float, p95: float
) -> None:
    """The middle of an even number is between two; the 95th of a hundred is the 95th."""
    rows = [
        SimpleNamespace(
            tool="x", status="approved", created_us=0, decided_us=n * 1_000_000, decided_by="kim"
        )
        for n in seconds
    ]
    found = summarise(0, rows)
    assert (found.median_time, found.p95_time) == (median, p95)
    assert found.avg_time == sum(seconds) / len(seconds)


def test_counts_only_since_the_moment_given(home: Home, clock: TurnableClock) -> None:
    """What is older is left out."""
    home.open()
    clock.pass_time(60)
    assert home.approvals.statistics(home.operator, clock.now_us()).total == 0
