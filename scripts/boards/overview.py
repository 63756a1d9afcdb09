"""The first board: is it up, is it fast, does it work, does somebody wait."""

from boards import frame
from boards.panels import (
    bars,
    folded,
    half_and_most,
    lines,
    log_lines,
    quantile,
    row,
    stat_of,
    table,
)

UID = "localai-overview"
_ASKED = "localai_operations_total{$where}"
_FAILED = 'localai_operations_total{$where,result="failed"}'
_SCRAPES_OUT = '$where,service!="metrics"'
_SERVED = 'http_requests_total{$where,service!="metrics"}'
_OURS = 'http_requests_total{$where,service!="metrics",status=~"5.."}'


def board() -> str:
    """It as JSON."""
    told = "Everything at a glance; the other boards say more of people, roles and objectives."
    panels = [
        *_first(), *_answers(), *_models(), *_documents(), *_http(), *_tools(), *_machine(),
        *_alerts(), _log(),
    ]  # fmt: skip
    return frame.made(UID, "localai: overview", told, panels, since="now-6h")


def _first() -> list[object]:
    return [
        stat_of(
            "Up",
            "Whether the exporter answers and can read the home. Normal: up.",
            'min(up{$where,job="localai"} == 0 or localai_collector_up{$where})',
            unit="none",
            quiet="not scraped",
            names={"1": ("up", "green"), "0": ("down", "red")},
            runbooks=["ServiceDown"],
        ),
        stat_of(
            "Asked",
            "Chats, questions to documents and indexings in this range. Normal: what you expect.",
            f"round(sum(increase({_ASKED}[$__range])))",
        ),
        stat_of(
            "HTTP requests",
            "Requests a second, scrapes left out. Normal: 0 where only the terminal asks.",
            f"sum(rate({_SERVED}[$__rate_interval]))",
            unit="reqps",
        ),
        stat_of(
            "Failed",
            "Share of what was asked and not done in this range. Normal: below 1%.",
            f"sum(increase({_FAILED}[$__range])) / (sum(increase({_ASKED}[$__range])) > 0)",
            unit="percentunit",
            steps=((0.01, "orange"), (0.1, "red")),
            leads_to="localai-sla",
            runbooks=["OperationsFailing"],
        ),
        stat_of(
            "First token",
            "95% of answers of this range began sooner. Normal: seconds; more for long prompts.",
            quantile(0.95, "localai_time_to_first_token_seconds", span="$__range"),
            unit="s",
            steps=((5, "orange"), (30, "red")),
            runbooks=["TTFTSlow"],
        ),
        stat_of(
            "Writing",
            "Tokens a second while models write, in this range. Normal: steady for one model.",
            'sum(increase(localai_tokens_total{$where,kind="generated"}[$__range])) / '
            '(sum(increase(localai_engine_seconds_total{$where,phase="decode"}[$__range])) > 0)',
            unit="suffix: tok/s",
        ),
        stat_of(
            "Waiting for a person",
            "Requests that nobody has decided yet. Normal: 0, or somebody is on it.",
            "sum(localai_approval_pending{$where})",
            quiet="none known",
            steps=((1, "orange"), (5, "red")),
            leads_to="localai-approvals",
            runbooks=["ApprovalWaitingTooLong"],
        ),
        stat_of(
            "Budget left",
            "Of the objective that is worst off, over 30 days. Normal: above 0.",
            "min(1 - max by (sloth_slo) (slo:sli_error:ratio_rate30d) "
            "/ max by (sloth_slo) (slo:error_budget:ratio))",
            unit="percentunit",
            quiet="no rules",
            first="red",
            steps=((0, "orange"), (0.25, "green")),
            leads_to="localai-sla",
        ),
    ]


