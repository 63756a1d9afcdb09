"""How often a user may call a tool: a bucket for each pair, in the database."""

import sqlalchemy as sa

from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import TooOften
from localai.core.rate import Rate
from localai.rbac.buckets import SECOND, Bucket, take
from localai.rbac.permissions import Actor


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
        bucket = Bucket(actor.user_id, tool, self._rate)
        with self._database.transaction() as connection:
            taken = take(connection, bucket, self._clock.now_us())
            if taken.refused == 1:
                self._note(connection, actor, tool)
        if taken.refused:
            wait_s = -(-taken.wait_us // SECOND)
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
