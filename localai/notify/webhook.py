"""A webhook: JSON, signed as Standard Webhooks has it, so that ready libraries can verify it.

`webhook-signature` is the HMAC-SHA256 of id, timestamp and body; the timestamp keeps an old
message from being sent again by a stranger, the id lets the receiver know one that it has had
(https://www.standardwebhooks.com).
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from localai.core.clock import Clock
from localai.core.errors import Invalid
from localai.notify.events import ALERT
from localai.notify.post import Post, require_private, said
from localai.notify.records import Message, Notice

_PREFIX = "whsec_"


class Webhook:
    """Posts each notice to the address; `key` is asked for when something is sent."""

    gathers = False

    def __init__(self, url: str, key: Callable[[], str], clock: Clock, post: Post) -> None:
        require_private(url, "notify.webhook.url")
        self._url = url
        self._key = key
        self._clock = clock
        self._post = post

    def send(self, message: Message) -> str:
        """Post it, signed, and tell what the server said."""
        body = self.draft(message).encode()
        at = str(self._clock.now_us() // 1_000_000)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "webhook-id": message.id,
            "webhook-timestamp": at,
            "webhook-signature": signature(self._key(), message.id, at, body),
        }
        return said(self._post(self._url, body, headers))

    def draft(self, message: Message) -> str:
        """The JSON that would be posted."""
        return json.dumps(payload(message), ensure_ascii=False, sort_keys=True)


def payload(message: Message) -> dict[str, Any]:
    """What a program needs to know: event and facts; arguments are redacted and may be cut."""
    one = message.notices[0]
    if one.event == ALERT:
        return _alert(one, message.subject)
    return {
        "type": f"approval.{message.event}",
        "timestamp": one.created_at,
        "data": {
            "id": one.approval,
            "tool_name": one.tool_name,
            "risk": one.risk,
            "user_id": one.told["user_id"],
            "requester_kind": one.told["requester_kind"],
            "session": one.told["session"],
            "workspace": one.told["workspace"],
            "arguments": dict(one.told["arguments"]),
            "action_sha256": one.told["action_sha256"],
            "expires_us": one.told["expires_us"],
            "decided_by": one.told["by"] if message.event in {"approved", "rejected"} else None,
            "why": one.told["why"] or None,
            "message": message.subject,
        },
    }


def _alert(one: Notice, subject: str) -> dict[str, Any]:
    told = ("status", "summary", "runbook", "since", "alerts")
    return {
        "type": f"alert.{one.told['status']}",
        "timestamp": one.created_at,
        "data": {
            "id": one.approval,
            "name": one.tool_name,
            "risk": one.risk,
            "user_id": one.told["user_id"],
            **{name: one.told[name] for name in told},
            "description": one.told["reason"],
            "labels": dict(one.told["arguments"]),
            "message": subject,
        },
    }


def signature(key: str, message_id: str, at: str, body: bytes) -> str:
    """`v1,` and the MAC in base64; the key is text, or base64 after `whsec_`."""
    secret = key.encode()
    if key.startswith(_PREFIX):
        try:
            secret = base64.b64decode(key.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            message = "the secret webhook-key begins with whsec_ and is no base64"
            raise Invalid(message, hint="ai secrets set webhook-key") from error
    mac = hmac.new(secret, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"
