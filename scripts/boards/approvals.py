"""The board of what waits for people: how much, how long, and what they said."""

from boards import frame
from boards.panels import (
    bars,
    folded,
    half_and_most,
    lines,
    log_lines,
    quantile,
    row,
    spread,
    stat_of,
    table,
)

UID = "localai-approvals"
_ENDED = 'approval_requests_total{$where,status!="pending"}'
_ANSWERED = "approval_response_time_seconds"


def board() -> str:
    """It as JSON."""
    told = "What waits for a person, how long people take, what they say, and who is told."
    panels = [*_first(), *_outcomes(), *_times(), *_notices(), *_actions(), _log()]
    return frame.made(UID, "localai: approvals", told, panels, since="now-24h")


def _first() -> list[object]:
    return [
        stat_of(
            "Waiting now",
            "Requests without a decision: `ai approvals list`. Normal: 0, or somebody is on it.",
            "sum(localai_approval_pending{$where})",
            quiet="not scraped",
            steps=((1, "orange"), (5, "red")),
            runbooks=["ApprovalWaitingTooLong"],
        ),
        stat_of(
            "Oldest waits",
            "How long the oldest of them has waited. Normal: below 5 minutes.",
            "max(localai_approval_oldest_pending_seconds{$where})",
            unit="s",
            quiet="not scraped",
            steps=((180, "orange"), (300, "red")),
            runbooks=["ApprovalWaitingTooLong"],
        ),
        stat_of(
            "Asked",
            "Requests that were opened in this range. Normal: what your policy makes of your day.",
            'round(sum(increase(approval_requests_total{$where,status="pending"}[$__range])))',
        ),
        stat_of(
            "Timed out",
            "Requests that nobody decided in time, in this range. Normal: 0.",
            "round(sum(increase(approval_timeout_total{$where}[$__range])))",
            steps=((1, "red"),),
            runbooks=["ApprovalRequestTimeout"],
        ),
        stat_of(
            "Half answered within",
            "The median answer in this range. Normal: under a minute while somebody is there.",
            quantile(0.5, _ANSWERED, span="$__range"),
            unit="s",
            quiet="no decision",
        ),
        stat_of(
            "Rejected",
            "Share of decisions that said no, in this range. Normal: low; else look at the policy.",
            _share_rejected("$__range", "increase"),
            unit="percentunit",
            quiet="no decision",
            steps=((0.5, "orange"),),
            runbooks=["HighApprovalRejectionRate"],
        ),
        stat_of(
            "Notices waiting",
            "Notices that are due and not sent. Normal: 0 after a minute.",
            "sum(localai_notifications_waiting{$where})",
            quiet="not scraped",
            steps=((5, "orange"),),
            runbooks=["NotificationFailing"],
        ),
        stat_of(
            "Notices given up",
            "Notices that no server took for a day: `ai notify retry --all`. Normal: 0.",
            'round(sum(increase(localai_notifications_total{$where,result="dead"}[$__range])))',
            quiet="0",
            steps=((1, "red"),),
            runbooks=["NotificationDead"],
        ),
    ]


def _share_rejected(span: str, function: str) -> str:
    said = "approval_requests_total{{$where,status{}}}"
    no, any_ = said.format('="rejected"'), said.format('=~"approved|rejected"')
    return f"sum({function}({no}[{span}])) / (sum({function}({any_}[{span}])) > 0)"


def _outcomes() -> list[object]:
    return [
        row("Outcomes"),
        bars(
            "What became of requests",
            "Ended requests an hour, by how. Normal: mostly approved.",
            {"{{status}}": f"3600 * sum by (status) (rate({_ENDED}[$__rate_interval]))"},
            unit="suffix: /h",
        ),
        lines(
            "Share of rejections",
            "Of the decisions within an hour. Normal: below half.",
            {"rejected": _share_rejected("1h", "increase")},
            unit="percentunit",
            width=6,
            most=1,
            quiet="no decision",
            steps=((0.5, "orange"),),
            runbooks=["HighApprovalRejectionRate"],
        ),
        table(
            "In this range",
            "Ended requests by how. Normal: none expired.",
            f"round(sum by (status) (increase({_ENDED}[$__range])))",
            {"status": "Outcome"},
            width=6,
            quiet="no request ended",
        ),
    ]


