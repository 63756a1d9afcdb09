"""A person's decision about a request: one update, one vote, one audit row."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from localai.approvals import rows
from localai.approvals.ledger import Ledger
from localai.approvals.records import Approval, Decision
from localai.core.errors import Invalid
from localai.rbac.permissions import Actor

_HEX = frozenset("0123456789abcdef")
_DIGITS, _SHORTEST = 64, 8


class Decisions:
    """Decides about the rows of a ledger; an approval lasts `grant_s` seconds."""

    def __init__(self, ledger: Ledger, grant_s: int) -> None:
        self._ledger = ledger
        self._grant_s = grant_s

    def decide(  # noqa: PLR0913 - one decision
        self,
        actor: Actor,
        row: Any,
        decision: Decision,
        seen: str | None,
        why: str | None,
        beside: Callable[[sa.Connection], None] | None = None,
    ) -> Approval:
        """Approve or reject the action whose digest begins with `seen`, and count the vote.

        What is to be written down with it, `beside` writes in the same transaction.
        """
        digest = whole(seen, row)
        with self._ledger.database.transaction() as connection:
            return self._decided(connection, actor, row, decision, digest, why, beside or _nothing)

    def amend(
        self, actor: Actor, row: Any, new: Mapping[str, Any], seen: str, why: str | None
    ) -> Approval:
        """Approve the `new` request in the place of the one that was seen, which is cancelled."""
        digest = whole(seen, row)
        told = f"superseded by {new['id']}" + (f": {why}" if why else "")
        with self._ledger.database.transaction() as connection:
            self._settle(connection, actor, row, "cancelled", digest, told)
            connection.execute(rows.INSERT, new)
            self._ledger.note_opened(connection, actor, new)
            at = {"id": new["id"], **rows.clocks(self._ledger.clock)}
            opened = connection.execute(rows.BY_ID, at).one()
            shown = opened.action_sha256
            return self._decided(connection, actor, opened, "approved", shown, why, _nothing)

    def _decided(  # noqa: PLR0913 - one decision
        self,
        connection: sa.Connection,
        actor: Actor,
        row: Any,
        decision: Decision,
        digest: str,
        why: str | None,
        beside: Callable[[sa.Connection], None],
    ) -> Approval:
        vote = {
            "approval": row.id,
            "voter": actor.person,
            "decision": decision,
            "reason": why,
            "action_sha256": row.action_sha256,
            "at_us": self._settle(connection, actor, row, decision, digest, why),
        }
        connection.execute(rows.INSERT_VOTE, vote)
        beside(connection)
        return self._ledger.record(connection, row.id)

    def cancel(self, actor: Actor, row: Any, why: str | None) -> Approval:
        """Withdraw the request."""
        with self._ledger.database.transaction() as connection:
            self._settle(connection, actor, row, "cancelled", row.action_sha256, why)
            return self._ledger.record(connection, row.id)

    def revoke(self, actor: Actor, row: Any, why: str | None) -> Approval:
        """Take an approval back."""
        outcome = f"by {actor.signature}" + (f": {why}" if why else "")
        with self._ledger.database.transaction() as connection:
            self._ledger.end(connection, row, "revoked", outcome, actor.signature)
            return self._ledger.record(connection, row.id)

    def _settle(  # noqa: PLR0913 - one decision
        self,
        connection: sa.Connection,
        actor: Actor,
        row: Any,
        to: str,
        seen: str,
        why: str | None,
    ) -> int:
        """Move a pending row to a person's decision; returns when that was."""
        at = self._ledger.clock.now_us()
        values = {"seen": seen, "at": at, "by": actor.person, "why": why, **self._grant(to)}
        self._ledger.move(connection, rows.DECIDE, row, to, **values)
        self._ledger.note(connection, f"approval.{to}", actor.signature, row, reason=why)
        return at

    def _grant(self, decision: str) -> dict[str, Any]:
        if decision != "approved":
            return {"grant_us": None, "grant_boot": None, "grant_mono": None}
        until = self._ledger.clock.deadline(self._grant_s)
        return {
            "grant_us": until.wall_us,
            "grant_boot": until.boot_id,
            "grant_mono": until.monotonic_us,
        }


def _nothing(_: sa.Connection) -> None:
    """Nothing is written down beside the decision."""


def whole(seen: str | None, row: Any) -> str:
    """The row's digest if `seen` begins it or is None; else `seen`, which then fits nothing."""
    seen = str(row.action_sha256) if seen is None else seen.lower()
    if not (_SHORTEST <= len(seen) <= _DIGITS and _HEX.issuperset(seen)):
        message = f"{seen!r} is not the beginning of a SHA-256"
        raise Invalid(message, hint=f"give at least {_SHORTEST} of its hexadecimal digits")
    return str(row.action_sha256) if row.action_sha256.startswith(seen) else seen
