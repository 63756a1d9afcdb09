"""The board of objectives: what is promised, what is left of it, how fast it is spent."""

from boards import frame
from boards.panels import lines, row, stat_of, table
from localai.metrics.objectives import BURNS, OBJECTIVES, WINDOW_DAYS, Objective

UID = "localai-sla"
_WINDOWS = ("5m", "1h", "6h", "3d")


def board() -> str:
    """It as JSON."""
    told = "What this home is held to, what is left of it, and how fast it is spent."
    panels = [each for objective in OBJECTIVES for each in _objective(objective)]
    panels += [*_together(), *_behind()]
    return frame.made(UID, "localai: service levels", told, panels, since="now-7d")


def _rule(name: str, slo: str) -> str:
    return f'max by (sloth_slo) ({name}{{sloth_slo="{slo}"}})'


def _objective(each: Objective) -> list[object]:
    budget = _rule("slo:error_budget:ratio", each.name)
    burns = {
        burn.long: f"{_rule(f'slo:sli_error:ratio_rate{burn.long}', each.name)} / {budget}"
        for burn in BURNS
    }
    month = _rule(f"slo:sli_error:ratio_rate{WINDOW_DAYS}d", each.name)
    return [
        row(each.title),
        stat_of(
            f"{each.title}: budget left",
            f"{each.told} What is left of the rest over {WINDOW_DAYS} days. Normal: above 0.",
            f"1 - {month} / {budget}",
            unit="percentunit",
            width=4,
            quiet="no rules",
            first="red",
            steps=((0, "orange"), (0.25, "green")),
        ),
        stat_of(
            f"{each.title}: burn rate",
            "How many times too fast the budget was spent in the last hour. Normal: below 1.",
            burns["1h"],
            width=4,
            quiet="no rules",
            steps=((1, "orange"), (14.4, "red")),
            runbooks=[f"{each.name.title()}BudgetBurn"],
        ),
        stat_of(
            f"{each.title}: objective",
            "The share of good events that is promised. Normal: what you agreed to.",
            _rule("slo:objective:ratio", each.name),
            unit="percentunit",
            width=4,
            quiet="no rules",
        ),
        lines(
            f"{each.title}: burn rate by window",
            "Spending against time: an alert fires where a long and its short window are above "
            "14.4 (1h), 6 (6h), 3 (1d) or 1 (3d). Normal: all below 1.",
            burns,
            unit="short",
            quiet="no rules",
            steps=tuple((burn.factor, "red") for burn in reversed(BURNS)),
        ),
    ]


def _together() -> list[object]:
    months = "max by (sloth_slo) (slo:sli_error:ratio_rate30d)"
    return [
        row("All objectives"),
        *(
            lines(
                f"Bad events within {window}",
                "Share of events that were not good. Normal: 0, with short peaks.",
                {"{{sloth_slo}}": f"max by (sloth_slo) (slo:sli_error:ratio_rate{window})"},
                unit="percentunit",
                width=6,
                quiet="no rules",
            )
            for window in _WINDOWS
        ),
        lines(
            "Budget left over time",
            f"Of each objective over {WINDOW_DAYS} days. Normal: falls slowly and comes back.",
            {"{{sloth_slo}}": f"1 - {months} / max by (sloth_slo) (slo:error_budget:ratio)"},
            unit="percentunit",
            least=None,
            most=1,
            quiet="no rules",
            steps=((0.25, "orange"),),
        ),
        table(
            "Budget alerts",
            "Alerts about objectives that fire or are about to. Normal: none.",
            "sum by (alertname, sloth_slo, severity, alertstate) "
            '(ALERTS{service="localai",sloth_slo!=""})',
            {
                "alertname": "Alert",
                "sloth_slo": "Objective",
                "severity": "Severity",
                "alertstate": "State",
            },
            quiet="no alert",
        ),
    ]


def _behind() -> list[object]:
    asked = "sum by (operation, result) (increase(localai_operations_total{$where}[$__range]))"
    return [
        row("What they are counted from"),
        table(
            "Answers in this range",
            "What was asked, by whether it was done. Normal: few failed.",
            f"round({asked})",
            {"operation": "Asked", "result": "Result"},
            width=8,
        ),
        table(
            "Requests in this range",
            "HTTP requests by service and status, scrapes left out. Normal: no 5xx.",
            "round(sum by (service, status) "
            '(increase(http_requests_total{$where,service!="metrics"}[$__range])))',
            {"service": "Service", "status": "Status"},
            width=8,
        ),
        stat_of(
            "Decided in time",
            "Requests that were decided within 5 minutes, in this range. Normal: nearly all.",
            "round(sum(increase(approval_response_time_seconds_bucket"
            '{$where,le="300.0"}[$__range])))',
            width=4,
            quiet="no decision",
        ),
        stat_of(
            "Timed out",
            "Requests that nobody decided, in this range. Normal: 0.",
            "round(sum(increase(approval_timeout_total{$where}[$__range])))",
            width=4,
            quiet="0",
            steps=((1, "red"),),
            runbooks=["ApprovalRequestTimeout"],
        ),
    ]