def _answers() -> list[object]:
    ratio = (
        f"sum by (operation) (rate({_FAILED}[$__rate_interval])) / "
        f"(sum by (operation) (rate({_ASKED}[$__rate_interval])) > 0)"
    )
    return [
        row("Questions and answers"),
        bars(
            "What was asked",
            "Chats, questions and indexings a minute. Normal: follows your day.",
            {"{{operation}}": f"60 * sum by (operation) (rate({_ASKED}[$__rate_interval]))"},
            unit="opm",
            width=8,
        ),
        lines(
            "What failed",
            "Share of each kind that was not done. Normal: flat at 0.",
            {"{{operation}}": ratio},
            unit="percentunit",
            width=8,
            most=1,
            steps=((0.1, "red"),),
            runbooks=["OperationsFailing"],
        ),
        lines(
            "How long it took",
            "Half and 95% ended sooner; waiting for a person counts. Normal: rises with approvals.",
            half_and_most("{{operation}}", "localai_operation_duration_seconds", "operation"),
            unit="s",
            width=8,
        ),
    ]


def _models() -> list[object]:
    return [
        row("Models"),
        lines(
            "Time to the first token",
            "From the prompt to the first token, once loaded. Normal: rises with long prompts.",
            half_and_most("{{model}}", "localai_time_to_first_token_seconds", "model"),
            unit="s",
            width=8,
            runbooks=["TTFTSlow"],
        ),
        lines(
            "Between two tokens",
            "Mean time between the tokens of an answer; 95% were quicker. Normal: flat.",
            {"{{model}}": quantile(0.95, "localai_inter_token_latency_seconds", "model")},
            unit="s",
            width=8,
        ),
        lines(
            "Reading and writing speed",
            "Tokens a second while it reads or writes. Normal: steady; falls as context fills.",
            {
                "{{model}} reads": _speed("prompt", "prefill"),
                "{{model}} writes": _speed("generated", "decode"),
            },
            unit="suffix: tok/s",
            width=8,
        ),
        bars(
            "Tokens",
            "Tokens a minute: read anew, remembered, written. Normal: more remembered than read.",
            {
                "{{model}} {{kind}}": "60 * sum by (model, kind) "
                "(rate(localai_tokens_total{$where}[$__rate_interval]))"
            },
            unit="suffix: tok/min",
            width=8,
        ),
        lines(
            "Context filled",
            "95% of answers filled less. Normal: below 90%; beyond it old turns are left out.",
            {"{{model}}": quantile(0.95, "localai_context_used_ratio", "model")},
            unit="percentunit",
            width=8,
            most=1,
            steps=((0.9, "orange"),),
        ),
        lines(
            "Loading a model",
            "95% of loads took less. Normal: seconds; more while the disk is cold.",
            {"{{model}}": quantile(0.95, "localai_model_load_seconds", "model")},
            unit="s",
            width=4,
        ),
        stat_of(
            "Another model answered",
            "Times that a model failed and the other took over, in this range. Normal: 0.",
            "round(sum(increase(localai_model_failovers_total{$where}[$__range])))",
            width=4,
            quiet="0",
            steps=((1, "orange"),),
        ),
    ]


def _speed(kind: str, phase: str) -> str:
    return (
        f'sum by (model) (rate(localai_tokens_total{{$where,kind="{kind}"}}[$__rate_interval])) / '
        "(sum by (model) (rate(localai_engine_seconds_total"
        f'{{$where,phase="{phase}"}}[$__rate_interval])) > 0)'
    )


def _documents() -> list[object]:
    return [
        row("Documents"),
        lines(
            "Finding passages",
            "95% of each step took less. Normal: milliseconds; a reranker takes longer.",
            {"{{stage}}": quantile(0.95, "localai_retrieval_duration_seconds", "stage")},
            unit="s",
            width=20,
        ),
        stat_of(
            "Made-up citations",
            "Citations of passages that do not exist, taken out in this range. Normal: few.",
            "round(sum(increase(localai_rag_removed_citations_total{$where}[$__range])))",
            width=4,
            quiet="0",
        ),
    ]


