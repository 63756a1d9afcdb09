"""The rules are what the catalogue and the objectives make of them, and each alert is explained."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from rule_mutants import selectors
from rule_trials import PROMETHEUS, Rule, rules_of, title

from localai.core.metrics import CATALOGUE, Metric
from localai.metrics.objectives import BURNS, OBJECTIVES

ROOT = Path(__file__).parents[2]
FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
RULES = [rule for file in FILES for rule in rules_of(file)]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"]: rule for rule in RULES if "record" in rule}
# What Prometheus itself adds to whatever it reads.
GIVEN = {"job", "instance"}
PARTS = {
    "counter": {""},
    "gauge": {""},
    "histogram": {"_bucket", "_count", "_sum"},
}

each_rule = pytest.mark.parametrize("rule", RULES, ids=title)
each_alert = pytest.mark.parametrize("rule", ALERTS, ids=title)


def test_rules_are_generated(tmp_path: Path) -> None:
    """The files are what scripts/generate-alerts writes now."""
    subprocess.run([sys.executable, ROOT / "scripts" / "generate-alerts", tmp_path], check=True)
    made = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_text(encoding="utf-8") for file in FILES}


@pytest.mark.parametrize(
    "file", sorted((ROOT / "dashboards").rglob("*.yml")), ids=lambda file: file.name
)
def test_what_an_operator_loads_is_yaml(file: Path) -> None:
    """Every file that ends so."""
    assert yaml.safe_load(file.read_text(encoding="utf-8"))


@each_rule
def test_a_rule_reads_what_is_published_or_recorded(rule: Rule) -> None:
    """Each metric is in the catalogue or recorded here, and has each label that it is asked for."""
    assert [each for each in map(_wrong, selectors(rule["expr"])) if each] == []


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("http_request_total > 1", "http_request_total"),
        ('up{service="x"} > 1', "up has no service"),
        ('rate(http_requests_total{code="500"}[5m])', "http_requests_total has no code"),
        ("rate(http_request_duration_seconds[5m])", "http_request_duration_seconds"),
        ('localai_operations_total{result="done"}', "localai_operations_total has no result done"),
        ('approval_response_time_seconds_bucket{le="300"}', "has no le 300"),
        ('{__name__=~"up|upp"}', "upp"),
    ],
)
def test_a_wrong_name_is_noticed(expression: str, wrong: str) -> None:
    """The check above fails on a metric, a label or a value that nobody publishes."""
    assert wrong in str([_wrong(each) for each in selectors(expression)])


def test_a_rule_groups_by_labels_that_are_there() -> None:
    """A label that is misspelt would be summed away in silence."""
    known = {label for metric in CATALOGUE.values() for label in metric.labels}
    known |= {"le", "sloth_id", "sloth_slo", "sloth_service", "sloth_window", *GIVEN}
    assert {label for rule in RULES for label in _grouped(rule["expr"])} <= known


@each_alert
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: Rule) -> None:
    """Its severity, its one service, and where to read on: a section of the page by its name."""
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["labels"]["service"] == "localai"
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    sections = re.findall(r"^### (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert rule["alert"] in sections
    assert anchor == rule["alert"].lower()
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url", "dashboard"}


def test_every_section_is_of_an_alert() -> None:
    """No runbook is left of an alert that is gone."""
    text = (ROOT / "docs" / "ops" / "monitoring.md").read_text(encoding="utf-8")
    part = re.split(r"^## ", text.partition("## Alerts and what to do\n")[2], flags=re.MULTILINE)[0]
    sections = re.findall(r"^### (\w+)$", part, re.MULTILINE)
    assert sorted(sections) == sorted({rule["alert"] for rule in ALERTS})


def test_every_objective_has_an_alert_for_each_pair_of_windows() -> None:
    """Both severities, and both windows of each pair with its factor."""
    for objective in OBJECTIVES:
        burns = [each for each in ALERTS if f'"localai-{objective.name}"' in each["expr"]]
        for burn in BURNS:
            found = [rule for rule in burns if rule["labels"]["severity"] == burn.severity]
            assert len(found) == 1
            assert f"ratio_rate{burn.long}{{" in found[0]["expr"]
            assert f"ratio_rate{burn.short}{{" in found[0]["expr"]
            assert f"> {burn.factor} *" in found[0]["expr"]


def _wrong(selector: Any) -> str | None:
    """What about a selector nobody publishes, or None."""
    asked = {each.name: each.value for each in selector.matchers.matchers}
    named = asked.pop("__name__", selector.name)
    found = (_wrong_about(name, asked) for name in named.split("|"))
    return next(filter(None, found), None)


def _wrong_about(name: str, asked: dict[str, str]) -> str | None:
    if name in RECORDED:
        known = {**dict.fromkeys(GIVEN), **RECORDED[name].get("labels", {})}
        return _first(name, set(asked) - known.keys())
    if name == "up":
        return _first(name, set(asked) - GIVEN)
    metric, part = _published(name)
    if metric is None:
        return name
    labels: dict[str, tuple[str, ...] | None] = {**dict.fromkeys(GIVEN), **metric.labels}
    if part == "_bucket":
        labels["le"] = (*map(str, metric.buckets), "+Inf")
    wrong = [
        f"{key} {value}"
        for key, values in asked.items()
        for value in values.split("|")
        if (known := labels.get(key, ())) is not None and value not in known
    ]
    return _first(name, set(asked) - labels.keys()) or _first(name, set(wrong))


def _first(name: str, wrong: set[str]) -> str | None:
    return f"{name} has no {min(wrong)}" if wrong else None


def _published(name: str) -> tuple[Metric | None, str]:
    for part in ("", "_bucket", "_count", "_sum"):
        metric = CATALOGUE.get(name.removesuffix(part))
        if metric and name.endswith(part) and part in PARTS[metric.kind]:
            return metric, part
    return None, ""


def _grouped(expression: str) -> set[str]:
    found: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            found.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found
