"""The statements of this room, built once, and the way from rows to records."""

import json
from collections import namedtuple
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from localai.approvals.records import Approval, Vote
from localai.approvals.tables import approval_counts as c
from localai.approvals.tables import approval_votes as v
from localai.approvals.tables import approvals as a
from localai.core.audit import EPOCH
from localai.core.clock import Clock, rfc3339
from localai.core.errors import Invalid

if TYPE_CHECKING:
    from sqlalchemy.sql.dml import ReturningUpdate

_NOW = sa.bindparam("now", type_=sa.BigInteger)
_BOOT = sa.bindparam("boot", type_=sa.Text)
_MONO = sa.bindparam("mono", type_=sa.BigInteger)


def _is_over(expires: Any, boot: Any, mono: Any) -> "sa.ColumnElement[bool]":
    # Whichever clock says so. After another boot only the wall clock is left; if it stands
    # before the row was made it was set back, and nothing comes to life again.
    # And what was asked or granted before an older copy was put back is over for good.
    return sa.or_(
        a.c.epoch != EPOCH,
        expires <= _NOW,
        sa.and_(boot == _BOOT, mono <= _MONO),
        sa.and_(boot != _BOOT, a.c.created_us > _NOW),
    )


_PENDING_IS_OVER = _is_over(a.c.expires_us, a.c.boot_id, a.c.mono_us)
_GRANT_IS_OVER = _is_over(a.c.grant_expires_us, a.c.grant_boot_id, a.c.grant_mono_us)
STATUS = sa.case(
    (sa.and_(a.c.state == "pending", _PENDING_IS_OVER), "expired"),
    (sa.and_(a.c.state == "approved", _GRANT_IS_OVER), "expired"),
    else_=a.c.state,
)
_WHOLE = (a, STATUS.label("status"))
SELECT = sa.select(*_WHOLE)
# What a statement returns looks a column up by its name each time, at over ten times the cost.
_Row = namedtuple("_Row", SELECT.selected_columns.keys())  # type: ignore[misc]  # noqa: PYI024


# What is over is written down as such before anything is listed, so that the state, which has an
# index, tells the status.
_FILTERS = {"status": a.c.state, "tool": a.c.tool, "user": a.c.user_id, "session": a.c.session}
_KEPT = {"status": c.c.state, "tool": c.c.tool, "user": c.c.user_id}
_END_OF_TIME = 2**62
_DIGITS = 17
BEFORE = sa.tuple_(a.c.created_us, a.c.id) < sa.tuple_(
    sa.bindparam("before_us"), sa.bindparam("before_id")
)

INSERT = sa.insert(a).values(epoch=EPOCH)
INSERT_VOTE = sa.insert(v)
BY_ID = SELECT.where(a.c.id == sa.bindparam("id"))
BY_PREFIX = SELECT.where(a.c.id >= sa.bindparam("first"), a.c.id < sa.bindparam("last")).order_by(
    a.c.id
)
# Over by the clock but not written down yet, or running in a process that may be dead.
SWEEPABLE = SELECT.where(
    sa.or_(
        sa.and_(a.c.state == "pending", _PENDING_IS_OVER),
        sa.and_(a.c.state == "approved", _GRANT_IS_OVER),
        a.c.state == "executing",
    )
)
# Of those that are not decided: how many are over, and since when the oldest of the others waits.
STANDING = sa.select(
    sa.func.sum(sa.case((_PENDING_IS_OVER, 1), else_=0)).label("over"),
    sa.func.min(sa.case((sa.not_(_PENDING_IS_OVER), a.c.created_us))).label("oldest_us"),
).where(a.c.state == "pending", a.c.created_us >= sa.bindparam("since"))
WAITING = sa.select(a.c.id).where(
    a.c.session == sa.bindparam("session"), a.c.state == "pending", sa.not_(_PENDING_IS_OVER)
)
REPLACEMENT = sa.select(a.c.id).where(a.c.replaces == sa.bindparam("id"))
VOTES = (
    sa.select(v)
    .where(v.c.approval.in_(sa.bindparam("ids", expanding=True)))
    .order_by(v.c.at_us, v.c.voter)
)


_AT = (a.c.id == sa.bindparam("of_id"), a.c.version == sa.bindparam("of_version"))


def _move(*conditions: "sa.ColumnElement[bool]") -> "ReturningUpdate[Any]":
    written = {"state": sa.bindparam("to_state"), "version": a.c.version + 1}
    changed = sa.update(a).where(*_AT, *conditions).values(written)
    return changed.returning(*_WHOLE)


