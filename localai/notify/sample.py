"""A notice of a request or an alert that never was, for previews and tests of channels."""

import json
from collections.abc import Mapping
from typing import Any, Final

from localai.core.clock import rfc3339
from localai.notify import alerts
from localai.notify.alerts import Alert, Group
from localai.notify.events import ALERT
from localai.notify.facts import facts_of
from localai.notify.records import Notice

_US: Final = 1_767_225_600_000_000
_ROW: Final[Mapping[str, Any]] = {
    "id": "0123456789abcdef",
    "tool": "write_file",
    "action": json.dumps(
        {"cwd": "/home/you/project", "arguments": {"path": "notes.txt", "content": "A sample."}}
    ),
    "action_sha256": "0" * 64,
    "risk": "high",
    "user_id": "sample",
    "requester_kind": "agent",
    "session": None,
    "reason": "This is a sample: nothing waits.",
    "created_us": _US,
    "expires_us": _US + 300_000_000,
    "decided_by": None,
    "by": "sample",
    "why": "This is a sample.",
}


_LABELS: Final = {"alertname": "DiskNearlyFull", "severity": "warning", "instance": "sample"}
_NOTES: Final = {
    "summary": "This is a sample: no disk is full.",
    "description": "The disk has 8 % left.",
    "runbook_url": "https://example.org/runbook",
}
_GROUP: Final = Group(
    key="sample",
    status="firing",
    alerts=[Alert("firing", _LABELS, _NOTES, "2026-01-01T00:00:00Z")],
    common_labels=_LABELS,
    common_annotations=_NOTES,
)


def notice(event: str, channel: str, row: Mapping[str, Any] | None = None) -> Notice:
    """A notice of the event, of the row where one is given."""
    of = row or _ROW
    if event == ALERT:
        of = {**_ROW, "id": _GROUP.id, "tool": _GROUP.name, "risk": _GROUP.risk}
    return Notice(
        id="0123456789abcdef",
        event=event,
        channel=channel,
        approval=of["id"],
        tool_name=of["tool"],
        risk=of["risk"],
        status="queued",
        attempts=0,
        created_at=rfc3339(of["created_us"]) or "",
        due_at=None,
        sent_at=None,
        error=None,
        facts=json.loads(alerts.facts_of(_GROUP, "sample") if event == ALERT else facts_of(of)),
    )
