"""What the boards and rules ask Prometheus and Loki, read from the files that ship."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import promql_parser as promql
import yaml

from localai.core.metrics import CATALOGUE, Metric

ROOT: Final = Path(__file__).parents[1]
DASHBOARDS: Final = ROOT / "dashboards"
BOARDS: Final = {path.name: json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")}
RULES: Final = sorted((DASHBOARDS / "prometheus" / "rules").glob("*.yml"))

# What Prometheus itself adds, and Sloth's names for what is recorded of objectives.
OF_PROMETHEUS: Final = {
    "up": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "severity", "service", "sloth_slo"},
}
_SLOTH: Final = {"sloth_id", "sloth_service", "sloth_slo", "sloth_window"}
_RECORDED: Final = re.compile(
    r"slo:(sli_error:ratio_rate(5m|30m|1h|2h|6h|1d|3d|30d)|objective:ratio|error_budget:ratio)"
)
_GRAFANAS: Final = {"$__rate_interval": "1m", "$__range": "1h", "$job": ".+", "$instance": ".+"}


@dataclass(frozen=True)
class Asked:
    """One query, where it stands, and the legend of its series."""

    board: str
    panel: dict[str, Any]
    text: str
    legend: str

    @property
    def concrete(self) -> str:
        """It as Prometheus gets it."""
        text = self.text
        for variable, value in _GRAFANAS.items():
            text = text.replace(variable, value)
        return text

    def __str__(self) -> str:
        return f"{self.board}: {self.panel['title']}: {self.text}"


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel, those in folded rows too, without the rows."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def asked(kind: str = "prometheus") -> list[Asked]:
    """Every query of every board to that kind of source."""
    return [
        Asked(name, panel, target["expr"], target.get("legendFormat", ""))
        for name, board in BOARDS.items()
        for panel in panels(board)
        for target in panel["targets"]
        if target["datasource"]["type"] == kind
    ]


def legend_labels(legend: str) -> set[str]:
    """The labels that a legend names."""
    return set(re.findall(r"{{(\w+)}}", legend))


def recorded() -> dict[str, set[str]]:
    """The rules that record, with the labels that they set."""
    return {rule["record"]: set(rule.get("labels", {})) for rule in _rules() if "record" in rule}


def ruled() -> list[str]:
    """The expression of every rule."""
    return [rule["expr"] for rule in _rules()]


def alerts() -> set[str]:
    """The names of all alerts."""
    return {rule["alert"] for rule in _rules() if "alert" in rule}


def _rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def metric(name: str) -> Metric | None:
    """The metric of a series, which may be part of a histogram."""
    if name in CATALOGUE and CATALOGUE[name].kind != "histogram":
        return CATALOGUE[name]
    whole = CATALOGUE.get(re.sub("_(bucket|sum|count)$", "", name))
    return whole if whole and whole.kind == "histogram" and whole.name != name else None


def labels(name: str) -> set[str] | None:
    """The labels that a series of this name can have; None where there is no such series."""
    if found := metric(name):
        buckets = {"le"} if name.endswith("_bucket") and found.kind == "histogram" else set()
        return {"job", "instance", *found.labels} | buckets
    if name in OF_PROMETHEUS:
        return OF_PROMETHEUS[name]
    if _RECORDED.fullmatch(name):
        return _SLOTH
    return {"job", "instance", *recorded()[name]} if name in recorded() else None


def selectors(query: str) -> list[promql.VectorSelector]:
    """Every selector of a series in it."""
    return [node for node in nodes(query) if isinstance(node, promql.VectorSelector)]


def nodes(query: str) -> list[Any]:
    """The expression and all within it; ValueError where it is none."""
    found: list[Any] = []
    promql.walk(promql.parse(query), found.append)
    return found