_SEEN = a.c.action_sha256 == sa.bindparam("seen")
DECIDE = _move(a.c.state == "pending", sa.not_(_PENDING_IS_OVER), _SEEN).values(
    decided_us=sa.bindparam("at"),
    decided_by=sa.bindparam("by"),
    decision_reason=sa.bindparam("why"),
    grant_expires_us=sa.bindparam("grant_us"),
    grant_boot_id=sa.bindparam("grant_boot"),
    grant_mono_us=sa.bindparam("grant_mono"),
)
# One of several that are needed: the request waits on.
VOTE = (
    sa.insert(v)
    .from_select(
        ["approval", "voter", "decision", "reason", "action_sha256", "at_us"],
        sa.select(
            *(a.c.id, sa.bindparam("by", type_=sa.Text), sa.literal("approved")),
            *(sa.bindparam("why", type_=sa.Text), a.c.action_sha256),
            sa.bindparam("at", type_=sa.BigInteger),
        ).where(*_AT, a.c.state == "pending", sa.not_(_PENDING_IS_OVER), _SEEN),
    )
    .returning(v.c.approval)
)
CLAIM = _move(a.c.state == "approved", sa.not_(_GRANT_IS_OVER), _SEEN).values(
    claimed_by=sa.bindparam("lease"), claimed_us=sa.bindparam("at")
)
END = _move(a.c.state == sa.bindparam("from_state")).values(
    finished_us=sa.bindparam("at"), outcome=sa.bindparam("why")
)


@cache
def page(given: frozenset[str]) -> "sa.Select[Any]":
    """The newest that fit the filters of these names, before a place."""
    fitting = (_FILTERS[name] == sa.bindparam(name) for name in sorted(given))
    newest = (a.c.created_us.desc(), a.c.id.desc())
    return SELECT.where(*fitting, BEFORE).order_by(*newest).limit(sa.bindparam("limit"))


@cache
def total(given: frozenset[str]) -> "sa.Select[Any]":
    """How many fit the filters of these names: from the kept figures where they know."""
    if given <= _KEPT.keys():
        fitting = (_KEPT[name] == sa.bindparam(name) for name in sorted(given))
        return sa.select(sa.func.sum(c.c.requests)).where(c.c.span_us == 0, *fitting)
    fitting = (_FILTERS[name] == sa.bindparam(name) for name in sorted(given))
    return sa.select(sa.func.count()).select_from(a).where(*fitting)


def clocks(clock: Clock) -> dict[str, Any]:
    """What every statement needs to tell whether a row is over."""
    return {"now": clock.now_us(), "boot": clock.boot_id, "mono": clock.monotonic_us()}


def place(cursor: str | None) -> dict[str, Any]:
    """Where a page begins: after the row of the cursor, else at the newest."""
    if cursor is None:
        return {"before_us": _END_OF_TIME, "before_id": ""}
    microseconds, _, row_id = cursor.partition("-")
    if not (microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= _DIGITS):
        raise Invalid(f"{cursor!r} is not a cursor", hint="take `next` of the page before")
    return {"before_us": int(microseconds), "before_id": row_id}


def cursor_after(row: Any) -> str:
    """The cursor of the page that follows this row."""
    return f"{row.created_us}-{row.id}"


def votes_of(connection: sa.Connection, ids: Iterable[str]) -> dict[str, list[Vote]]:
    """The votes on these approvals, oldest first."""
    found: dict[str, list[Vote]] = {}
    for row in connection.execute(VOTES, {"ids": list(ids)}):
        vote = Vote(row.voter, row.decision, row.reason, rfc3339(row.at_us) or "")
        found.setdefault(row.approval, []).append(vote)
    return found


def approvals_of(connection: sa.Connection, rows: Iterable[Any]) -> tuple[Approval, ...]:
    """The records of these rows."""
    listed = list(rows)
    # Where one person decides, nobody has voted before it is decided.
    voted = [row.id for row in listed if row.needed > 1 or row.decided_us is not None]
    votes = votes_of(connection, voted) if voted else {}
    return tuple(approval_of(row, votes.get(row.id, ())) for row in listed)


def approval_of(row: Any, votes: Iterable[Vote]) -> Approval:
    """The record of a row with these votes."""
    row = _Row._make(row)
    return Approval(
        id=row.id,
        tool_name=row.tool,
        arguments=json.loads(row.action)["arguments"],
        proposed_arguments=json.loads(row.proposed_arguments),
        action_sha256=row.action_sha256,
        risk=row.risk,
        status=row.status,
        user_id=row.user_id,
        requester_kind=row.requester_kind,
        session=row.session,
        reason=row.reason,
        policy_rule=row.policy_rule,
        sandbox=row.sandbox,
        created_at=rfc3339(row.created_us) or "",
        expires_at=rfc3339(row.expires_us) or "",
        needed=row.needed,
        votes=tuple(votes),
        decided_at=rfc3339(row.decided_us),
        decided_by=row.decided_by,
        decision_reason=row.decision_reason,
        finished_at=rfc3339(row.finished_us),
        outcome=row.outcome,
        action=row.action,
        replacing=row.replaces,
        barred=(row.asked_by or row.user_id) if row.bars_asker else None,
    )
