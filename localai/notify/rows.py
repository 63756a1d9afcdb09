"""The statements of who sends, built once, and the way from rows to notices."""

import json
from typing import Any

import sqlalchemy as sa

from localai.core.clock import rfc3339
from localai.core.errors import Invalid
from localai.notify.records import Notice
from localai.notify.tables import notifications as n

_CHANNEL = n.c.channel == sa.bindparam("channel")
_QUEUED = n.c.state == "queued"
_NOW = sa.bindparam("now", type_=sa.BigInteger)
_IS_DUE = (_CHANNEL, _QUEUED, n.c.due_us <= _NOW)
_ORDER = (n.c.due_us, n.c.created_us, n.c.id)
_IDS: sa.BindParameter[str] = sa.bindparam("ids", expanding=True)

IS_DUE = sa.select(sa.exists().where(*_IS_DUE))
FIRST_DUE = sa.select(n).where(*_IS_DUE).order_by(*_ORDER).limit(1)
OF_BATCH = sa.select(n).where(n.c.batch == sa.bindparam("of"), _QUEUED).order_by(*_ORDER)
TOGETHER = (
    sa.select(n)
    .where(
        *(_CHANNEL, _QUEUED, n.c.batch.is_(None)),
        (n.c.event == "escalated") == sa.bindparam("escalated", type_=sa.Boolean),
        sa.or_(n.c.due_us <= _NOW, n.c.attempts > 0),
    )
    .order_by(*_ORDER)
    .limit(sa.bindparam("most"))
)
LAST = sa.select(
    sa.select(sa.func.max(n.c.sent_us)).where(_CHANNEL).scalar_subquery(),
    sa.select(sa.func.max(n.c.held_us)).where(_CHANNEL, _QUEUED).scalar_subquery(),
)
POSTPONE = (
    sa.update(n)
    .where(n.c.channel == sa.bindparam("of"), _QUEUED, n.c.due_us <= _NOW)
    .values(due_us=sa.bindparam("to", type_=sa.BigInteger))
)
LEASE = (
    sa.update(n)
    .where(n.c.id.in_(_IDS), _QUEUED)
    .values(
        state="leased",
        lease=sa.bindparam("holder", type_=sa.Text),
        batch=sa.bindparam("as", type_=sa.Text),
        attempts=n.c.attempts + 1,
        first_us=sa.func.coalesce(n.c.first_us, _NOW),
    )
    .returning(n)
)
_OF_BATCH = (n.c.batch == sa.bindparam("of"), n.c.state == "leased")
SENT = (
    sa.update(n)
    .where(*_OF_BATCH)
    .values(state="sent", sent_us=_NOW, error=None, held_us=None, lease=None)
)
LEASED = sa.select(n).where(*_OF_BATCH)
RETURN = (
    sa.update(n)
    .where(n.c.id == sa.bindparam("of_id"), n.c.state == "leased")
    .values(
        state=sa.bindparam("to_state"),
        due_us=sa.bindparam("due"),
        held_us=sa.bindparam("held"),
        batch=sa.bindparam("kept_batch"),
        error=sa.bindparam("why"),
        lease=None,
    )
)
HELD = sa.select(n.c.id, n.c.lease).where(n.c.state == "leased")
FREE = (
    sa.update(n).where(n.c.id.in_(_IDS), n.c.state == "leased").values(state="queued", lease=None)
)
_USELESS = (_QUEUED, n.c.until_us <= _NOW)
USELESS = sa.select(sa.exists().where(*_USELESS))
DROP = sa.delete(n).where(*_USELESS)
PRUNE = sa.delete(n).where(n.c.state == "sent", n.c.sent_us < sa.bindparam("before"))
NEXT = sa.select(sa.func.min(n.c.due_us)).where(
    _QUEUED, n.c.channel.in_(sa.bindparam("channels", expanding=True))
)
OVERDUE = sa.select(sa.func.count()).where(n.c.state.in_(("queued", "leased")), n.c.due_us <= _NOW)
STANDING = sa.select(
    n.c.channel,
    sa.func.sum(sa.case((n.c.state.in_(("queued", "leased")), 1), else_=0)).label("waiting"),
    sa.func.sum(sa.case((n.c.state == "dead", 1), else_=0)).label("dead"),
    sa.func.max(n.c.sent_us).label("last_sent_us"),
    sa.func.min(sa.case((n.c.state.in_(("queued", "leased")), n.c.created_us))).label("oldest_us"),
).group_by(n.c.channel)
LAST_ERRORS = (
    sa.select(n.c.channel, n.c.error)
    .where(n.c.error.is_not(None), n.c.state != "sent")
    .order_by(n.c.created_us)
)
BY_PREFIX = (
    sa.select(n)
    .where(n.c.id >= sa.bindparam("first"), n.c.id < sa.bindparam("last"))
    .order_by(n.c.id)
)
REVIVE = (
    sa.update(n)
    .where(n.c.state.in_(("dead", "queued")), n.c.id.in_(_IDS))
    .values(state="queued", due_us=_NOW, attempts=0, first_us=None, held_us=None)
    .returning(n)
)
DEAD = sa.select(n.c.id).where(n.c.state == "dead")
_FILTERS = {"state": n.c.state, "channel": n.c.channel, "event": n.c.event}
_END_OF_TIME = 2**62
_DIGITS = 17


def page(wanted: "dict[str, str]", cursor: str | None, limit: int) -> "sa.Select[Any]":
    """The newest that fit, before a place, one more than asked for."""
    fitting = [_FILTERS[name] == value for name, value in wanted.items()]
    before = sa.tuple_(n.c.created_us, n.c.id) < sa.tuple_(*map(sa.literal, _place(cursor)))
    newest = (n.c.created_us.desc(), n.c.id.desc())
    return sa.select(n).where(*fitting, before).order_by(*newest).limit(limit + 1)


def total(wanted: "dict[str, str]") -> "sa.Select[Any]":
    """How many fit."""
    fitting = [_FILTERS[name] == value for name, value in wanted.items()]
    return sa.select(sa.func.count()).select_from(n).where(*fitting)


def cursor_after(row: Any) -> str:
    """The cursor of the page that follows this row."""
    return f"{row.created_us}-{row.id}"


def notice(row: Any) -> Notice:
    """The record of a row."""
    facts = json.loads(row.facts)
    return Notice(
        id=row.id,
        event=row.event,
        channel=row.channel,
        approval=row.approval,
        tool_name=facts["tool"],
        risk=row.risk,
        status=row.state,
        attempts=row.attempts,
        created_at=rfc3339(row.created_us) or "",
        due_at=rfc3339(row.due_us) if row.state == "queued" else None,
        sent_at=rfc3339(row.sent_us),
        error=row.error,
        facts=facts,
    )


def _place(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return _END_OF_TIME, ""
    microseconds, _, row_id = cursor.partition("-")
    if not (microseconds.isascii() and microseconds.isdigit() and len(microseconds) <= _DIGITS):
        raise Invalid(f"{cursor!r} is not a cursor", hint="take `next` of the page before")
    return int(microseconds), row_id
