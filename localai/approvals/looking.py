"""Lists of requests by what the clock says of them: reading them writes nothing."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from localai.approvals import rows
from localai.approvals.records import Approval
from localai.approvals.rows import BEFORE, SELECT, STATUS
from localai.approvals.tables import TRANSITIONS
from localai.approvals.tables import approvals as a
from localai.core.clock import Clock
from localai.core.errors import Invalid
from localai.core.records import Page

# A row in one of these states may be over without anybody having written so.
_OPEN = ("pending", "approved")
_KEPT = frozenset({"status", "tool", "user"})
_CONDITIONS: dict[str, Any] = {
    "tool": a.c.tool == sa.bindparam("tool"),
    "user": a.c.user_id == sa.bindparam("user"),
    "session": a.c.session == sa.bindparam("session"),
    "since_us": a.c.created_us >= sa.bindparam("since_us"),
    "until_us": a.c.created_us < sa.bindparam("until_us"),
}


@dataclass(frozen=True)
class Wanted:
    """Which requests: those that fit everything that is given; times in microseconds."""

    status: str | None = None
    tool: str | None = None
    user: str | None = None
    session: str | None = None
    since_us: int | None = None
    until_us: int | None = None

    def __post_init__(self) -> None:
        """Refuse a status that there is not."""
        if self.status is not None and self.status not in TRANSITIONS:
            hint = f"one of {', '.join(TRANSITIONS)}"
            raise Invalid(f"{self.status!r} is not a status", hint=hint)

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are given."""
        return {name: value for name, value in vars(self).items() if value is not None}


def page(
    connection: sa.Connection, clock: Clock, wanted: Wanted, limit: int, cursor: str | None
) -> Page[Approval]:
    """The newest that are wanted, after the cursor."""
    clocks, given = rows.clocks(clock), wanted.given
    place = rows.place(cursor) | clocks | {"limit": limit + 1}
    statement = _page(frozenset(given) - {"status"}, wanted.status)
    found = connection.execute(statement, {**given, **place}).all()
    items = rows.approvals_of(connection, found[:limit])
    following = rows.cursor_after(found[limit - 1]) if found[limit:] else None
    return Page(items, _total(connection, wanted, clocks), following)


def _total(connection: sa.Connection, wanted: Wanted, clocks: dict[str, Any]) -> int:
    """How many are wanted: from the kept figures where they know, corrected by what is over."""
    given = wanted.given
    names = frozenset(given) - {"status"}
    if not given.keys() <= _KEPT or wanted.status in _OPEN:
        return connection.scalar(_count(names, wanted.status), {**given, **clocks}) or 0
    kept = connection.scalar(rows.total(frozenset(given)), given) or 0
    if wanted.status != "expired":
        return kept
    return kept + (connection.scalar(_lapsed(names), {**given, **clocks}) or 0)


@cache
def _page(names: frozenset[str], status: str | None) -> "sa.Select[Any]":
    newest = (a.c.created_us.desc(), a.c.id.desc())
    fitting = SELECT.where(*_fitting(names, status), BEFORE)
    return fitting.order_by(*newest).limit(sa.bindparam("limit"))


@cache
def _count(names: frozenset[str], status: str | None) -> "sa.Select[Any]":
    return sa.select(sa.func.count()).select_from(a).where(*_fitting(names, status))


@cache
def _lapsed(names: frozenset[str]) -> "sa.Select[Any]":
    """Those that expired and are not written down as such yet."""
    return _count(names, "expired").where(a.c.state.in_(_OPEN))


def _fitting(names: frozenset[str], status: str | None) -> list[Any]:
    fitting = [_CONDITIONS[name] for name in sorted(names)]
    if status is None:
        return fitting
    if status == "expired":
        lapsed = sa.and_(a.c.state.in_(_OPEN), STATUS == "expired")
        return [*fitting, sa.or_(a.c.state == "expired", lapsed)]
    is_still = [status == STATUS] if status in _OPEN else []
    return [*fitting, a.c.state == status, *is_still]
