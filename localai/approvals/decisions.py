"""A person's decision about a request: one update, one vote, one audit row."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from localai.approvals import rows
from localai.approvals.ledger import Ledger
from localai.approvals.records import Approval, Decision, Vote, truth
from localai.core import log
from localai.core.clock import rfc3339
from localai.core.errors import Conflict, Denied, Invalid
from localai.rbac.permissions import Actor

_HEX = frozenset("0123456789abcdef")
_DIGITS, _SHORTEST = 64, 8
Write = Callable[[sa.Connection], None]


def nothing(_: sa.Connection) -> None:
    """Nothing is written down beside the decision."""


@dataclass(frozen=True)
class Answer:
    """What a person says; each vote writes its `proof`, the last one what stands `beside` it."""

    actor: Actor
    decision: Decision = "approved"
    why: str | None = None
    proof: Write = nothing
    beside: Write = nothing


class Decisions:
    """Decides about the rows of a ledger; an approval lasts `grant_s` seconds."""

    def __init__(self, ledger: Ledger, grant_s: int) -> None:
        self._ledger = ledger
        self._grant_s = grant_s

    def decide(self, prefix: str, answer: Answer, seen: str | None) -> Approval:
        """Approve or reject the action whose digest begins with `seen`, and count the vote."""
        with self._ledger.database.transaction() as connection:
            row = self._ledger.at(connection, prefix, "pending")
            with log.about(approval=row.id, session=row.session):
                decided = self._decided(connection, row, answer, whole(seen, row))
        return rows.approval_of(*decided)  # while others write

    def amend(self, row: Any, new: Mapping[str, Any], answer: Answer, seen: str) -> Approval:
        """Approve the `new` request in the place of the one that was seen, which is cancelled."""
        if row.bars_asker:
            message = f"whoever writes {row.id} anew would be the one who asks"
            raise Denied(message, hint=f"ai reject {row.id} --reason '...'")
        digest = whole(seen, row)
        told = f"superseded by {new['id']}" + (f": {answer.why}" if answer.why else "")
        actor = answer.actor
        with self._ledger.database.transaction() as connection:
            self._settle(connection, actor, row, "cancelled", digest, told)
            connection.execute(rows.INSERT, new)
            self._ledger.note_opened(connection, actor, new)
            at = {"id": new["id"], **rows.clocks(self._ledger.clock)}
            opened = connection.execute(rows.BY_ID, at).one()
            decided = self._decided(connection, opened, answer, opened.action_sha256)
        return rows.approval_of(*decided)

    def _decided(
        self, connection: sa.Connection, row: Any, answer: Answer, digest: str
    ) -> tuple[Any, Sequence[Vote]]:
        """Write the answer down; returns the row as it is then, and its votes."""
        person, decision = answer.actor.person, answer.decision
        voters = self._voters(connection, row) if row.needed > 1 else set()
        if decision == "approved":
            _refuse_voter(answer.actor, row, voters)
            answer.proof(connection)
            if len(voters) + 1 < row.needed:
                return self._voted(connection, row, answer, digest, len(voters) + 1)
        decided = self._settle(connection, answer.actor, row, decision, digest, answer.why)
        vote = {
            "approval": row.id,
            "voter": person,
            "decision": decision,
            "reason": answer.why,
            "action_sha256": row.action_sha256,
            "at_us": decided.decided_us,
        }
        if person not in voters:  # one who approved first and then refuses has voted
            connection.execute(rows.INSERT_VOTE, vote)
        answer.beside(connection)
        if row.needed > 1:
            return decided, rows.votes_of(connection, [row.id])[row.id]
        return decided, [Vote(person, decision, answer.why, rfc3339(decided.decided_us) or "")]

    def _voters(self, connection: sa.Connection, row: Any) -> set[str]:
        current = self._ledger.record(connection, row.id)
        if current.status != row.status:
            raise truth(current)
        return {vote.user_id for vote in current.votes}

    def _voted(
        self, connection: sa.Connection, row: Any, answer: Answer, seen: str, votes: int
    ) -> tuple[Any, Sequence[Vote]]:
        """One yes of several that are needed; the request waits on."""
        person, at = answer.actor.person, self._ledger.clock.now_us()
        values = {"seen": seen, "at": at, "by": person, "why": answer.why}
        self._ledger.change(connection, rows.VOTE, row, **values)
        count = {"votes": f"{votes} of {row.needed}", "reason": answer.why}
        self._ledger.note(connection, "approval.voted", answer.actor.signature, row, **count)
        return row, rows.votes_of(connection, [row.id])[row.id]

    def cancel(self, actor: Actor, row: Any, why: str | None) -> Approval:
        """Withdraw the request."""
        with self._ledger.database.transaction() as connection:
            ended = self._settle(connection, actor, row, "cancelled", row.action_sha256, why)
            return rows.approvals_of(connection, [ended])[0]

    def revoke(self, actor: Actor, row: Any, why: str | None) -> Approval:
        """Take an approval back."""
        outcome = f"by {actor.signature}" + (f": {why}" if why else "")
        with self._ledger.database.transaction() as connection:
            ended = self._ledger.end(connection, row, "revoked", outcome, actor.signature)
            return rows.approvals_of(connection, [ended])[0]

    def _settle(  # noqa: PLR0913 - one decision
        self,
        connection: sa.Connection,
        actor: Actor,
        row: Any,
        to: str,
        seen: str,
        why: str | None,
    ) -> Any:
        """Move a pending row to a person's decision; returns the row as it is then."""
        at = self._ledger.clock.now_us()
        values = {"seen": seen, "at": at, "by": actor.person, "why": why, **self._grant(to)}
        decided = self._ledger.change(connection, rows.DECIDE, row, to_state=to, **values)
        self._ledger.note(connection, f"approval.{to}", actor.signature, row, reason=why)
        return decided

    def _grant(self, decision: str) -> dict[str, Any]:
        if decision != "approved":
            return {"grant_us": None, "grant_boot": None, "grant_mono": None}
        until = self._ledger.clock.deadline(self._grant_s)
        return {
            "grant_us": until.wall_us,
            "grant_boot": until.boot_id,
            "grant_mono": until.monotonic_us,
        }


def _refuse_voter(actor: Actor, row: Any, voters: Container[str]) -> None:
    if row.bars_asker and {actor.person, actor.user_id} & {row.user_id, row.asked_by}:
        message = f"{row.id} was asked for by you, and the policy wants somebody else to approve it"
        raise Denied(message, hint=f"another person: ai approve {row.id}")
    if actor.person in voters:
        message = f"you have approved {row.id} already; it needs {row.needed} people"
        raise Conflict(message, hint=f"another person: ai approve {row.id}")


def whole(seen: str | None, row: Any) -> str:
    """The row's digest if `seen` begins it or is None; else `seen`, which then fits nothing."""
    seen = str(row.action_sha256) if seen is None else seen.lower()
    if not (_SHORTEST <= len(seen) <= _DIGITS and _HEX.issuperset(seen)):
        message = f"{seen!r} is not the beginning of a SHA-256"
        raise Invalid(message, hint=f"give at least {_SHORTEST} of its hexadecimal digits")
    return str(row.action_sha256) if row.action_sha256.startswith(seen) else seen
