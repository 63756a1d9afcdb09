"""The metric catalogue: every figure that localai publishes, by its name. What is not here is none.

Names and units follow https://prometheus.io/docs/practices/naming/; those that begin with
`localai_` are ours alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal

from localai.core.escape import visible

ROLES = ("admin", "operator", "viewer", "user")
MICRO: Final = 1_000_000


@dataclass(frozen=True, eq=False)
class Metric:
    """A figure by its name.

    `labels` gives the values that a label can have, or None where anybody may make new ones: of
    those no more than `MOST_SERIES` are told apart, and the `likely` ones, where a label has such,
    are there from the start. `buckets` are the upper bounds of a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    likely: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def bounds(self) -> tuple[str, ...]:
        """The upper bounds of the buckets as Prometheus spells them."""
        return (*map(str, self.buckets), "+Inf")

    @property
    def is_fine(self) -> bool:
        """Whether it is kept in millionths: seconds and shares are no whole numbers."""
        return "_seconds" in self.name or "_ratio" in self.name

    def labelled(self, values: tuple[str, ...]) -> dict[str, str]:
        """The labels with these values; ValueError where they are not this metric's."""
        given = zip(self.labels.items(), values, strict=True)
        return {name: self._checked(name, known, value) for (name, known), value in given}

    def _checked(self, name: str, known: tuple[str, ...] | None, value: str) -> str:
        if known is None:
            return as_label(value)
        if value not in known:
            raise ValueError(f"{self.name} has no {name} {value!r}")
        return value

    def all_labels(self, seen: tuple[tuple[str, ...], ...] = ()) -> set[tuple[str, ...]]:
        """Every series to publish: a value that never happened stands beside those that did.

        A series that appears with its first event loses that event to whoever counts increases.
        """
        told = [dict(zip(self.labels, values, strict=True)) for values in seen]
        possible = {
            name: known or {*self.likely[name], *(each[name] for each in told)}
            for name, known in self.labels.items()
            if known or name in self.likely
        }
        # Of a label that only strangers fill, what was seen stays with what was seen beside it.
        bases = told if possible.keys() < self.labels.keys() else [{}]
        series = (
            product(*(possible.get(name) or (base[name],) for name in self.labels))
            for base in bases
        )
        return set(seen).union(*series)


@dataclass(frozen=True)
class Distribution:
    """What a histogram holds: how many values each bucket has, the last one open, and their sum."""

    buckets: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.buckets)


@dataclass(frozen=True)
class Reading:
    """One series of a metric now; `labels` are the values of its labels, in their order."""

    metric: Metric
    value: "float | Distribution"
    labels: tuple[str, ...] = ()


def as_label(value: str) -> str:
    """A label's value, which a stranger may have chosen, as it is kept: visible, and not long."""
    return visible(value[:LONGEST_LABEL])[:LONGEST_LABEL]


def _counter(
    name: str,
    told: str,
    *,
    likely: Mapping[str, tuple[str, ...]] | None = None,
    **labels: tuple[str, ...] | None,
) -> Metric:
    return _listed(Metric(name, "counter", told, labels, likely=likely or {}))


def _gauge(name: str, told: str, **labels: tuple[str, ...] | None) -> Metric:
    return _listed(Metric(name, "gauge", told, labels))


def _histogram(
    name: str, told: str, buckets: tuple[float, ...], **labels: tuple[str, ...] | None
) -> Metric:
    return _listed(Metric(name, "histogram", told, labels, buckets))


def _listed(metric: Metric) -> Metric:
    CATALOGUE[metric.name] = metric
    return metric


CATALOGUE: Final[dict[str, Metric]] = {}
MOST_SERIES: Final = 50  # of a label that anybody may make values of
LONGEST_LABEL: Final = 100  # characters
OTHER: Final = "other"

# As OpenTelemetry has them for generative models:
# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
_QUICK = (0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_FIRST = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0)
_DOUBLING = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STATUSES = ("200", "202", "400", "401", "403", "404", "409", "429", "500", "503")
_TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

