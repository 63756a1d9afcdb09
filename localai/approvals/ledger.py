"""The rows of this room and their changes: each one conditional update with its audit row."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from localai.approvals import rows
from localai.approvals.records import Approval, stale, truth
from localai.core import log
from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.counters import count
from localai.core.db import Database
from localai.core.errors import Invalid
from localai.core.ids import check_prefix, only
from localai.core.metrics import TOOL_RUNS
from localai.rbac.permissions import Actor

SYSTEM = "system"
# What hears of every change of a request, in its transaction: the event as the audit names it.
Announce = Callable[[sa.Connection, str, Mapping[str, Any]], None]
Returning = ReturningInsert[Any] | ReturningUpdate[Any]
MAX_OUTCOME = 4096
_MOST_NAMED = 1000
_MAX_REASON = 4096
_TOLD = (
    *("id", "tool", "action", "action_sha256", "risk", "user_id", "requester_kind", "session"),
    *("reason", "created_us", "expires_us"),
)


class Ledger:
    """Finds rows by what people type, and moves them from state to state."""

    def __init__(
        self, database: Database, audit: Audit, clock: Clock, announce: Announce | None = None
    ) -> None:
        self.database = database
        self.clock = clock
        self._audit = audit
        self._announce = announce

    def find(self, prefix: str, status: str | None = None) -> Any:
        """The row that the prefix names among those of the status, else among all."""
        with self.database.read() as connection:
            return self._named(connection, prefix, status)

    def get(self, prefix: str, status: str | None = None) -> Approval:
        """The approval that the prefix names among those of the status, else among all."""
        with self.database.read() as connection:
            return rows.approvals_of(connection, [self._named(connection, prefix, status)])[0]

    def at(self, connection: sa.Connection, prefix: str, status: str) -> Any:
        """The row that the prefix names, which has this status; else the truth about it."""
        row = self._named(connection, prefix, status)
        with log.about(approval=row.id, session=row.session):
            if row.status != status:
                raise truth(self.record(connection, row.id))
        return row

    def record(self, connection: sa.Connection, approval_id: str) -> Approval:
        """The approval as it stands in this transaction."""
        row = connection.execute(rows.BY_ID, {"id": approval_id, **rows.clocks(self.clock)}).one()
        return rows.approvals_of(connection, [row])[0]

    def read(self, approval_id: str) -> Approval:
        """The approval as it stands."""
        with self.database.read() as connection:
            return self.record(connection, approval_id)

    def change(
        self, connection: sa.Connection, statement: Returning, row: Any, **values: Any
    ) -> Any:
        """Write about the row as it was read, or tell what it is instead; returns what is new."""
        names = {"of_id": row.id, "of_version": row.version}
        written = {**rows.clocks(self.clock), **names, **values}
        changed = connection.execute(statement, written).one_or_none()
        if changed is not None:
            return changed
        current = self.record(connection, row.id)
        if current.status == row.status:
            raise stale(row.id)
        raise truth(current)

    def end(self, connection: sa.Connection, row: Any, to: str, outcome: str, actor: str) -> Any:
        """Move the row to a final state, audited; what was running is counted as it ended."""
        values = {"from_state": row.state, "at": self.clock.now_us(), "why": outcome}
        ended = self.change(connection, rows.END, row, to_state=to, **values)
        self.note(connection, f"approval.{to}", actor, row, outcome=outcome)
        if row.state == "executing":
            count(connection, TOOL_RUNS, row.tool, to)
        return ended

    def note_opened(
        self,
        connection: sa.Connection,
        actor: Actor,
        row: Mapping[str, Any],
        receipt: Mapping[str, Any] | None = None,
    ) -> None:
        """Audit a new request, in the transaction that stores it."""
        details = {
            "tool": row["tool"],
            "action_sha256": row["action_sha256"],
            "risk": row["risk"],
            "rule": row["policy_rule"],
            "kind": row["requester_kind"],
            "session": row["session"],
            "sandbox": row["sandbox"],
            "replaces": row["replaces"],
            "receipt": receipt,
        }
        with log.about(approval=row["id"], session=row["session"]):
            self.note_call(connection, "approval.requested", actor.signature, row["id"], details)
        self._tell(connection, "approval.requested", actor.signature, row)

    def note(
        self,
        connection: sa.Connection,
        event: str,
        actor: str,
        row: Any,
        **details: Any,
    ) -> None:
        """Audit what happened to the row, in the same transaction."""
        with log.about(approval=row.id, session=row.session):
            self.note_call(connection, event, actor, row.id, action_of(row) | details)
        self._tell(connection, event, actor, row, details)

    def _tell(
        self,
        connection: sa.Connection,
        event: str,
        actor: str,
        row: Any,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        if self._announce is not None:
            self._announce(connection, event, self.told(row, actor, details))

    def told(
        self, row: Any, actor: str, details: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """What is announced of a request: its action, and who did what to it, and why."""
        found = details or {}
        known = row if isinstance(row, Mapping) else row._asdict()
        return {
            **{name: known[name] for name in _TOLD},
            "by": actor,
            "why": found.get("reason") or found.get("outcome"),
            "decided_by": known.get("decided_by"),  # a new row has no decision yet
        }

    def note_call(
        self,
        connection: sa.Connection,
        event: str,
        actor: str,
        subject: str,
        details: Mapping[str, Any],
    ) -> None:
        """Audit a call that needed no request, or was refused one."""
        said = {key: value for key, value in details.items() if value is not None}
        self._audit.record(connection, event, actor=actor, subject=subject, details=said)

    def _named(self, connection: sa.Connection, prefix: str, status: str | None) -> Any:
        first = check_prefix(prefix)
        bounds = {"first": first, "last": first + "g", **rows.clocks(self.clock)}
        # A LIMIT would cost a third of the whole query here.
        some = connection.execute(rows.BY_PREFIX, bounds).fetchmany(_MOST_NAMED)
        named = {row.id: row for row in some}
        fitting = [found for found, row in named.items() if row.status == status]
        return named[only(prefix, "approval", fitting or list(named), hint="ai approvals list")]


def action_of(row: Any) -> dict[str, Any]:
    """What names the row's action in the audit."""
    return {"tool": row.tool, "action_sha256": row.action_sha256, "risk": row.risk}


def words(text: str | None) -> str | None:
    """A person's or a model's reason as it can be stored; Invalid where it cannot."""
    if text is None or not text.strip():
        return None
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise Invalid("the reason is not text") from error
    if size > _MAX_REASON:
        raise Invalid(f"the reason has {size} bytes; {_MAX_REASON} are the most")
    return text
