"""What all boards share: variables, links between them, alerts as marks; and a board as JSON."""

import json
from collections.abc import Iterable
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    VariableHide,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from boards.panels import PROMETHEUS

TAG: Final = "localai"
# Prometheus of our compose.yaml serves the page there, out of the exported folder.
RUNBOOKS: Final = "http://127.0.0.1:9090/user/monitoring.txt"


def made(uid: str, title: str, told: str, panels: Iterable[Any], *, since: str) -> str:
    """A whole board as JSON text, which says the same every time it is made."""
    found = (
        board.Dashboard(title)
        .uid(uid)
        .description(told)
        .tags([TAG])
        .time(since, "now")
        .refresh("1m")
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            board.DashboardLink("localai")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .link(
            board.DashboardLink("Runbooks")
            .type(DashboardLinkType.LINK)
            .url("${runbooks}")
            .icon("doc")
            .tooltip("What to do when an alert fires")
            .target_blank(True)
        )
        .annotation(
            board.AnnotationQuery()
            .name("Alerts")
            .datasource(PROMETHEUS)
            .enable(True)
            .icon_color("red")
            .expr('ALERTS{service="localai",alertstate="firing"}')
        )
    )
    for variable in _variables():
        found = found.with_variable(variable)
    for panel in panels:
        is_row = isinstance(panel, board.Row)
        found = found.with_row(panel) if is_row else found.with_panel(panel)
    return _text(json.loads(JSONEncoder().encode(found.build())))


def _variables() -> list[Any]:
    return [
        board.DatasourceVariable("datasource").label("Metrics").type("prometheus"),
        _labels("job", "label_values(localai_build_info, job)"),
        _labels("instance", 'label_values(localai_build_info{job=~"$job"}, instance)'),
        board.DatasourceVariable("logs").label("Logs").type("loki"),
        board.TextBoxVariable("approval")
        .label("Request")
        .description("The id of a request, whose lines of the log are shown.")
        .default_value("")
        .current(VariableOption(False, "", "")),
        board.TextBoxVariable("runbooks")
        .label("Runbooks")
        .description("Where docs/ops/monitoring.md can be read.")
        .hide(VariableHide.HIDE_VARIABLE)
        .default_value(RUNBOOKS)
        .current(VariableOption(True, RUNBOOKS, RUNBOOKS)),
    ]


def _labels(name: str, query: str) -> board.QueryVariable:
    return (
        board.QueryVariable(name)
        .label(name.title())
        .datasource(DataSourceRef("prometheus", "${datasource}"))
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(VariableOption(True, "All", "$__all"))
    )


def _text(found: dict[str, Any]) -> str:
    for number, panel in enumerate(_flat(found["panels"]), 1):
        panel["id"] = number
    for mark in found["annotations"]["list"]:
        # The SDK's record has no place for them.
        mark |= {"titleFormat": "{{alertname}}", "textFormat": "{{severity}}", "step": "60s"}
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def _flat(panels: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _flat(panel.get("panels", []))
