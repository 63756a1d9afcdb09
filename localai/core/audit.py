"""The audit: an append-only table, each row chained to the one before by HMAC-SHA256.

    mac = HMAC-SHA256(key, previous mac || canonical body)

The key lies outside the database, and so does the anchor (sequence and MAC of the newest row):
a plain chain would miss a cut tail and a chain rewritten from the start. A row is written in
the transaction of the change that it records; the anchor follows once that is on disk.
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from localai.core.canonical import canonical, parse_object
from localai.core.clock import Clock, rfc3339
from localai.core.db import Database, after_commit, metadata
from localai.core.errors import Invalid, NotFound
from localai.core.files import private_dir
from localai.core.log import logger
from localai.core.records import Page

audit_table = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev", sa.Text, nullable=False),
    sa.Column("mac", sa.Text, nullable=False),
)

_GENESIS = "0" * 64
_TAIL = sa.select(audit_table.c.seq, audit_table.c.mac).order_by(audit_table.c.seq.desc()).limit(1)
_APPEND = sa.insert(audit_table)
_COUNT = sa.select(sa.func.count()).select_from(audit_table)
_ALL = sa.select(audit_table).order_by(audit_table.c.seq)


@dataclass(frozen=True)
class Entry:
    """One recorded event."""

    seq: int
    at: str
    actor: str
    event: str
    subject: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """What checking the whole chain found; `problems` is empty when it is whole."""

    entries: int
    anchored: int | None
    problems: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """No row was changed, removed, swapped, inserted or cut off."""
        return not self.problems


class Audit:
    """Appends to the chain, reads it and proves it."""

    def __init__(
        self, database: Database, key: Callable[[], bytes], anchor: Path, clock: Clock
    ) -> None:
        self._database = database
        self._key = key
        self._anchor = anchor
        self._clock = clock

    def record(
        self,
        connection: sa.Connection,
        event: str,
        *,
        actor: str,
        subject: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Append an event in the caller's transaction; if it cannot be written, all rolls back."""
        tail = connection.execute(_TAIL).one_or_none()
        seq, prev = (tail.seq + 1, tail.mac) if tail else (1, _GENESIS)
        entry = {
            "seq": seq,
            "at_us": self._clock.now_us(),
            "actor": actor,
            "event": event,
            "subject": subject,
            "details": dict(details or {}),
        }
        body = canonical(entry).decode()
        mac = _mac(self._key(), prev, body)
        connection.execute(_APPEND, {"seq": seq, "body": body, "prev": prev, "mac": mac})
        after_commit(connection, lambda: self._write_anchor(seq, mac))

    def page(self, *, limit: int = 50, before: int | None = None) -> Page[Entry]:
        """The newest entries first, at most `limit`, older than sequence `before` if given."""
        newest = sa.select(audit_table.c.body).order_by(audit_table.c.seq.desc()).limit(limit)
        if before is not None:
            newest = newest.where(audit_table.c.seq < before)
        with self._database.read() as connection:
            total = connection.scalar(_COUNT) or 0
            items = [_entry(body) for body in connection.scalars(newest)]
        more = items and items[-1].seq > 1
        return Page(items, total, str(items[-1].seq) if more else None)

    def get(self, seq: int) -> Entry:
        """One entry; NotFound if the chain has none of that sequence."""
        query = sa.select(audit_table.c.body).where(audit_table.c.seq == seq)
        with self._database.read() as connection:
            body = connection.scalar(query)
        if body is None:
            message = f"no audit entry {seq}"
            raise NotFound(message, hint="ai audit list")
        return _entry(body)

    def verify(self) -> Verification:
        """Recompute every MAC from the first row and compare the end with the anchor."""
        # The anchor first: a row committed after this reading only makes the chain longer.
        anchored = self._read_anchor()
        with self._database.read() as connection:
            rows = connection.execution_options(yield_per=1000).execute(_ALL)
            problems, count, at_anchor = self._check(rows, anchored[0] if anchored else None)
        if anchored is None and count:
            problems.append("the anchor is missing or unreadable")
        elif anchored and anchored[0] > count:
            problems.append(f"{anchored[0] - count} of the newest rows are gone")
        elif anchored and at_anchor != anchored[1]:
            problems.append(f"row {anchored[0]} is not the one that was anchored")
        return Verification(count, anchored[0] if anchored else None, tuple(problems))

    def _check(
        self, rows: "sa.CursorResult[Any]", anchored: int | None
    ) -> tuple[list[str], int, str | None]:
        key, prev, count, at_anchor = self._key(), _GENESIS, 0, None
        problems = []
        for row in rows:
            count += 1
            is_true = hmac.compare_digest(row.mac, _mac(key, prev, row.body))
            if not (is_true and row.prev == prev and row.seq == count == _sequence(row.body)):
                problems.append(f"row {row.seq} is not as it was written")
                break
            prev = row.mac
            if row.seq == anchored:
                at_anchor = row.mac
        count += sum(1 for _ in rows)
        return problems, count, at_anchor

    def _read_anchor(self) -> tuple[int, str] | None:
        try:
            seq, mac = self._anchor.read_text(encoding="ascii").split()
            return int(seq), mac
        except (OSError, ValueError):
            return None

    def _write_anchor(self, seq: int, mac: str) -> None:
        # One write of a fixed length: a kill leaves the old anchor or the new, and an anchor
        # that lags behind the newest row is still true.
        try:
            private_dir(self._anchor.parent)
            handle = os.open(self._anchor, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(handle, f"{seq:020d} {mac}\n".encode(), 0)
            finally:
                os.close(handle)
        except OSError as error:
            # What it follows is on disk: raising would deny a decision that holds.
            logger.error("audit.anchor-not-written", exc_info=error)


def _mac(key: bytes, prev: str, body: str) -> str:
    return hmac.new(key, f"{prev}{body}".encode(), hashlib.sha256).hexdigest()


def _sequence(body: str) -> int | None:
    try:
        value = parse_object(body).get("seq")
    except Invalid:
        return None
    return value if isinstance(value, int) else None


def _entry(body: str) -> Entry:
    stored = parse_object(body)
    return Entry(
        seq=stored["seq"],
        at=rfc3339(stored["at_us"]) or "",
        actor=stored["actor"],
        event=stored["event"],
        subject=stored["subject"],
        details=stored["details"],
    )
