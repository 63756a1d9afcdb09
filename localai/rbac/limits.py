"""How often a user may call a tool: a token bucket for each pair, in the database.

The bucket is kept as the moment at which it is full again, in whole microseconds, so that nothing
is lost to rounding: the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371,
annex A).
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import TooOften
from localai.core.rate import Rate
from localai.rbac.permissions import Actor
from localai.rbac.tables import rate_buckets as b

_SECOND = 1_000_000
_FIND = sa.select(b.c.full_us, b.c.refused).where(
    b.c.user_id == sa.bindparam("of_user"), b.c.tool == sa.bindparam("of_tool")
)
_NEW = insert(b)
_PUT = _NEW.on_conflict_do_update(
    index_elements=[b.c.user_id, b.c.tool],
    set_={"full_us": _NEW.excluded.full_us, "refused": _NEW.excluded.refused},
)


class Limits:
    """The buckets of one home."""

    def __init__(self, database: Database, audit: Audit, clock: Clock, allowed: Rate) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._rate = allowed

    def take(self, actor: Actor, tool: str) -> None:
        """Take one call from the user's bucket of the tool; TooOften if it is empty.

        The first refusal in a row is audited, so that a flood leaves one row and not a thousand.
        """
        calls = self._rate.calls
        cost = -(-self._rate.seconds * _SECOND // calls)  # rounded up: never a call too many
        names = {"of_user": actor.user_id, "of_tool": tool}
        with self._database.transaction() as connection:
            now = self._clock.now_us()
            found: Any = connection.execute(_FIND, names).one_or_none()
            # A clock that was set back must not leave the bucket empty for long.
            full = min(max(found.full_us, now), now + calls * cost) if found else now
            wait = full + cost - (now + calls * cost)
            refused = 0 if wait <= 0 else 1 + (found.refused if found else 0)
            full += 0 if refused else cost
            row = {"user_id": actor.user_id, "tool": tool, "full_us": full, "refused": refused}
            connection.execute(_PUT, row)
            if refused == 1:
                self._note(connection, actor, tool)
        if refused:
            wait_s = -(-wait // _SECOND)
            message = (
                f"{actor.user_id} may call {tool} {self._rate.words}, and has; "
                f"try again in {wait_s} s"
            )
            raise TooOften(message, wait_s=wait_s, hint="ai config get rate_limits.calls")

    def _note(self, connection: sa.Connection, actor: Actor, tool: str) -> None:
        details = {"rate": self._rate.words, "kind": actor.kind}
        if actor.session:
            details["session"] = actor.session
        self._audit.record(
            connection, "tool.limited", actor=actor.signature, subject=tool, details=details
        )
