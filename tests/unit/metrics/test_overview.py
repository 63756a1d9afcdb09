"""Objectives, budgets and quantiles, computed from readings."""

import re

import pytest

from localai.core import metrics
from localai.core.metrics import Distribution, Reading
from localai.metrics import overview
from localai.metrics.objectives import BURNS, OBJECTIVES, Series

BY_NAME = {each.name: each for each in OBJECTIVES}


def _operations(ok: int, failed: int) -> list[Reading]:
    return [
        Reading(metrics.OPERATIONS, ok, ("chat", "ok")),
        Reading(metrics.OPERATIONS, failed, ("chat", "failed")),
        Reading(metrics.OPERATIONS, 0, ("rag_query", "failed")),
    ]


def test_a_budget_is_what_the_objective_leaves() -> None:
    """Five of a thousand failed where ten may: half is left, and lately it went twice too fast."""
    held = overview.held(BY_NAME["answers"], _operations(98, 2), _operations(995, 5))
    assert held.good_share == pytest.approx(0.995)
    assert held.budget_left == pytest.approx(0.5)
    assert held.burn == pytest.approx(2)
    assert held.events == 1000


def test_a_budget_that_is_overspent_is_below_nought() -> None:
    """By how much says how bad it is."""
    held = overview.held(BY_NAME["answers"], [], _operations(97, 3))
    assert held.budget_left == pytest.approx(-2)


def test_without_events_nothing_is_claimed() -> None:
    """Neither that an objective is kept nor that it is not."""
    held = overview.held(BY_NAME["requests"], [], [])
    assert (held.good_share, held.budget_left, held.burn, held.events) == (None, None, None, 0)


def test_requests_that_nobody_decided_count_against_the_objective() -> None:
    """They are in no histogram of answers, and are the worst of all."""
    readings = [
        Reading(metrics.APPROVAL_RESPONSE, Distribution((6, 0, 0, 0, 0, 0, 1, 1, 0), 900)),
        Reading(metrics.APPROVAL_TIMEOUTS, 2),
    ]
    held = overview.held(BY_NAME["approvals"], [], readings)
    assert held.good_share == pytest.approx(0.7)
    assert held.events == 10


def test_being_scraped_is_no_service() -> None:
    """Else the more often one looks, the better it is."""
    readings = [
        Reading(metrics.HTTP_REQUESTS, 9, ("mcp", "POST", "200")),
        Reading(metrics.HTTP_REQUESTS, 1, ("mcp", "POST", "503")),
        Reading(metrics.HTTP_REQUESTS, 1, ("mcp", "POST", "404")),
        Reading(metrics.HTTP_REQUESTS, 1_000_000, ("metrics", "GET", "200")),
    ]
    held = overview.held(BY_NAME["requests"], [], readings)
    assert held.good_share == pytest.approx(10 / 11)


@pytest.mark.parametrize(
    ("share", "buckets", "expected"),
    [
        (0.5, (10, 0, 0), 0.5),
        (0.95, (10, 10, 0), 1.9),
        (0.5, (0, 4, 0), 1.5),
        (0.99, (0, 0, 3), 2.0),
        (0.5, (0, 0, 0), None),
    ],
)
def test_quantiles_are_those_of_prometheus(
    share: float, buckets: tuple[int, ...], expected: float | None
) -> None:
    """Even within a bucket; of the last one only its lower bound is known."""
    found = overview.quantile(share, Distribution(buckets, 0), (1.0, 2.0))
    assert found == (None if expected is None else pytest.approx(expected))


def test_figures_of_nothing_claim_nothing() -> None:
    """Counts are nought, and what would be a share of nothing is not there."""
    found = overview.figures([])
    assert found["tokens_per_second"] is found["first_token_p95_seconds"] is None
    assert found["tool_runs"] == 0
    assert found.keys() == overview.FIGURES.keys()


def test_figures_add_up_models_and_tools() -> None:
    """Rates are of all tokens over all of the time that they took."""
    first = Distribution((0, 0, 4, *(0,) * 12), 1)
    second = Distribution((0, 0, 0, 0, 0, 16, *(0,) * 9), 1)
    found = overview.figures(
        [
            Reading(metrics.TOKENS, 300, ("a", "generated")),
            Reading(metrics.TOKENS, 100, ("b", "generated")),
            Reading(metrics.TOKENS, 7, ("b", "prompt")),
            Reading(metrics.ENGINE_SECONDS, 4, ("a", "decode")),
            Reading(metrics.ENGINE_SECONDS, 4, ("b", "decode")),
            Reading(metrics.TOOL_RUNS, 5, ("x", "succeeded")),
            Reading(metrics.TOOL_RUNS, 1, ("x", "unknown")),
            Reading(metrics.TOOL_RUNS, 9, ("x", "denied")),
            Reading(metrics.FIRST_TOKEN, first, ("a",)),
            Reading(metrics.FIRST_TOKEN, second, ("b",)),
        ]
    )
    assert (found["tokens_per_second"], found["tokens_written"]) == (50, 400)
    assert (found["tool_runs"], found["tool_runs_failed"]) == (6, 1)
    assert 0.25 < (found["first_token_p95_seconds"] or 0) <= 0.5


def test_selectors_and_readings_mean_the_same() -> None:
    """What PromQL selects is what is added up here."""
    series = Series(metrics.HTTP_REQUESTS, where={"service": "mcp|api"}, unless={"status": "5.."})
    assert series.selector == 'http_requests_total{service=~"mcp|api",status!~"5.."}'
    assert series.holds({"service": "api", "status": "404"})
    assert not series.holds({"service": "apis", "status": "404"})
    assert not series.holds({"service": "api", "status": "503"})
    assert Series(metrics.APPROVAL_RESPONSE, "count").selector.endswith("_seconds_count")


def test_objectives_name_labels_that_their_metrics_have() -> None:
    """And bounds that their histograms have; each allows something to go wrong."""
    for objective in OBJECTIVES:
        assert 0 < objective.target < 1
        assert re.fullmatch(r"\d+% of .*\.", objective.told, re.DOTALL)
        assert objective.told.startswith(f"{objective.target:.0%}")
        for series in (*objective.good, *objective.total):
            labels = {**series.where, **series.unless}
            bound = labels.pop("le", None)
            assert labels.keys() <= series.metric.labels.keys()
            assert bound is None or float(bound) in series.metric.buckets
    assert [burn.factor for burn in BURNS] == sorted((b.factor for b in BURNS), reverse=True)
