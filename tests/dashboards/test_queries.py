"""What the boards ask exists, is asked rightly, and is all that there is."""

import re
from typing import Any

import promql_parser as promql
import pytest
import shown
from shown import Asked, nodes, selectors

from localai.core.metrics import CATALOGUE

ASKED = shown.asked()
OVER_TIME = {"rate", "increase"}


def test_there_are_queries_on_every_board() -> None:
    """A test that reads nothing finds nothing."""
    assert len(ASKED) > 80
    assert {each.board for each in ASKED} == set(shown.BOARDS)


def test_a_query_is_one_once_grafana_has_filled_it_in() -> None:
    """No variable is left over, and PromQL's grammar takes the rest."""
    assert [str(each) for each in ASKED if "$" in each.concrete or not nodes(each.concrete)] == []


def test_a_query_asks_for_series_that_there_are() -> None:
    """By names of the catalogue, of Prometheus or of Sloth, by labels and values that they have."""
    unknown = [
        f"{each}: {selector.name} {matcher}"
        for each, selector in _selected()
        for matcher in selector.matchers.matchers
        if matcher.name not in (shown.labels(selector.name) or ())
        or not _can_match(selector.name, matcher)
    ]
    assert unknown == []
    assert {str(each) for each, one in _selected() if shown.labels(one.name) is None} == set()


def test_a_query_groups_by_labels_that_its_series_have() -> None:
    """A label that is not there makes one group of all, silently."""
    wrong = []
    for each in ASKED:
        for node in _aggregates(each):
            below = selectors(node.expr.prettify())
            known = set.intersection(*(shown.labels(one.name) or set() for one in below))
            wrong += [f"{each}: {label}" for label in _labels(node) if label not in known]
    assert wrong == []


def test_a_legend_names_the_labels_that_the_answer_has() -> None:
    """`{{model}}` over series without it is empty, and series of two models need it."""
    wrong = []
    for each in ASKED:
        told = shown.legend_labels(each.legend)
        if each.panel["type"] == "timeseries" and told != _left(each):
            wrong.append(f"{each}: {each.legend}")
    assert wrong == []


def test_a_table_shows_the_labels_that_its_query_groups_by() -> None:
    """Each in a column of its own, under a name of ours, in that order."""
    for each in ASKED:
        if each.panel["type"] == "table":
            chosen, order = (step["options"] for step in each.panel["transformations"])
            named = set(chosen["include"]["names"])
            assert named == {*_left(each, fixed=False), "Value"}, str(each)
            assert set(order["renameByName"]) == set(order["indexByName"]) == named, str(each)


def test_the_variables_choose_among_our_series() -> None:
    """Every selector of ours has job and instance; what rules record is of all of them."""
    unchosen = []
    for each in ASKED:
        for name, matchers in re.findall(r"(\w+)\{([^}]*)}", each.text):
            is_ours = shown.metric(name) or name == "up"
            if is_ours and 'job=~"$job",instance=~"$instance"' not in matchers:
                unchosen.append(str(each))
    assert unchosen == []


def test_counters_are_asked_for_what_was_added_and_gauges_for_what_they_are() -> None:
    """A counter's value alone says how old the home is."""
    wrong = []
    for each in ASKED:
        over_time = [
            selector.name
            for node in nodes(each.concrete)
            if isinstance(node, promql.Call) and node.func.name in OVER_TIME
            for selector in selectors(node.prettify())
        ]
        for selector in selectors(each.concrete):
            found = shown.metric(selector.name)
            is_counted = found is not None and found.kind != "gauge"
            if is_counted != (selector.name in over_time):
                wrong.append(f"{each}: {selector.name}")
    assert wrong == []


def test_the_range_of_a_rate_is_the_panels() -> None:
    """`$__rate_interval` is never shorter than four scrapes; a number is of the whole range."""
    for each in ASKED:
        ranges = set(re.findall(r"\[([^]]+)]", each.text))
        assert ranges <= {"$__rate_interval", "$__range", "1h"}, str(each)
        if each.panel["type"] == "stat" and "increase(" in each.text:
            assert ranges == {"$__range"}, str(each)


