"""Counts permission checks: in memory, written down within a second and at the end."""

import threading
from collections import Counter
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from localai.core.db import Database
from localai.core.errors import LocalaiError
from localai.core.log import logger
from localai.rbac.tables import permission_checks as c

_SECONDS = 1.0
_NEW = insert(c)
_ADD = _NEW.on_conflict_do_update(
    index_elements=[c.c.result, c.c.role], set_={"checks": c.c.checks + _NEW.excluded.checks}
)
_ALL = sa.select(c).order_by(c.c.result, c.c.role)


class Checks:
    """How often something was allowed, by role; refusals are added where they are audited."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._allowed: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # one flush at a time: closing waits for the timer's
        self._timer: threading.Timer | None = None

    def allow(self, role: str) -> None:
        """Count one that was allowed; it costs no commit."""
        with self._lock:
            self._allowed[role] += 1
            if self._timer is None:
                self._timer = threading.Timer(_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def deny(self, connection: sa.Connection, role: str) -> None:
        """Count one refusal, in the transaction that audits it."""
        connection.execute(_ADD, {"result": "denied", "role": role, "checks": 1})

    def flush(self) -> None:
        """Write down what was counted; what cannot be written is kept for the next time."""
        with self._writing:
            self._flush()

    def close(self) -> None:
        """Write down the last ones; nothing is written by this object afterwards."""
        timer = self._timer
        self.flush()
        if timer is not None:
            timer.cancel()
            timer.join()

    def totals(self) -> Mapping[tuple[str, str], int]:
        """Counts by result and role, those of this process that are not written yet included."""
        with self._database.read():
            pass
        self.flush()
        with self._database.read() as connection:
            return {(row.result, row.role): row.checks for row in connection.execute(_ALL)}

    def _flush(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self._database.is_open:
                return  # a count is no reason to open one
            counted, self._allowed = self._allowed, Counter()
        if not counted:
            return
        rows = [{"result": "allowed", "role": role, "checks": n} for role, n in counted.items()]
        try:
            with self._database.transaction() as connection:
                connection.execute(_ADD, rows)
        except LocalaiError as error:
            logger.warning("rbac.checks-not-counted", exc_info=error)
            with self._lock:
                self._allowed.update(counted)
