"""Statistics over a user's conversations: how many, from when, and who said how much in them."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from localai.agent.tables import messages as m
from localai.agent.tables import sessions as s
from localai.core.clock import rfc3339

_OWN = s.c.user_id == sa.bindparam("user")
_SESSIONS = sa.select(
    sa.func.count(),
    sa.func.count(sa.case((s.c.is_pinned, 1))),
    sa.func.count(sa.distinct(s.c.project)),
    sa.func.min(s.c.created_us),
    sa.func.max(s.c.updated_us),
).where(_OWN)
_ROLES = (
    sa.select(m.c.role, sa.func.count().label("said"))
    .select_from(sa.join(m, s, m.c.session_id == s.c.id))
    .where(_OWN)
    .group_by(m.c.role)
    .order_by(m.c.role)
)


@dataclass(frozen=True)
class SessionStatistics:
    """Counts; `first_at` is when the oldest conversation began, `last_at` when one was last used.

    Those outside of any git repository are together one project.
    """

    conversations: int
    pinned: int
    projects: int
    messages: int
    by_role: Mapping[str, int]
    first_at: str | None
    last_at: str | None


def read(connection: sa.Connection, user: str) -> SessionStatistics:
    """The figures of one user's conversations."""
    total, pinned, projects, first, last = connection.execute(_SESSIONS, {"user": user}).one()
    rows = connection.execute(_ROLES, {"user": user})
    roles = {row.role: row.said for row in rows}
    return SessionStatistics(
        conversations=total,
        pinned=pinned,
        projects=projects,
        messages=sum(roles.values()),
        by_role=roles,
        first_at=rfc3339(first),
        last_at=rfc3339(last),
    )