APPROVAL_REQUESTS = _counter(
    "approval_requests_total",
    "Requests by what became of them; pending counts those that were opened.",
    status=("pending", "approved", "rejected", "expired", "cancelled"),
)
APPROVAL_RESPONSE = _histogram(
    "approval_response_time_seconds",
    "How long people took to approve or reject.",
    (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
APPROVAL_TIMEOUTS = _counter("approval_timeout_total", "Requests that nobody decided in time.")
APPROVAL_LAPSED = _counter(
    "localai_approval_grants_lapsed_total", "Approvals that nobody used in time."
)
APPROVAL_PENDING = _gauge("localai_approval_pending", "Requests that wait for a person now.")
APPROVAL_OLDEST = _gauge(
    "localai_approval_oldest_pending_seconds", "How long the oldest of them has waited."
)

CHECKS = _counter(
    "rbac_permission_checks_total",
    "Permission checks; several roles of one user are joined by +.",
    likely={"role": (*ROLES, "none")},
    result=("allowed", "denied"),
    role=None,
)
ROLE_ASSIGNMENTS = _counter(
    "rbac_role_assignments_total", "Roles that were given to users.", role=ROLES
)
ROLE_MEMBERS = _gauge("localai_rbac_role_members", "Users who hold a role now.", role=ROLES)

HTTP_REQUESTS = _counter(
    "http_requests_total",
    "HTTP requests by how they were answered; 499 where the client left before. Connections "
    "beyond the server's limit are turned away before they count.",
    likely={"service": ("api", "gateway", "mcp"), "status": _STATUSES},
    service=None,
    method=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER"),
    status=None,
)
HTTP_DURATION = _histogram(
    "http_request_duration_seconds",
    "Time to the first byte of an answer; a client that left before is in none.",
    _REQUEST,
    service=None,
    endpoint=None,
)

TOOL_RUNS = _counter(
    "mcp_tool_executions_total",
    "Calls of tools by how they ended; denied ones were refused by the policy.",
    tool=None,
    status=("succeeded", "failed", "unknown", "denied"),
)
TOOL_DURATION = _histogram(
    "mcp_tool_duration_seconds", "How long a tool ran.", _DOUBLING, tool=None
)

OPERATIONS = _counter(
    "localai_operations_total",
    "What was asked of models and documents, by whether it was done; what somebody interrupted was "
    "well until then, and what was refused before it began (invalid, denied, not found) is none.",
    operation=("chat", "rag_query", "rag_index"),
    result=("ok", "failed"),
)
OPERATION_DURATION = _histogram(
    "localai_operation_duration_seconds",
    "How long it took, the time that a person was waited for included.",
    _DOUBLING,
    operation=("chat", "rag_query", "rag_index"),
)
FIRST_TOKEN = _histogram(
    "localai_time_to_first_token_seconds",
    "From the prompt to the first token of an answer, its model loaded.",
    _FIRST,
    model=None,
)
INTER_TOKEN = _histogram(
    "localai_inter_token_latency_seconds",
    "Mean time between two tokens of an answer.",
    _QUICK,
    model=None,
)
TOKENS = _counter(
    "localai_tokens_total",
    "Tokens that were read anew, remembered, or written.",
    model=None,
    kind=("prompt", "cached", "generated"),
)
ENGINE_SECONDS = _counter(
    "localai_engine_seconds_total",
    "Time that a model took to read (prefill) and to write (decode).",
    model=None,
    phase=("prefill", "decode"),
)
CONTEXT_USED = _histogram(
    "localai_context_used_ratio",
    "Share of a model's context that an answer and its prompt filled.",
    _TENTHS,
    model=None,
)
MODEL_LOAD = _histogram(
    "localai_model_load_seconds", "How long a model took to load.", _DOUBLING, model=None
)
FAILOVERS = _counter(
    "localai_model_failovers_total", "Times another model answered for this one.", model=None
)

RETRIEVAL_DURATION = _histogram(
    "localai_retrieval_duration_seconds",
    "How long a step of finding passages took.",
    _DOUBLING,
    stage=("embed", "search", "rerank"),
)
REMOVED_CITATIONS = _counter(
    "localai_rag_removed_citations_total", "Citations of passages that do not exist, taken out."
)

NOTIFICATIONS = _counter(
    "localai_notifications_total",
    "Notices by what came of sending them; a failed one is tried again until it is dead.",
    likely={"channel": ("mail", "slack", "webhook", "apprise", "terminal")},
    channel=None,
    result=("sent", "failed", "dead"),
)
NOTIFICATIONS_WAITING = _gauge(
    "localai_notifications_waiting", "Notices that are due and not sent yet."
)

RESOURCES = _gauge(
    "system_resource_usage",
    "Share of a resource that is in use; disk is where this home lies.",
    resource=("cpu", "memory", "disk"),
)
GPU_MEMORY = _gauge(
    "localai_gpu_memory_used_ratio", "Share of a card's memory that is in use.", gpu=None
)
GPU_BUSY = _gauge("localai_gpu_utilization_ratio", "Share of time that a card computes.", gpu=None)

BUILD = _gauge("localai_build_info", "1, with the version that publishes this.", version=None)
COLLECTOR_UP = _gauge("localai_collector_up", "Whether the home's figures could be read: 1 or 0.")
SCRAPE_DURATION = _gauge("localai_scrape_duration_seconds", "How long reading all of this took.")
