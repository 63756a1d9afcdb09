"""The alerts that stand for themselves, as PromQL; those of objectives are made from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from localai.core import metrics
from localai.core.metrics import Metric

JOB = 'job="localai"'
SERVED = ('service!="metrics"',)  # being scraped is no service to anybody
# A streamed answer begins when its model does: TTFTSlow is about those.
AT_ONCE = (*SERVED, 'endpoint!~".*chat.*"')

# increase() guesses what happened at a window's edges: 2 events can be 2.1, and 3 never 2.5.
THREE_EVENTS = "> 2.5"
FIVE_EVENTS = "> 4.5"


@dataclass(frozen=True)
class Alert:
    """An alert; `hold` is how long its expression has to be true."""

    name: str
    severity: Literal["critical", "warning"]
    expression: str
    hold: str
    summary: str
    description: str
    board: Literal["overview", "approvals", "objectives"] = "overview"
    labels: Mapping[str, str] = field(default_factory=dict)


def of(metric: Metric, *matchers: str, part: str = "") -> str:
    """The series of a metric that are ours: other programs publish some of these names, too."""
    return f"{metric.name}{part}{{{','.join((JOB, *matchers))}}}"


def percentile(metric: Metric, quantile: str, window: str) -> str:
    """The name under which a percentile is recorded."""
    return f"localai:{metric.name.removeprefix('localai_')}:{quantile}_{window}"


def _counted(metric: Metric, window: str, *matchers: str, label: str = "") -> str:
    by = ", ".join(filter(None, ("instance", label)))
    return f"sum by ({by}) (increase({of(metric, *matchers)}[{window}]))"


def _share(part: str, total: str, more_than: float, guard: str) -> str:
    """A share of what happened, where enough happened to speak of one."""
    return f"{part}\n  / {total} > {more_than}\nand {total} {guard}"


_UP = f"up{{{JOB}}}"
_COLLECTED = of(metrics.COLLECTOR_UP)
_NEITHER = f'{{__name__=~"up|{metrics.COLLECTOR_UP.name}",{JOB}}}'

_RUNS = (metrics.OPERATIONS, "30m")
_TRIES = (metrics.NOTIFICATIONS, "15m")

ALERTS = (
    Alert(
        "ServiceDown",
        "critical",
        f"{_UP} == 0\nor {_COLLECTED} == 0\nor absent({_NEITHER})",
        "1m",
        "localai cannot be watched",
        "Nothing answers for {{ with $labels.instance }}{{ . }}{{ else }}localai{{ end }}, or its "
        "database cannot be read.",
    ),
    Alert(
        "HighErrorRate",
        "critical",
        _share(
            _counted(metrics.HTTP_REQUESTS, "2m", *SERVED, 'status=~"5.."'),
            _counted(metrics.HTTP_REQUESTS, "2m", *SERVED),
            0.1,
            FIVE_EVENTS,
        ),
        "2m",
        "Many requests fail",
        "{{ $value | humanizePercentage }} of the HTTP requests to {{ $labels.instance }} end with "
        "an error of ours.",
    ),
    Alert(
        "HighLatency",
        "warning",
        f"{percentile(metrics.HTTP_DURATION, 'p95', '5m')} > 2",
        "5m",
        "Requests wait long for an answer",
        "One request in twenty to {{ $labels.instance }} waits {{ $value | humanizeDuration }} or "
        "more for its first byte.",
    ),
    Alert(
        "OperationsFailing",
        "critical",
        _counted(*_RUNS, 'result="failed"', label="operation")
        + f" {THREE_EVENTS}\nunless "
        + _counted(*_RUNS, 'result="ok"', label="operation")
        + " > 0",
        "",
        "Nothing of a kind succeeds",
        '{{ printf "%.0f" $value }} times {{ $labels.operation }} failed on {{ $labels.instance }} '
        "in half an hour, and it never succeeded.",
    ),
    Alert(
        "ApprovalRequestTimeout",
        "warning",
        f"increase({of(metrics.APPROVAL_TIMEOUTS)}[10m]) > 0",
        "",
        "A request for approval expired",
        "Nobody decided in time what was asked on {{ $labels.instance }}.",
        "approvals",
    ),
    Alert(
        "ApprovalWaitingTooLong",
        "warning",
        f"{of(metrics.APPROVAL_OLDEST)} > 180",
        "",
        "A request for approval waits",
        "The oldest on {{ $labels.instance }} has waited {{ $value | humanizeDuration }}.",
        "approvals",
    ),
    Alert(
        "HighApprovalRejectionRate",
        "warning",
        _share(
            _counted(metrics.APPROVAL_REQUESTS, "1h", 'status="rejected"'),
            _counted(metrics.APPROVAL_REQUESTS, "1h", 'status=~"approved|rejected"'),
            0.5,
            FIVE_EVENTS,
        ),
        "10m",
        "People reject most of what is asked",
        "{{ $value | humanizePercentage }} of the decisions of an hour on {{ $labels.instance }} "
        "were refusals.",
        "approvals",
    ),
    Alert(
        "NotificationFailing",
        "warning",
        _counted(*_TRIES, 'result="failed"', label="channel")
        + f" {THREE_EVENTS}\nunless "
        + _counted(*_TRIES, 'result="sent"', label="channel")
        + " > 0",
        "5m",
        "Notices are not delivered",
        "{{ $labels.channel }} takes no notice of {{ $labels.instance }}: "
        '{{ printf "%.0f" $value }} tries failed in a quarter of an hour, and none succeeded.',
        "approvals",
    ),
    Alert(
        "NotificationDead",
        "critical",
        _counted(metrics.NOTIFICATIONS, "1h", 'result="dead"', label="channel") + " > 0",
        "",
        "A notice was given up",
        "A notice of {{ $labels.instance }} by {{ $labels.channel }} will not be tried again.",
        "approvals",
    ),
    Alert(
        "TTFTSlow",
        "warning",
        f"{percentile(metrics.FIRST_TOKEN, 'p95', '15m')} > 10",
        "10m",
        "Answers begin late",
        "One answer of {{ $labels.model }} in twenty begins after {{ $value | humanizeDuration }} "
        "or later.",
    ),
    Alert(
        "GPUMemoryHigh",
        "warning",
        f"{of(metrics.GPU_MEMORY)} > 0.9",
        "10m",
        "A card's memory is nearly full",
        "{{ $value | humanizePercentage }} of the memory of card {{ $labels.gpu }} on "
        "{{ $labels.instance }} are in use.",
    ),
    Alert(
        "DiskNearlyFull",
        "warning",
        of(metrics.RESOURCES, 'resource="disk"') + " > 0.9",
        "5m",
        "The disk is nearly full",
        "{{ $value | humanizePercentage }} of the disk of {{ $labels.instance }} are in use.",
    ),
)