def _times() -> list[object]:
    within = 'sum(rate(approval_response_time_seconds_bucket{$where,le="300.0"}[1h])) / '
    all_of = (
        "((sum(rate(approval_response_time_seconds_count{$where}[1h]))"
        " + sum(rate(approval_timeout_total{$where}[1h]))) > 0)"
    )
    return [
        row("Time to an answer"),
        lines(
            "How long people took",
            "Half and 95% decided sooner. Normal: below 5 minutes.",
            half_and_most("", _ANSWERED),
            unit="s",
            width=8,
            quiet="no decision",
            steps=((300, "red"),),
        ),
        spread(
            "Spread of answers",
            "How many decisions took how long. Normal: dark at the bottom; a dark top is neglect.",
            f"sum by (le) (increase({_ANSWERED}_bucket{{$where}}[$__rate_interval]))",
            unit="s",
            width=8,
        ),
        lines(
            "Decided within 5 minutes",
            "Share of an hour's requests, timed out ones counted as late. Normal: above 95%.",
            {"in time": within + all_of},
            unit="percentunit",
            width=4,
            most=1,
            quiet="no decision",
            steps=((0.95, "green"),),
        ),
        lines(
            "Waiting",
            "Requests that waited. Normal: short peaks.",
            {"waiting": "sum(localai_approval_pending{$where})"},
            unit="short",
            width=4,
            quiet="not scraped",
            runbooks=["ApprovalWaitingTooLong"],
        ),
    ]


def _notices() -> list[object]:
    return [
        row("Who is told"),
        bars(
            "Notices sent and failed",
            "Notices an hour by channel and result. Normal: sent; failed ones are tried again.",
            {
                "{{channel}} {{result}}": "3600 * sum by (channel, result) "
                "(rate(localai_notifications_total{$where}[$__rate_interval]))"
            },
            unit="suffix: /h",
        ),
        lines(
            "Notices not sent yet",
            "What is due and waits. Normal: back to 0 within a minute.",
            {"waiting": "sum(localai_notifications_waiting{$where})"},
            unit="short",
            quiet="not scraped",
            runbooks=["NotificationFailing"],
        ),
    ]


def _actions() -> list[object]:
    return [
        row("What ran"),
        bars(
            "Calls by outcome",
            "Calls of tools an hour, refused ones included. Normal: few refused.",
            {
                "{{status}}": "3600 * sum by (status) "
                "(rate(mcp_tool_executions_total{$where}[$__rate_interval]))"
            },
            unit="suffix: /h",
            width=10,
        ),
        table(
            "Tools by outcome",
            "Calls in this range. Normal: approved tools succeed; unknown means a process died.",
            "topk(20, round(sum by (tool, status) "
            "(increase(mcp_tool_executions_total{$where}[$__range]))) > 0)",
            {"tool": "Tool", "status": "Outcome"},
            width=10,
        ),
        stat_of(
            "Approved in vain",
            "Approvals that lapsed because nobody ran them, in this range. Normal: 0.",
            "round(sum(increase(localai_approval_grants_lapsed_total{$where}[$__range])))",
            width=4,
            quiet="0",
            steps=((1, "orange"),),
        ),
    ]


def _log() -> object:
    return folded(
        "Log",
        log_lines(
            "Log of a request",
            "Lines of the request named above, or of all; read it with `ai approvals show ID`. "
            "Normal: opened, decided, claimed, done.",
            '{service_name="localai"} | approval=~"${approval}.*" | approval!=""',
        ),
    )
