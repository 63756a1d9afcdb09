"""Requests from opening to end: who may ask, decide, claim; each change audited with itself.

Never runs a tool. Every method is one short transaction; none is open while a person thinks.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa

from localai.approvals import looking, repeats, rows, statistics
from localai.approvals.action import Action, read
from localai.approvals.changes import Changes
from localai.approvals.claims import Claims
from localai.approvals.decisions import Answer, Decisions, Write, nothing, whole
from localai.approvals.elsewhere import Elsewhere
from localai.approvals.ledger import MAX_OUTCOME, Announce, Ledger, words
from localai.approvals.looking import Wanted
from localai.approvals.records import (
    Approval,
    Grant,
    Proposal,
    Waiting,
    as_opened,
    granted,
    stale,
    truth,
)
from localai.approvals.repeats import Once
from localai.approvals.standing import Scope, Standing, StandingRules
from localai.approvals.statistics import Statistics
from localai.approvals.tables import TRANSITIONS
from localai.core.audit import Audit
from localai.core.canonical import canonical
from localai.core.clock import Clock
from localai.core.counters import count
from localai.core.db import Database
from localai.core.errors import Conflict, Denied, Expired, Invalid, LocalaiError
from localai.core.escape import visible
from localai.core.ids import check_prefix, new_id
from localai.core.metrics import TOOL_RUNS
from localai.core.records import Page
from localai.rbac.permissions import Actor, Risk
from localai.rbac.service import Rbac

_POLL_SECONDS = 0.05
_MOST_NAME = 100
_RAN = {True: "succeeded", False: "failed", None: "unknown"}


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
        pending: int = 5,
        proof: Callable[[Actor, str | None], Write] | None = None,
        announce: Announce | None = None,
    ) -> None:
        self._ledger = Ledger(database, audit, clock, announce)
        self._decisions = Decisions(self._ledger, grant_s)
        self._claims = Claims(self._ledger, rbac)
        self.standing = StandingRules(self._ledger, rbac)
        self.elsewhere = Elsewhere(self._ledger, self._claims, rbac)
        self.changes = Changes(self._ledger, audit, rbac.require)
        self._database = database
        self._rbac = rbac
        self._clock = clock
        self._timeout_s = timeout_s
        self._pending = pending
        self._take_code = proof

    def open(self, actor: Actor, proposal: Proposal, once: Once | None = None) -> Approval:
        """Store the request; it waits for `timeout_s` seconds. `once` opens no second one.

        Denied where as many of its conversation as may wait are waiting.
        """
        self._rbac.require(actor, "tools:run")
        row = self._new(actor, proposal)
        with self._database.transaction() as connection:
            if once and (known := self._repeated(connection, actor, once)):
                return known
            self._refuse_flood(connection, actor)
            connection.execute(rows.INSERT, row)
            self._ledger.note_opened(connection, actor, row, proposal.receipt)
            if once:
                repeats.keep(connection, actor.person, once, row["id"], row["created_us"])
            return self._ledger.record(connection, row["id"])

    def repeated(self, actor: Actor, once: Once) -> Approval | None:
        """What the same key has opened, as it was then; None where it opened nothing."""
        self._rbac.require(actor, "tools:run")
        with self._database.read() as connection:
            return self._repeated(connection, actor, once)

    def renew(self, actor: Actor, prefix: str, proposal: Proposal) -> Approval:
        """Ask again for what expired, stated anew; another user's only with `approvals:decide`."""
        self._require_person(actor, "tools:run", prefix)
        self.sweep()
        old = self._at(prefix, "expired")
        if old.user_id != actor.user_id:
            self._rbac.require(actor, "approvals:decide")
        row = self._replacing(old, proposal)
        with self._database.transaction() as connection:
            connection.execute(rows.INSERT, row)
            self._ledger.note_opened(connection, actor, row)
            return self._ledger.record(connection, row["id"])

    def latest(self, actor: Actor, approval_id: str) -> Approval:
        """The request that replaces it, or the one that replaces that; itself where none does."""
        self._rbac.require(actor, "approvals:read")
        return self._latest(approval_id)

    def get(self, actor: Actor, prefix: str, status: str | None = None) -> Approval:
        """The approval that the prefix names, looked for first among those of the status."""
        self._rbac.require(actor, "approvals:read")
        return self._ledger.get(prefix, status)

    def told(self, actor: Actor, prefix: str) -> Mapping[str, Any]:
        """What is announced of a request that the prefix names, as it stands."""
        self._rbac.require(actor, "approvals:read")
        row = self._ledger.find(prefix)
        details = {"reason": row.decision_reason, "outcome": row.outcome}
        return self._ledger.told(row, row.decided_by or row.user_id, details)

    def to_decide(self, actor: Actor, prefix: str, sha256: str | None = None) -> Approval:
        """The pending approval that the prefix names; Conflict unless its digest begins so."""
        self._rbac.require(actor, "approvals:read")
        row = self._at(prefix, "pending")
        if sha256 is not None and whole(sha256, row) != row.action_sha256:
            raise stale(row.id)
        _action(row)
        return self._ledger.read(row.id)

    def action(self, actor: Actor, prefix: str) -> Action:
        """The stored action of an approval, proved against its digest."""
        self._rbac.require(actor, "approvals:read")
        return _action(self._ledger.find(prefix, "approved"))

    def look(
        self, actor: Actor, wanted: Wanted, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Approval]:
        """As `list`, and nothing is written: what is over is told by the clock."""
        self._rbac.require(actor, "approvals:read")
        with self._database.read() as connection:
            return looking.page(connection, self._clock, wanted, limit, cursor)

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
    ) -> Page[Approval]:
        """The approvals that fit every filter given, newest first."""
        self._rbac.require(actor, "approvals:read")
        if status is not None and status not in TRANSITIONS:
            raise Invalid(f"{status!r} is not a status", hint=f"one of {', '.join(TRANSITIONS)}")
        self.sweep()
        filters = {"status": status, "tool": tool, "user": user, "session": session}
        wanted = {name: value for name, value in filters.items() if value is not None}
        place = rows.place(cursor) | rows.clocks(self._clock) | {"limit": limit + 1}
        given = frozenset(wanted)
        with self._database.read() as connection:
            total = connection.scalar(rows.total(given), wanted) or 0
            found = connection.execute(rows.page(given), {**wanted, **place}).all()
            items = rows.approvals_of(connection, found[:limit])
        return Page(items, total, rows.cursor_after(found[limit - 1]) if found[limit:] else None)

    def wait(
        self, actor: Actor, prefix: str, timeout_s: float, poll_s: float = _POLL_SECONDS
    ) -> Approval:
        """The approval as soon as it is decided; Waiting after `timeout_s`, or Expired."""
        self._rbac.require(actor, "approvals:read")
        until = time.monotonic() + timeout_s
        found = self._ledger.find(prefix, "pending").id
        while (approval := self._latest(found)).status == "pending":
            if (left := until - time.monotonic()) <= 0:
                raise Waiting(approval)
            time.sleep(min(poll_s, left))
        if approval.status == "expired":
            raise truth(approval)
        return approval

    def draft_rule(
        self, actor: Actor, prefix: str, scope: Scope, *, left_open: Sequence[str]
    ) -> Standing:
        """The standing rule that approving would make, for a person to read before it counts."""
        self._require_person(actor, "approvals:decide", prefix)
        return self.standing.draft(actor, self._at(prefix, "pending"), left_open, scope)

    def asks_for_code(self, risk: str) -> bool:
        """Tell whether approving what has this risk takes a one-time code."""
        return self._take_code is not None and risk == Risk.CRITICAL.word

    def approve(  # noqa: PLR0913 - one decision
        self,
        actor: Actor,
        prefix: str,
        *,
        seen_sha256: str,
        reason: str | None = None,
        rule: Standing | None = None,
        code: str | None = None,
    ) -> Approval:
        """Allow the action whose digest (8 digits at least) the person saw, for `grant_s`.

        With a drafted `rule`, calls that it matches run unasked from now on. What is critical
        needs a one-time `code` where codes are asked for.
        """
        self._require_person(actor, "approvals:decide", prefix)
        proof: Write = nothing
        beside: Write = nothing
        if rule is not None:
            prefix = _drafted_for(rule, actor, prefix)
            beside = partial(self.standing.save, actor=actor, made=rule)
        if self._take_code is not None:
            row = self._at(prefix, "pending")
            prefix, proof = row.id, self._proof(actor, row.risk, code)
        answer = Answer(actor, why=words(reason), proof=proof, beside=beside)
        return self._decide(prefix, answer, seen_sha256)

    def amend(  # noqa: PLR0913 - one decision
        self,
        actor: Actor,
        prefix: str,
        proposal: Proposal,
        *,
        seen_sha256: str,
        reason: str | None = None,
        code: str | None = None,
    ) -> Approval:
        """Approve a call with other arguments in the place of the one that was asked for.

        The proposed request is cancelled as superseded; both are kept, and linked.
        """
        self._require_person(actor, "approvals:decide", prefix)
        row = self._at(prefix, "pending")
        new = self._replacing(row, proposal)
        proof = self._proof(actor, new["risk"], code)
        return self._decisions.amend(
            row, new, Answer(actor, why=words(reason), proof=proof), seen_sha256
        )

    def reject(
        self,
        actor: Actor,
        prefix: str,
        *,
        seen_sha256: str | None = None,
        reason: str | None = None,
    ) -> Approval:
        """Refuse the action, whatever it is or only if its digest is the one given."""
        self._require_person(actor, "approvals:decide", prefix)
        return self._decide(prefix, Answer(actor, "rejected", words(reason)), seen_sha256)

    def cancel(self, actor: Actor, prefix: str, *, reason: str | None = None) -> Approval:
        """Withdraw a request that waits; another user's only with `approvals:decide`."""
        self._require_person(actor, "approvals:cancel", prefix)
        row = self._at(prefix, "pending")
        if row.user_id != actor.user_id:
            self._rbac.require(actor, "approvals:decide")
        return self._decisions.cancel(actor, row, words(reason))

    def revoke(self, actor: Actor, prefix: str, *, reason: str | None = None) -> Approval:
        """Take back an approval that has not been claimed."""
        self._require_person(actor, "approvals:decide", prefix)
        row = self._at(prefix, "approved")
        return self._decisions.revoke(actor, row, words(reason))

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
        return self._claims.claim(actor, row, action)

    def finish(self, grant: Grant, outcome: str, *, ok: bool) -> Approval:
        """Write down how the claimed action ended; Conflict if the claim is not held any more."""
        return self._claims.finish(grant, outcome, is_ok=ok)

    def sweep(self) -> int:
        """Write down what is already true: expired requests, claims of dead processes."""
        return self._claims.sweep()

    def note_call(
        self, actor: Actor, event: str, proposal: Proposal, outcome: str, *, ok: bool | None = None
    ) -> None:
        """Audit a call that ran without a request, or that the policy refused, and count its end.

        `ok` tells of one that ran whether it went well; None where nobody knows.
        """
        ends = {"tool.denied": "denied", "tool.ran": _RAN[ok]}
        details = {
            "action_sha256": proposal.action.sha256,
            "risk": proposal.risk.word,
            "rule": proposal.policy_rule,
            "kind": actor.kind,
            "session": actor.session,
            "sandbox": proposal.action.sandbox,
            "outcome": outcome[:MAX_OUTCOME],
            "ok": ok,
            "receipt": proposal.receipt,
        }
        with self._database.transaction() as connection:
            tool = proposal.action.tool
            self._ledger.note_call(connection, event, actor.signature, tool, details)
            if event in ends:
                count(connection, TOOL_RUNS, tool, ends[event])

    def note_refusal(self, actor: Actor, tool: str, error: LocalaiError) -> None:
        """Audit what was asked for and could not even become a request, by the name it gave."""
        details = {
            "kind": actor.kind,
            "session": actor.session,
            "outcome": visible(f"{error.category}: {error.message}")[:MAX_OUTCOME],
        }
        with self._database.transaction() as connection:
            named = visible(tool)[:_MOST_NAME]
            self._ledger.note_call(connection, "tool.refused", actor.signature, named, details)

    def statistics(self, actor: Actor, since_us: int, *, sweeps: bool = True) -> Statistics:
        """How many requests there were since then, how they ended and how long they waited.

        Where it does not sweep, nothing is written, and what was over lately may count as pending.
        """
        self._rbac.require(actor, "approvals:read")
        if sweeps:
            self.sweep()
        with self._database.read() as connection:
            return statistics.read(connection, since_us)

    def _repeated(self, connection: sa.Connection, actor: Actor, once: Once) -> Approval | None:
        found = repeats.find(connection, actor.person, once, self._clock.now_us())
        return as_opened(self._ledger.record(connection, found)) if found else None

    def _proof(self, actor: Actor, risk: str, code: str | None) -> Write:
        if self._take_code is None or not self.asks_for_code(risk):
            return nothing
        return self._take_code(actor, code)

    def _latest(self, approval_id: str) -> Approval:
        with self._database.read() as connection:
            while following := connection.scalar(rows.REPLACEMENT, {"id": approval_id}):
                approval_id = following
            return self._ledger.record(connection, approval_id)

    def _refuse_flood(self, connection: sa.Connection, actor: Actor) -> None:
        if actor.session is None:
            return
        waiting = {"session": actor.session, **rows.clocks(self._clock)}
        found = connection.scalars(rows.WAITING, waiting).all()
        if len(found) >= self._pending:
            message = (
                f"{len(found)} requests of this conversation wait for a person already; "
                "ask for nothing more until they are decided"
            )
            raise Denied(message, hint=f"ai approve {' '.join(found)}")

    def _new(self, actor: Actor, proposal: Proposal) -> dict[str, Any]:
        action, created_us = proposal.action, self._clock.now_us()
        deadline = self._clock.deadline(self._timeout_s)
        is_alone = len(self._rbac.holders("approvals:decide")) == 1
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
            # One person cannot be four eyes: `ai doctor` says so.
            "needed": 1 if is_alone else proposal.needed,
            "asked_by": actor.person,
            "bars_asker": proposal.bars_asker and not is_alone,
            "created_us": created_us,
            "expires_us": deadline.wall_us,
            "boot_id": deadline.boot_id,
            "mono_us": deadline.monotonic_us,
            "replaces": None,
            "state": "pending",
            "version": 1,
        }

    def _replacing(self, old: Any, proposal: Proposal) -> dict[str, Any]:
        """A request of the same requester in the place of another; what was proposed stays."""
        requester = Actor(old.user_id, old.requester_kind, old.session)
        kept = {name: getattr(old, name) for name in ("proposed_arguments", "reason", "asked_by")}
        return self._new(requester, proposal) | kept | {"replaces": old.id}

    def _require_person(self, actor: Actor, permission: str, prefix: str) -> None:
        self._rbac.require(actor, permission)
        if actor.kind == "human":
            return
        details = {"kind": actor.kind, "session": actor.session}
        with self._database.transaction() as connection:
            event = "approval.agent-refused"
            self._ledger.note_call(connection, event, actor.signature, prefix, details)
        raise Denied("an agent never decides about a request", hint=f"ai approvals show {prefix}")

    def _decide(self, prefix: str, answer: Answer, seen: str | None) -> Approval:
        with self._sweeping():
            return self._decisions.decide(prefix, answer, seen)

    def _at(self, prefix: str, status: str) -> Any:
        with self._sweeping(), self._database.read() as connection:
            return self._ledger.at(connection, prefix, status)

    @contextmanager
    def _sweeping(self) -> Iterator[None]:
        """What somebody finds expired is written down as such."""
        try:
            yield
        except Expired:
            self.sweep()
            raise


def _drafted_for(rule: Standing, actor: Actor, prefix: str) -> str:
    """The id of the request that the actor drafted the rule for; Conflict unless it is meant."""
    drafted: str = rule.row["approval"]
    if rule.row["made_by"] != actor.person or not drafted.startswith(check_prefix(prefix)):
        raise Conflict("the rule was drafted for another request", hint="ai approvals list")
    return drafted


def _action(row: Any) -> Action:
    action = read(row.action)
    if action.sha256 != row.action_sha256:
        message = f"the stored action of {row.id} is not the one that was asked for"
        raise Conflict(message, hint="ai audit verify")
    return action
