"""The requests of the past, on which a policy is tried before it counts."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from localai.approvals.backtest import Backtest, Judge, compare, judged
from localai.approvals.policies import Policies
from localai.approvals.tables import approvals as a
from localai.core.db import Database
from localai.rbac.permissions import Actor

_AT_ONCE = 100  # an action may hold a whole file
_NEXT = (
    sa.select(
        *(a.c.id, a.c.tool, a.c.action, a.c.risk, a.c.user_id),
        *(a.c.state, a.c.created_us, a.c.decided_us),
    )
    .where(sa.tuple_(a.c.created_us, a.c.id) > sa.tuple_(sa.bindparam("us"), sa.bindparam("id")))
    .order_by(a.c.created_us, a.c.id)
    .limit(_AT_ONCE)
)


class Past:
    """Tries policies on the stored requests of one home; `sweep` writes down what is over."""

    def __init__(
        self,
        database: Database,
        sweep: Callable[[], int],
        require: Callable[[Actor, str], None],
        policies: Policies,
        judge: Judge,
    ) -> None:
        self._database = database
        self._sweep = sweep
        self._require = require
        self._policies = policies
        self._judge = judge

    def backtest(
        self, actor: Actor, file: Path, *, since_us: int, limit: int = 50, cursor: str | None = None
    ) -> Backtest:
        """What the rules in force and those of the file say of every request since then."""
        self._require(actor, "policy:read")
        self._require(actor, "approvals:read")
        now, candidate = self._policies.rules(), self._policies.candidate(file)
        self._sweep()
        judge = replace(self._judge, roles=cache(self._judge.roles))
        found = judged(self._requests(since_us), judge, now, candidate)
        return compare(found, since_us=since_us, limit=limit, cursor=cursor)

    def _requests(self, since_us: int) -> Iterator[Any]:
        """Oldest first, a few at a time: no transaction is open while they are judged."""
        place = {"us": since_us, "id": ""}
        while True:
            with self._database.read() as connection:
                found = connection.execute(_NEXT, place).all()
            yield from found
            if len(found) < _AT_ONCE:
                return
            place = {"us": found[-1].created_us, "id": found[-1].id}
