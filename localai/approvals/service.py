"""Requests from opening to end: who may ask, decide, claim; each change audited with itself.

Never runs a tool. Every method is one short transaction; none is open while a person thinks.
"""

import time
from typing import Any

import sqlalchemy as sa

from localai.approvals import figures, lease, render, rows
from localai.approvals.action import Action, difference, read
from localai.approvals.figures import Statistics
from localai.approvals.ledger import SYSTEM, Ledger, words
from localai.approvals.records import (
    Approval,
    Decision,
    Grant,
    Page,
    Proposal,
    granted,
    truth,
)
from localai.approvals.tables import TRANSITIONS
from localai.core.audit import Audit
from localai.core.canonical import canonical
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import Conflict, Denied, Expired, Invalid, LocalaiError
from localai.core.ids import new_id
from localai.rbac.permissions import Actor, permissions_of
from localai.rbac.service import Rbac

_POLL_SECONDS = 0.05
_MAX_OUTCOME = 4096
_HEX = frozenset("0123456789abcdef")
_SHA256_DIGITS, _SHA256_SHORTEST = 64, 8


class Approvals:
    """The requests of one home."""

    def __init__(  # noqa: PLR0913 - what the room stands on, and its two spans
        self,
        database: Database,
        audit: Audit,
        rbac: Rbac,
        clock: Clock,
        *,
        timeout_s: int,
        grant_s: int,
    ) -> None:
        self._ledger = Ledger(database, audit, clock)
        self._database = database
        self._rbac = rbac
        self._clock = clock
        self._timeout_s = timeout_s
        self._grant_s = grant_s

    def open(self, actor: Actor, proposal: Proposal) -> Approval:
        """Store the request; it waits for `timeout_s` seconds."""
        self._rbac.require(actor, "tools:run")
        self.sweep()
        row = self._new(actor, proposal)
        with self._database.transaction() as connection:
            connection.execute(rows.INSERT, row)
            opened = self._ledger.record(connection, row["id"])
            details = {
                "tool": opened.tool_name,
                "action_sha256": opened.action_sha256,
                "risk": opened.risk,
                "rule": opened.policy_rule,
                "kind": actor.kind,
                "session": opened.session,
            }
            event = "approval.requested"
            self._ledger.note_call(connection, event, actor.user_id, opened.id, details)
        return opened

    def get(self, actor: Actor, prefix: str, status: str | None = None) -> Approval:
        """The approval that the prefix names, looked for first among those of the status."""
        self._rbac.require(actor, "approvals:read")
        return self._ledger.read(self._ledger.find(prefix, status).id)

    def describe(self, actor: Actor, prefix: str) -> tuple[str, ...]:
        """What a person must see before deciding: lines that are safe on any terminal."""
        self._rbac.require(actor, "approvals:read")
        row = self._ledger.find(prefix, "pending")
        return tuple(render.describe(self._ledger.read(row.id), _action(row)))

    def action(self, actor: Actor, prefix: str) -> Action:
        """The stored action of an approval, proved against its digest."""
        self._rbac.require(actor, "approvals:read")
        return _action(self._ledger.find(prefix, "approved"))

    def list(  # noqa: PLR0913 - one a filter
        self,
        actor: Actor,
        *,
        status: str | None = None,
        tool: str | None = None,
        user: str | None = None,
        session: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """The approvals that fit every filter given, newest first."""
        self._rbac.require(actor, "approvals:read")
        if status is not None and status not in TRANSITIONS:
            raise Invalid(f"{status!r} is not a status", hint=f"one of {', '.join(TRANSITIONS)}")
        self.sweep()
        wanted = {"status": status, "tool": tool, "user": user, "session": session}
        wanted |= rows.clocks(self._clock)
        place = rows.place(cursor)
        with self._database.read() as connection:
            total = connection.scalar(rows.COUNT, wanted) or 0
            found = connection.execute(rows.PAGE, {**wanted, **place, "limit": limit + 1}).all()
            items = rows.approvals_of(connection, found[:limit])
        return Page(items, total, rows.cursor_after(found[limit - 1]) if found[limit:] else None)

    def wait(
        self, actor: Actor, approval_id: str, timeout_s: float, poll_s: float = _POLL_SECONDS
    ) -> Approval:
        """Return as soon as the approval is not pending, or as it is after `timeout_s`."""
        self._rbac.require(actor, "approvals:read")
        until = time.monotonic() + timeout_s
        found = self._ledger.find(approval_id).id
        while (approval := self._ledger.read(found)).status == "pending":
            if (left := until - time.monotonic()) <= 0:
                break
            time.sleep(min(poll_s, left))
        return approval

    def approve(
        self, actor: Actor, prefix: str, *, seen_sha256: str, reason: str | None = None
    ) -> Approval:
        """Allow the action whose digest (8 digits at least) the person saw, for `grant_s`."""
        self._require_person(actor, "approvals:decide", prefix)
        return self._decide(actor, prefix, "approved", seen_sha256, words(reason))

    def reject(
        self, actor: Actor, prefix: str, *, seen_sha256: str, reason: str | None = None
    ) -> Approval:
        """Refuse the action whose digest (8 digits at least) the person saw."""
        self._require_person(actor, "approvals:decide", prefix)
        return self._decide(actor, prefix, "rejected", seen_sha256, words(reason))

    def cancel(self, actor: Actor, prefix: str, *, reason: str | None = None) -> Approval:
        """Withdraw a request that waits; another user's only with `approvals:decide`."""
        self._require_person(actor, "approvals:cancel", prefix)
        row = self._at(prefix, "pending")
        if row.user_id != actor.user_id:
            self._rbac.require(actor, "approvals:decide")
        why, at = words(reason), self._clock.now_us()
        values = {"seen": row.action_sha256, "at": at, "by": actor.user_id, "why": why}
        with self._database.transaction() as connection:
            grant = self._grant("cancelled")
            self._ledger.move(connection, rows.DECIDE, row, "cancelled", **values, **grant)
            self._ledger.note(connection, "approval.cancelled", actor.user_id, row, reason=why)
            return self._ledger.record(connection, row.id)

    def revoke(self, actor: Actor, prefix: str, *, reason: str | None = None) -> Approval:
        """Take back an approval that has not been claimed."""
        self._require_person(actor, "approvals:decide", prefix)
        row = self._at(prefix, "approved")
        why = words(reason)
        outcome = f"by {actor.user_id}" + (f": {why}" if why else "")
        with self._database.transaction() as connection:
            self._end(connection, row, "revoked", outcome, actor.user_id)
            return self._ledger.record(connection, row.id)

    def claim(self, actor: Actor, approval_id: str, action: Action) -> Grant:
        """The right to run the action once; `action` is the call stated anew by its tool.

        A call that is not what was approved, or whose requester or approver lost the
        permission, revokes the approval and raises Conflict or Denied.
        """
        self._rbac.require(actor, "tools:run")
        row = self._ledger.find(approval_id, "approved")
        granted(self._ledger.read(row.id))
        if row.user_id != actor.user_id:
            self._rbac.require(actor, "approvals:decide")
        holder, now = lease.mine(self._clock), self._clock.now_us()
        with self._database.transaction() as connection:
            # Roles are read on a connection of its own; as we hold the only right to write,
            # they cannot change between this check and the claim.
            obstacle = self._obstacle(row, action, self._ledger.record(connection, row.id))
            if obstacle is None:
                values = {"seen": action.sha256, "lease": holder, "at": now}
                self._ledger.move(connection, rows.CLAIM, row, "executing", **values)
                self._ledger.note(connection, "approval.claimed", actor.user_id, row)
            else:
                self._end(connection, row, "revoked", obstacle.message, SYSTEM)
            claimed = self._ledger.record(connection, row.id)
        if obstacle is not None:
            raise obstacle
        return Grant(claimed, action, holder)

    def finish(self, grant: Grant, outcome: str, *, ok: bool) -> Approval:
        """Write down how the claimed action ended; Conflict if the claim is not held any more."""
        row = self._ledger.find(grant.approval.id, "executing")
        if row.status != "executing" or row.claimed_by != grant.lease:
            raise truth(self._ledger.read(row.id))
        with self._database.transaction() as connection:
            to = "succeeded" if ok else "failed"
            self._end(connection, row, to, outcome[:_MAX_OUTCOME], row.user_id)
            return self._ledger.record(connection, row.id)

    def sweep(self) -> int:
        """Write down what is already true: expired requests, claims of dead processes."""
        with self._database.read() as connection:
            found = connection.execute(rows.SWEEPABLE, rows.clocks(self._clock)).all()
        due = [row for row in found if row.state != "executing" or self._is_orphan(row)]
        if not due:
            return 0
        with self._database.transaction() as connection:
            return sum(self._bury(connection, row) for row in due)

    def note_call(self, actor: Actor, event: str, proposal: Proposal, outcome: str) -> None:
        """Audit a call that ran without a request, or that the policy refused."""
        details = {
            "action_sha256": proposal.action.sha256,
            "risk": proposal.risk.word,
            "rule": proposal.policy_rule,
            "kind": actor.kind,
            "session": actor.session,
            "outcome": outcome[:_MAX_OUTCOME],
        }
        with self._database.transaction() as connection:
            tool = proposal.action.tool
            self._ledger.note_call(connection, event, actor.user_id, tool, details)

    def statistics(self, actor: Actor, since_us: int) -> Statistics:
        """How many requests there were since then, how they ended and how long they waited."""
        self._rbac.require(actor, "approvals:read")
        with self._database.read() as connection:
            bounds = {"since": since_us, **rows.clocks(self._clock)}
            found = connection.execute(rows.SINCE, bounds).all()
        return figures.summarise(since_us, found)

    def _new(self, actor: Actor, proposal: Proposal) -> dict[str, Any]:
        action, deadline = proposal.action, self._clock.deadline(self._timeout_s)
        return {
            "id": new_id(),
            "tool": action.tool,
            "action": action.text,
            "proposed_arguments": canonical(action.arguments).decode(),
            "action_sha256": action.sha256,
            "risk": proposal.risk.word,
            "permission": proposal.permission,
            "user_id": actor.user_id,
            "requester_kind": actor.kind,
            "session": actor.session,
            "reason": words(proposal.reason),
            "policy_rule": proposal.policy_rule,
            "sandbox": action.sandbox,
            "needed": 1,
            "created_us": self._clock.now_us(),
            "expires_us": deadline.wall_us,
            "boot_id": deadline.boot_id,
            "mono_us": deadline.monotonic_us,
            "state": "pending",
            "version": 1,
        }

    def _require_person(self, actor: Actor, permission: str, prefix: str) -> None:
        self._rbac.require(actor, permission)
        if actor.kind == "human":
            return
        details = {"kind": actor.kind, "session": actor.session}
        with self._database.transaction() as connection:
            event = "approval.agent-refused"
            self._ledger.note_call(connection, event, actor.user_id, prefix, details)
        raise Denied("an agent never decides about a request", hint=f"ai approvals show {prefix}")

    def _at(self, prefix: str, status: str) -> Any:
        row = self._ledger.find(prefix, status)
        if row.status != status:
            self.sweep()
            raise truth(self._ledger.read(row.id))
        return row

    def _decide(
        self, actor: Actor, prefix: str, decision: Decision, seen: str, why: str | None
    ) -> Approval:
        row, at = self._at(prefix, "pending"), self._clock.now_us()
        values = {"seen": _whole(seen, row), "at": at, "by": actor.user_id, "why": why}
        vote = {"approval": row.id, "voter": actor.user_id, "decision": decision, "reason": why}
        with self._database.transaction() as connection:
            grant = self._grant(decision)
            self._ledger.move(connection, rows.DECIDE, row, decision, **values, **grant)
            connection.execute(
                rows.INSERT_VOTE, {**vote, "action_sha256": row.action_sha256, "at_us": at}
            )
            self._ledger.note(connection, f"approval.{decision}", actor.user_id, row, reason=why)
            return self._ledger.record(connection, row.id)

    def _grant(self, decision: str) -> dict[str, Any]:
        if decision != "approved":
            return {"grant_us": None, "grant_boot": None, "grant_mono": None}
        until = self._clock.deadline(self._grant_s)
        return {
            "grant_us": until.wall_us,
            "grant_boot": until.boot_id,
            "grant_mono": until.monotonic_us,
        }

    def _obstacle(self, row: Any, now: Action, approval: Approval) -> LocalaiError | None:
        if now.sha256 != row.action_sha256:
            change = difference(read(row.action), now)
            return Conflict(f"the action changed since it was approved: {change}")
        needs = [(row.user_id, {"tools:run", row.permission})]
        needs += [(vote.user_id, {"approvals:decide"}) for vote in approval.votes]
        for user, permissions in needs:
            missing = permissions - permissions_of(self._rbac.roles(user))
            if missing:
                lost = ", ".join(sorted(missing))
                return Denied(f"{user} no longer has the permission {lost}")
        return None

    def _end(self, connection: sa.Connection, row: Any, to: str, outcome: str, actor: str) -> None:
        values = {"from_state": row.state, "at": self._clock.now_us(), "why": outcome}
        self._ledger.move(connection, rows.END, row, to, **values)
        self._ledger.note(connection, f"approval.{to}", actor, row, outcome=outcome)

    def _is_orphan(self, row: Any) -> bool:
        return lease.is_dead(row.claimed_by, self._clock)

    def _bury(self, connection: sa.Connection, row: Any) -> bool:
        to, outcome = _ENDS[row.state]
        try:
            self._end(connection, row, to, outcome, SYSTEM)
        except (Conflict, Expired):
            return False  # another process was faster
        return True


_ENDS = {
    "pending": ("expired", "nobody decided in time"),
    "approved": ("expired", "approved, but nobody ran it in time"),
    "executing": ("unknown", "the process died while it ran"),
}


def _whole(seen: str, row: Any) -> str:
    """The row's digest if `seen` begins it, else `seen`, which then fits nothing."""
    seen = seen.lower()
    if not (_SHA256_SHORTEST <= len(seen) <= _SHA256_DIGITS and _HEX.issuperset(seen)):
        message = f"{seen!r} is not the beginning of a SHA-256"
        raise Invalid(message, hint=f"give at least {_SHA256_SHORTEST} of its hexadecimal digits")
    return str(row.action_sha256) if row.action_sha256.startswith(seen) else seen


def _action(row: Any) -> Action:
    action = read(row.action)
    if action.sha256 != row.action_sha256:
        message = f"the stored action of {row.id} is not the one that was asked for"
        raise Conflict(message, hint="ai audit verify")
    return action