def test_counts_of_a_range_are_whole() -> None:
    """`increase` guesses at the edges: one event may be 1.06."""
    for each in ASKED:
        is_count = each.panel["fieldConfig"]["defaults"]["unit"] == "short"
        if is_count and "increase(" in each.text:
            assert "round(" in each.text, str(each)


def test_shares_of_nothing_are_nothing() -> None:
    """A panel says "no traffic" rather than NaN: what is divided by is above 0."""
    for each in ASKED:
        for node in nodes(each.concrete):
            if isinstance(node, promql.BinaryExpr) and str(node.op) == "/":
                below = " ".join(node.rhs.prettify().split())
                assert "slo:error_budget:ratio" in below or "> 0" in below, str(each)


def test_every_figure_is_shown_or_watched() -> None:
    """What nobody looks at need not be counted."""
    queries = [*(each.concrete for each in ASKED), *shown.ruled()]
    used = [shown.metric(one.name or "") for query in queries for one in selectors(query)]
    assert [name for name, metric in CATALOGUE.items() if metric not in used] == []


def test_questions_in_the_manual_can_be_typed() -> None:
    """What docs/ops/monitoring.md asks in PromQL is PromQL, about series that there are."""
    page = (shown.ROOT / "docs" / "ops" / "monitoring.md").read_text()
    questions = re.findall(r"^```promql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert questions
    for question in questions:
        for one in selectors(question):
            used = {matcher.name for matcher in one.matchers.matchers}
            assert used <= (shown.labels(one.name) or set()), question


@pytest.mark.parametrize("asked", shown.asked("loki"), ids=lambda asked: asked.panel["title"])
def test_the_log_is_asked_by_label_first(asked: Asked) -> None:
    """A stream is chosen by labels that the shipper sets; ids are searched for within it."""
    stream, _, stages = asked.text.partition("}")
    shipper = (shown.DASHBOARDS / "alloy" / "config.alloy").read_text()
    assert set(re.findall(r"(\w+)=~?\"", stream)) <= {"service_name", "level"}
    assert re.search(r'"service_name" = "localai"', shipper)
    for field in re.findall(r"\| (\w+) ?[=!]", stages):
        assert re.search(rf"structured_metadata {{[^}}]*\b{field}\b", shipper), field


def _selected() -> list[tuple[Asked, Any]]:
    return [(each, selector) for each in ASKED for selector in selectors(each.concrete)]


def _aggregates(each: Asked) -> list[Any]:
    return [node for node in nodes(each.concrete) if isinstance(node, promql.AggregateExpr)]


def _labels(node: Any) -> list[str]:
    return list(node.modifier.labels) if node.modifier else []


def _left(each: Asked, *, fixed: bool = True) -> set[str]:
    """The labels of the answer: those of the outermost grouping that can have several values."""
    outermost = next((_labels(node) for node in _aggregates(each) if _labels(node)), [])
    if not _aggregates(each) or not _labels(_aggregates(each)[0]):
        outermost = outermost if "topk" in each.text else []
    known = {
        matcher.name
        for selector in selectors(each.concrete)
        for matcher in selector.matchers.matchers
        if matcher.op == promql.MatchOp.Equal and fixed
    }
    return set(outermost) - {"le"} - known


def _can_match(name: str, matcher: Any) -> bool:
    """Whether a label that takes only some values has one that the matcher takes."""
    found = shown.metric(name)
    values = (found.labels.get(matcher.name) if found else None) or ()
    if found and matcher.name == "le":
        values = tuple(repr(float(bound)) for bound in found.buckets)
    return not values or any(_takes(matcher, value) for value in values)


def _takes(matcher: Any, value: str) -> bool:
    # They cannot be hashed.
    is_pattern = matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
    is_meant = matcher.op in (promql.MatchOp.Re, promql.MatchOp.Equal)
    matches = re.fullmatch(matcher.value, value) if is_pattern else matcher.value == value
    return bool(matches) == is_meant
