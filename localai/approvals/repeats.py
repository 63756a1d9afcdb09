"""Requests that may come twice: whoever asks again with the same key is answered the same.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from localai.approvals.tables import approval_keys as k
from localai.core.errors import Conflict

KEPT_US: Final = 24 * 3600 * 1_000_000
_FIND = sa.select(k).where(
    k.c.user_id == sa.bindparam("of_user"),
    k.c.key == sa.bindparam("of_key"),
    k.c.created_us > sa.bindparam("since"),
)
_KEEP = sa.insert(k)
_FORGET = sa.delete(k).where(k.c.created_us <= sa.bindparam("since"))


@dataclass(frozen=True)
class Once:
    """A key that the asker made up for one request, and the digest of what was asked."""

    key: str
    sha256: str


def find(connection: sa.Connection, user: str, once: Once, now_us: int) -> str | None:
    """The request that this key opened within a day; Conflict where it asked for another thing."""
    place = {"of_user": user, "of_key": once.key, "since": now_us - KEPT_US}
    row: Any = connection.execute(_FIND, place).one_or_none()
    if row is None:
        return None
    if row.request_sha256 != once.sha256:
        raise Conflict(
            "this Idempotency-Key came with another request before", hint="make up a new one"
        )
    return str(row.approval)


def keep(connection: sa.Connection, user: str, once: Once, approval: str, now_us: int) -> None:
    """Remember what the key opened, and forget what is older than a day."""
    connection.execute(_FORGET, {"since": now_us - KEPT_US})
    row = {"user_id": user, "key": once.key, "request_sha256": once.sha256}
    connection.execute(_KEEP, {**row, "approval": approval, "created_us": now_us})
