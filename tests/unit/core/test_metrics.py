"""The catalogue keeps the rules that Prometheus has for names, units and labels."""

import re

import pytest

from localai.core.metrics import CATALOGUE, MOST_SERIES, Metric

ALL = sorted(CATALOGUE.values(), key=lambda metric: metric.name)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_names_and_labels_are_well_formed(metric: Metric) -> None:
    """https://prometheus.io/docs/practices/naming/ and /docs/instrumenting/writing_exporters/."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_bucket", "_sum", "_count"))
    assert not metric.labels.keys() & {"le", "job", "instance", "__name__"}
    assert not re.search(r"_(ms|milliseconds|percent|minutes)(_|$)", metric.name)
    assert metric.help.endswith(".")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_no_label_can_have_values_without_end() -> None:
    """The most that all of it can be is bounded: no user, prompt or id is a label."""
    for metric in ALL:
        assert not metric.labels.keys() & {"user", "id", "session", "prompt", "path"}
        closed = [values for values in metric.labels.values() if values is not None]
        series = MOST_SERIES ** (len(metric.labels) - len(closed))
        for values in closed:
            series *= len(values)
        assert series * (len(metric.buckets) + 2) < 2_000_000


def test_every_series_of_closed_labels_is_published_from_the_start() -> None:
    """One that appears with its first event loses it to whoever counts increases."""
    made = Metric("x_total", "counter", "X.", {"a": ("1", "2"), "b": ("3",)})
    assert made.all_labels() == {("1", "3"), ("2", "3")}
    assert Metric("x_total", "counter", "X.").all_labels() == {()}


def test_what_was_seen_of_an_open_label_stands_with_all_of_the_others() -> None:
    """A model's first failure is an increase from nought, too."""
    made = Metric("x_total", "counter", "X.", {"model": None, "result": ("ok", "failed")})
    assert made.all_labels() == set()
    assert made.all_labels((("m", "ok"),)) == {("m", "ok"), ("m", "failed")}


def test_a_likely_value_of_an_open_label_is_published_from_the_start() -> None:
    """So the first refusal of a viewer is seen as one."""
    assert ("denied", "viewer") in CATALOGUE["rbac_permission_checks_total"].all_labels()
    found = CATALOGUE["http_requests_total"].all_labels((("api", "GET", "418"),))
    assert {("mcp", "POST", "503"), ("api", "GET", "503"), ("api", "GET", "418")} <= found


def test_values_of_strangers_stay_with_what_they_were_seen_beside() -> None:
    """A page of one service is none of another."""
    seen = (("a", "/x"), ("b", "/y"))
    assert CATALOGUE["http_request_duration_seconds"].all_labels(seen) == set(seen)