def _http() -> list[object]:
    ratio = (
        f"sum by (service) (rate({_OURS}[$__rate_interval])) / "
        f"(sum by (service) (rate({_SERVED}[$__rate_interval])) > 0)"
    )
    return [
        row("HTTP"),
        bars(
            "Requests by answer",
            "Requests a second by status. Normal: 2xx; 401 and 403 are refusals, 5xx are ours.",
            {
                "{{service}} {{method}} {{status}}": "sum by (service, method, status) "
                f"(rate({_SERVED}[$__rate_interval]))"
            },
            unit="reqps",
            width=8,
        ),
        lines(
            "Errors of ours",
            "Share of requests that ended with 5xx. Normal: 0.",
            {"{{service}}": ratio},
            unit="percentunit",
            width=8,
            most=1,
            steps=((0.1, "red"),),
            runbooks=["HighErrorRate"],
        ),
        lines(
            "Time to an answer",
            "95% of requests had a first byte sooner. Normal: below 2 s where no model is asked.",
            {
                "{{service}} {{endpoint}}": quantile(
                    0.95, "http_request_duration_seconds", "service", "endpoint", where=_SCRAPES_OUT
                )
            },
            unit="s",
            width=8,
            steps=((2, "orange"),),
            runbooks=["HighLatency"],
        ),
    ]


def _tools() -> list[object]:
    runs = "mcp_tool_executions_total{$where}"
    return [
        row("Tools"),
        bars(
            "Calls of tools",
            "Calls a minute by how they ended. Normal: mostly succeeded; unknown is a crash.",
            {"{{status}}": f"60 * sum by (status) (rate({runs}[$__rate_interval]))"},
            unit="cpm",
            width=8,
        ),
        lines(
            "How long tools ran",
            "95% of runs took less. Normal: seconds; a program that hangs is ended by its limit.",
            {"{{tool}}": quantile(0.95, "mcp_tool_duration_seconds", "tool")},
            unit="s",
            width=8,
        ),
        table(
            "Tools by outcome",
            "Calls in this range, the most first. Normal: no tool that mostly fails.",
            f"topk(20, round(sum by (tool, status) (increase({runs}[$__range]))) > 0)",
            {"tool": "Tool", "status": "Outcome"},
            width=8,
        ),
    ]


def _machine() -> list[object]:
    return [
        row("Machine"),
        lines(
            "In use",
            "Share of processor, memory and the home's disk. Normal: disk below 90%.",
            {"{{resource}}": "max by (resource) (system_resource_usage{$where})"},
            unit="percentunit",
            width=8,
            most=1,
            steps=((0.9, "red"),),
            quiet="not measured",
            runbooks=["DiskNearlyFull"],
        ),
        lines(
            "Graphics cards",
            "Share of memory in use and of time that computes. Normal: memory below 90%.",
            {
                "{{gpu}} memory": "max by (gpu) (localai_gpu_memory_used_ratio{$where})",
                "{{gpu}} busy": "max by (gpu) (localai_gpu_utilization_ratio{$where})",
            },
            unit="percentunit",
            width=8,
            most=1,
            steps=((0.9, "red"),),
            quiet="no card is measured",
            runbooks=["GPUMemoryHigh"],
        ),
        lines(
            "Reading the figures",
            "How long the exporter took to read all of this. Normal: far below a second.",
            {"{{instance}}": "max by (instance) (localai_scrape_duration_seconds{$where})"},
            unit="s",
            width=4,
            quiet="not scraped",
        ),
        table(
            "Versions",
            "What publishes these figures. Normal: one version everywhere.",
            "count by (instance, version) (localai_build_info{$where})",
            {"instance": "Instance", "version": "Version"},
            width=4,
            quiet="not scraped",
        ),
    ]


def _alerts() -> list[object]:
    return [
        row("Alerts"),
        table(
            "Firing alerts",
            "Alerts of localai that fire or are about to. Normal: none. Runbooks are linked above.",
            'sum by (alertname, severity, alertstate) (ALERTS{service="localai"})',
            {"alertname": "Alert", "severity": "Severity", "alertstate": "State"},
            width=24,
            quiet="no alert",
        ),
    ]


def _log() -> object:
    return folded(
        "Log",
        log_lines(
            "Warnings and errors",
            "Lines of the log from warnings up. Normal: few; needs Loki, see the README.",
            '{service_name="localai", level=~"warning|error"}',
        ),
    )
