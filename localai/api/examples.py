"""What the description shows of bodies and answers: one request, from end to end."""

from typing import Any, Final

NEW: Final[dict[str, Any]] = {
    "tool_name": "deploy",
    "arguments": {"service": "shop", "version": "1.4.2"},
    "reason": "the fix for the basket",
}
OWN: Final[dict[str, Any]] = {
    "tool_name": "write_file",
    "arguments": {"path": "notes.md", "content": "buy milk\n"},
}
APPROVE: Final[dict[str, Any]] = {"action": "approve", "reason": "read and tested"}
REJECT: Final[dict[str, Any]] = {"action": "reject", "reason": "not on a Friday"}
APPROVAL: Final[dict[str, Any]] = {
    "id": "3f2a9c4e5d6b7a80",
    "tool_name": "deploy",
    "arguments": NEW["arguments"],
    "proposed_arguments": NEW["arguments"],
    "action_sha256": "0d1f6f7b0a3d4c5e" * 4,
    "risk": "high",
    "status": "pending",
    "user_id": "kim",
    "requester_kind": "human",
    "session": None,
    "reason": NEW["reason"],
    "policy_rule": "normal.from-high",
    "sandbox": "another system does it, where nothing here confines it",
    "created_at": "2026-11-22T09:30:00.000Z",
    "expires_at": "2026-11-22T09:35:00.000Z",
    "needed": 1,
    "votes": [],
    "decided_at": None,
    "decided_by": None,
    "decision_reason": None,
    "finished_at": None,
    "outcome": None,
}
PAGE: Final[dict[str, Any]] = {"items": [APPROVAL], "total": 1, "next": None}
_DECIDED: Final = {"decided_at": "2026-11-22T09:31:12.000Z", "decided_by": "kim"}
CANCELLED: Final[dict[str, Any]] = {**APPROVAL, **_DECIDED, "status": "cancelled"}
STATISTICS: Final[dict[str, Any]] = {
    "since": "2026-11-15T09:30:00.000Z",
    "total": 2,
    "by_status": {"succeeded": 1, "rejected": 1},
    "approval_rate": 0.5,
    "avg_time": 21.5,
    "median_time": 12.0,
    "p95_time": 31.0,
    "expired_share": 0.0,
    "by_tool": {"deploy": {"succeeded": 1, "rejected": 1}},
    "by_decider": {"kim": {"approved": 1, "rejected": 1}},
}
OUTCOME: Final[dict[str, Any]] = {
    "result": {
        "ok": True,
        "text": "wrote notes.md (9 bytes)",
        "summary": "wrote notes.md (9 bytes)",
        "is_foreign": False,
    },
    "approval": {
        **APPROVAL,
        **_DECIDED,
        "tool_name": "write_file",
        "arguments": OWN["arguments"],
        "proposed_arguments": OWN["arguments"],
        "sandbox": "in localai itself",
        "status": "succeeded",
        "finished_at": "2026-11-22T09:31:13.000Z",
        "outcome": "wrote notes.md (9 bytes)",
    },
}
EVENT: Final = 'id: 42\nevent: approval.requested\ndata: {"id": 42, "at": "...", ...}\n\n'

_LABELS: Final = {
    "alertname": "DiskNearlyFull",
    "severity": "warning",
    "instance": "127.0.0.1:9464",
}
_NOTES: Final = {"summary": "The disk is nearly full", "description": "8 % are left."}
ALERTS: Final[dict[str, Any]] = {
    "version": "4",
    "groupKey": '{}/{service="localai"}:{alertname="DiskNearlyFull"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "localai",
    "groupLabels": {"alertname": "DiskNearlyFull"},
    "commonLabels": _LABELS,
    "commonAnnotations": _NOTES,
    "externalURL": "http://127.0.0.1:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": _LABELS,
            "annotations": _NOTES,
            "startsAt": "2026-11-22T09:30:00.123Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://127.0.0.1:9090/graph",
            "fingerprint": "b3c1f6d0a9e24775",
        }
    ],
}
RESOLVED: Final[dict[str, Any]] = ALERTS | {
    "status": "resolved",
    "alerts": [ALERTS["alerts"][0] | {"status": "resolved", "endsAt": "2026-11-22T09:40:00.123Z"}],
}
ALERT_TAKEN: Final[dict[str, Any]] = {
    "id": "f2f5b3f1d6f0c1ab",
    "status": "firing",
    "risk": "medium",
    "channels": ["mail"],
}
