"""Standing rules: what a person allowed for a while, as rules that can be seen and taken back.

A rule names the tool, the workspace, the user and every argument but those that the tool leaves
open. It ends after eight hours at the latest and never covers critical risk.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from localai.approvals.ledger import SYSTEM, Ledger
from localai.approvals.policy import asks_by_mode
from localai.approvals.rules import Equal, Rule
from localai.approvals.tables import standing_rules as s
from localai.core.audit import EPOCH
from localai.core.clock import rfc3339
from localai.core.errors import Conflict, Denied, Invalid, NotFound
from localai.core.ids import check_prefix, new_id, only
from localai.rbac.permissions import Actor, Risk
from localai.rbac.service import Rbac

LONGEST_S = 8 * 3600
_PREFIX = "standing."
_UNREVOKED = (
    sa.select(s)
    .where(s.c.revoked_us.is_(None), s.c.epoch == EPOCH)
    .order_by(s.c.created_us, s.c.id)
)


@dataclass(frozen=True)
class Scope:
    """How far an approval reaches beyond its one run: a time, and one conversation or all."""

    seconds: int = LONGEST_S
    is_session: bool = False


@dataclass(frozen=True)
class Standing:
    """A rule that somebody makes, or made, by approving a request; `row` is how it is kept."""

    row: Mapping[str, Any]

    @property
    def rule(self) -> Rule:
        """What it matches, for the calls of its user."""
        row = self.row
        arguments = json.loads(row["arguments"])
        return Rule(
            name=f"{_PREFIX}{row['id']}",
            effect="allow",
            why=f"{row['made_by']} allowed it for a while",
            tools=(row["tool"],),
            risks=tuple(risk for risk in Risk if risk <= Risk[row["risk"].upper()]),
            arguments={name: Equal((value,)) for name, value in arguments.items()},
            takes=(*arguments, *json.loads(row["open_arguments"])),
            workspace=row["workspace"],
        )

    @property
    def expires_at(self) -> str:
        """When it ends, RFC 3339 in UTC."""
        return rfc3339(self.row["expires_us"]) or ""

    @property
    def words(self) -> tuple[str, ...]:
        """All of it, as it is shown before it is saved."""
        session = self.row["session"]
        where = f"in conversation {session}" if session else "in every conversation"
        return (
            *self.rule.words,
            f"user       {self.row['user_id']}, {where}",
            f"until      {self.expires_at}",
        )


class StandingRules:
    """The standing rules of one home."""

    def __init__(self, ledger: Ledger, rbac: Rbac) -> None:
        self._ledger = ledger
        self._rbac = rbac

    def draft(self, actor: Actor, row: Any, left_open: Sequence[str], scope: Scope) -> Standing:
        """The rule that approving the row would make; Denied or Invalid where none may be made."""
        if row.risk == Risk.CRITICAL.word:
            message = "what is critical is approved once, and never by a rule"
            raise Denied(message, hint=f"ai approve {row.id}")
        if row.needed > 1 or row.bars_asker:
            message = "what needs somebody else's eyes is approved once, and never by a rule"
            raise Denied(message, hint=f"ai approve {row.id}")
        if not asks_by_mode(row.policy_rule):
            message = f"the rule {row.policy_rule} asks every time, whatever is allowed for a while"
            raise Denied(message, hint=f"ai policy show {row.policy_rule}")
        if scope.is_session and row.session is None:
            message = f"{row.id} belongs to no conversation"
            raise Invalid(message, hint=f"ai approve {row.id} --for 1h")
        if not 0 < scope.seconds <= LONGEST_S:
            raise Invalid("a standing rule lasts 8 hours at most", hint="as in: --for 1h")
        action = json.loads(row.action)
        given = action["arguments"]
        ends = self._ledger.clock.deadline(scope.seconds)
        kept = {
            "id": new_id(),
            "approval": row.id,
            "tool": row.tool,
            "workspace": action["cwd"],
            "arguments": json.dumps({k: v for k, v in given.items() if k not in left_open}),
            "open_arguments": json.dumps(list(left_open)),
            "risk": row.risk,
            "user_id": row.user_id,
            "session": row.session if scope.is_session else None,
            "made_by": actor.person,
            "created_us": self._ledger.clock.now_us(),
            "expires_us": ends.wall_us,
            "boot_id": ends.boot_id,
            "mono_us": ends.monotonic_us,
        }
        return Standing(kept)

    def save(self, connection: sa.Connection, actor: Actor, made: Standing) -> None:
        """Write the rule down, audited, in the transaction of the approval."""
        connection.execute(sa.insert(s).values(epoch=EPOCH), dict(made.row))
        details = {"approval": made.row["approval"], "tool": made.row["tool"]}
        details["rule"] = list(made.words)
        name = made.rule.name
        self._ledger.note_call(connection, "policy.rule-made", actor.signature, name, details)

    def live(self) -> tuple[Standing, ...]:
        """The rules that hold: neither over, nor taken back, nor of one who may not decide now."""
        clock = self._ledger.clock
        now, mono = clock.now_us(), clock.monotonic_us()
        with self._ledger.database.read() as connection:
            found = connection.execute(_UNREVOKED).all()
        return tuple(
            Standing(dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's own name for it
            for row in found
            if row.created_us <= now < row.expires_us
            and (row.boot_id != clock.boot_id or mono < row.mono_us)
            and "approvals:decide" in self._rbac.permissions(Actor(row.made_by))
        )

    def of(self, actor: Actor) -> tuple[Rule, ...]:
        """The rules about the actor's calls, in the actor's conversation."""
        sessions = {None, actor.session}
        return tuple(
            each.rule
            for each in self.live()
            if each.row["user_id"] == actor.user_id and each.row["session"] in sessions
        )

    def void(self, connection: sa.Connection, tool: str, why: str) -> None:
        """Take back every rule about a tool that is not what it was."""
        due = s.c.tool == tool, s.c.revoked_us.is_(None)
        now = self._ledger.clock.now_us()
        taken = sa.update(s).where(*due).values(revoked_us=now).returning(s.c.id, s.c.approval)
        for row in connection.execute(taken).all():
            details = {"approval": row.approval, "tool": tool, "why": why}
            name, event = f"{_PREFIX}{row.id}", "policy.rule-revoked"
            self._ledger.note_call(connection, event, SYSTEM, name, details)

    def revoke(self, actor: Actor, name: str) -> Standing:
        """Take a rule back; it is gone from the next call on."""
        self._rbac.require(actor, "approvals:decide")
        live = {each.row["id"]: each for each in self.live()}
        prefix = check_prefix(name.removeprefix(_PREFIX))
        fitting = [rule_id for rule_id in live if rule_id.startswith(prefix)]
        if not fitting:
            raise NotFound(f"no standing rule {name}", hint="ai policy list")
        found = live[only(prefix, "standing rule", fitting, hint="ai policy list")]
        name = found.rule.name
        now = self._ledger.clock.now_us()
        taken = sa.update(s).where(s.c.id == found.row["id"], s.c.revoked_us.is_(None))
        with self._ledger.database.transaction() as connection:
            if connection.execute(taken.values(revoked_us=now)).rowcount != 1:
                raise Conflict(f"{name} was taken back already", hint="ai policy list")
            details = {"approval": found.row["approval"], "tool": found.row["tool"]}
            event = "policy.rule-revoked"
            self._ledger.note_call(connection, event, actor.signature, name, details)
        return found
