"""Alerts of a monitoring system as they are told: what they say, how bad it is, what is new.

The fields are those of Alertmanager's webhook
(https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from localai.core.redact import redact_all
from localai.notify.events import RISKS
from localai.notify.facts import MOST_ARGUMENTS, cut

State = Literal["firing", "resolved"]

_MOST_ALERTS: Final = 10
_MOST_NAMED: Final = 6  # labels by which one alert of a group is told from the others
_ID_DIGITS: Final = 16
_SEVERITIES: Final = {
    "low": ("info", "information", "informational", "low", "none", "debug", "notice"),
    "medium": ("warning", "warn", "minor", "medium", "moderate"),
    "high": ("error", "major", "high", "severe"),
    "critical": ("critical", "page", "emergency", "fatal", "disaster", "urgent"),
}
_RISKS: Final = {word: risk for risk, words in _SEVERITIES.items() for word in words}
_UNKNOWN: Final = "medium"


@dataclass(frozen=True)
class Alert:
    """One alert of a group; when it began is as its sender writes it."""

    status: State
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: str


@dataclass(frozen=True)
class Group:
    """Alerts that are told together: `firing` while one of them is."""

    key: str
    status: State
    alerts: Sequence[Alert]
    common_labels: Mapping[str, str]
    common_annotations: Mapping[str, str]
    truncated: int = 0

    @property
    def id(self) -> str:
        """What the group is called here."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:_ID_DIGITS]

    @property
    def news(self) -> str:
        """The same for what was told before, in another minute or a second time.

        It changes with the state, and when an alert begins that is newer than all the others.
        """
        return f"{self.status} {max((each.starts_at for each in self.alerts), default='')}"

    @property
    def risk(self) -> str:
        """How bad it is: the worst severity of what fires, or of what did."""
        telling = [each for each in self.alerts if each.status == self.status] or self.alerts
        found = [_risk(each.labels) for each in telling] or [_risk(self.common_labels)]
        return max(found, key=RISKS.index)

    @property
    def name(self) -> str:
        """What people call it."""
        names = dict.fromkeys(each.labels.get("alertname", "") for each in self.alerts)
        return ", ".join(filter(None, names)) or "alert"


def facts_of(group: Group, sender: str) -> str:
    """What is told of the group, as JSON: redacted, cut where it is long, and said so."""
    notes = redact_all(_bounded(group.common_annotations))
    told = {
        "tool": cut(group.name),
        "user_id": cut(sender),
        "status": group.status,
        "summary": cut(notes.get("summary") or notes.get("message") or ""),
        "reason": cut(notes.get("description") or ""),
        "runbook": cut(notes.get("runbook_url") or ""),
        "since": cut(min((each.starts_at for each in group.alerts), default="")),
        "alerts": len(group.alerts) + group.truncated,
        "arguments": [*_labels(group.common_labels), *_each(group)],
    }
    return json.dumps(told, ensure_ascii=False)


def _risk(labels: Mapping[str, str]) -> str:
    return _RISKS.get(labels.get("severity", "").strip().casefold(), _UNKNOWN)


def _labels(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in redact_all(_bounded(labels)).items():
        yield cut(name), cut(value)
    if (more := len(labels) - MOST_ARGUMENTS) > 0:
        yield "...", f"[+{more}]"


def _each(group: Group) -> Iterator[tuple[str, str]]:
    """A line for each alert where there are several, with what the others do not share."""
    count = len(group.alerts) + group.truncated
    if count == 1:
        return
    for number, each in enumerate(group.alerts[:_MOST_ALERTS], 1):
        own = {name: text for name, text in each.labels.items() if name not in group.common_labels}
        shown = list(_labels(dict(sorted(own.items())[:_MOST_NAMED])))
        summary = each.annotations.get("summary", "")
        words = (each.status, *(f"{name}={text}" for name, text in shown), cut(summary))
        yield str(number), ", ".join(filter(None, words))
    if count > _MOST_ALERTS:
        yield "...", f"[+{count - _MOST_ALERTS}]"


def _bounded(texts: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(texts.items())[:MOST_ARGUMENTS])
