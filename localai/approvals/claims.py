"""Claims: the step from a person's yes to a run, taken once, and what ends it.

A claim that is read as a dead process's by mistake makes the row unknown, which is never run again.
"""

from typing import Any

import sqlalchemy as sa

from localai.approvals import rows
from localai.approvals.action import Action, difference, read
from localai.approvals.ledger import MAX_OUTCOME, SYSTEM, Ledger
from localai.approvals.records import Approval, Grant, truth
from localai.core import lease
from localai.core.errors import Conflict, Denied, Expired
from localai.rbac.permissions import Actor, permissions_of
from localai.rbac.service import Rbac


class Claims:
    """Claims and ends the rows of a ledger."""

    def __init__(self, ledger: Ledger, rbac: Rbac) -> None:
        self._ledger = ledger
        self._rbac = rbac

    def claim(self, actor: Actor, row: Any, action: Action, holder: str | None = None) -> Grant:
        """Mark the row as running, here or for the `holder`; else revoke it and raise why."""
        holder = holder or lease.mine(self._ledger.clock)
        with self._ledger.database.transaction() as connection:
            # Roles are read on a connection of its own; as we hold the only right to write,
            # they cannot change between this check and the claim.
            approved = self._ledger.record(connection, row.id)
            obstacle = self._obstacle(row, action, approved)
            if obstacle is None:
                at = self._ledger.clock.now_us()
                values = {"seen": action.sha256, "lease": holder, "at": at}
                row = self._ledger.change(
                    connection, rows.CLAIM, row, to_state="executing", **values
                )
                self._ledger.note(connection, "approval.claimed", actor.signature, row)
            else:
                self._ledger.end(connection, row, "revoked", obstacle.message, SYSTEM)
            claimed = rows.approval_of(row, approved.votes)
        if obstacle is not None:
            raise obstacle
        return Grant(claimed, action, holder)

    def finish(self, grant: Grant, outcome: str, *, is_ok: bool, by: str | None = None) -> Approval:
        """Move the row of the grant to its end; Conflict if another process judged it dead.

        It is the requester who says so, or `by`.
        """
        row = self._ledger.find(grant.approval.id)
        if row.status != "executing" or row.claimed_by != grant.lease:
            raise truth(self._ledger.read(row.id))
        to = "succeeded" if is_ok else "failed"
        with self._ledger.database.transaction() as connection:
            ended = self._ledger.end(connection, row, to, outcome[:MAX_OUTCOME], by or row.user_id)
            return rows.approvals_of(connection, [ended])[0]

    def sweep(self) -> int:
        """Write down what the clock and the process table say; returns how many rows."""
        clock = self._ledger.clock
        with self._ledger.database.read() as connection:
            found = connection.execute(rows.SWEEPABLE, rows.clocks(clock)).all()
        due = [r for r in found if r.state != "executing" or lease.is_dead(r.claimed_by, clock)]
        if not due:
            return 0
        with self._ledger.database.transaction() as connection:
            return sum(self._bury(connection, row) for row in due)

    def _bury(self, connection: sa.Connection, row: Any) -> bool:
        to, outcome = _ENDS[row.state]
        try:
            self._ledger.end(connection, row, to, outcome, SYSTEM)
        except (Conflict, Expired):
            return False  # another process was faster
        return True

    def _obstacle(self, row: Any, now: Action, approval: Approval) -> Conflict | Denied | None:
        if now.sha256 != row.action_sha256:
            change = difference(read(row.action), now)
            message = f"the action changed since it was approved: {change}"
            return Conflict(message, hint="ask for it again")
        needs = [(row.user_id, {"tools:run", row.permission})]
        needs += [(vote.user_id, {"approvals:decide"}) for vote in approval.votes]
        for user, permissions in needs:
            missing = permissions - permissions_of(self._rbac.roles(user))
            if missing:
                lost = ", ".join(sorted(missing))
                return Denied(f"{user} no longer has the permission {lost}")
        return None


_ENDS = {
    "pending": ("expired", "nobody decided in time"),
    "approved": ("expired", "approved, but nobody ran it in time"),
    "executing": ("unknown", "the process died while it ran"),
}
