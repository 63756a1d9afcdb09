"""The audit: an append-only table, each row chained to the one before by HMAC-SHA256.

The key lies outside the database, and so does the anchor (sequence and MAC of the newest row):
a plain chain would miss a cut tail and a chain rewritten from the start. A row is written in
the transaction of the change that it records; the anchor follows once that is on disk.
"""

import hmac
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from localai.core import log
from localai.core.canonical import canonical, parse_object
from localai.core.chain import GENESIS, Verification, mac_of, prove
from localai.core.clock import Clock, rfc3339
from localai.core.db import Database, after_commit, after_release, is_first, metadata
from localai.core.errors import NotFound, Unavailable
from localai.core.events import EVENTS
from localai.core.files import private_dir
from localai.core.records import Page

audit_table = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev", sa.Text, nullable=False),
    sa.Column("mac", sa.Text, nullable=False),
)

# Counts the times at which this home went on from an older copy of itself.
epochs = sa.Table(
    "epochs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.Integer, nullable=False),
)
EPOCH = sa.select(epochs.c.epoch).scalar_subquery()

_RAISE_EPOCH = sa.update(epochs).values(epoch=epochs.c.epoch + 1)
_MAX_ANCHOR = 256
# Not ORDER BY and LIMIT: SQLAlchemy takes longer for a limit than SQLite for the row.
_NEWEST = sa.select(sa.func.max(audit_table.c.seq)).scalar_subquery()
_LAST = sa.select(sa.func.max(audit_table.c.seq))
_AFTER = (
    sa.select(audit_table.c.body)
    .where(audit_table.c.seq > sa.bindparam("seq", type_=sa.BigInteger))
    .order_by(audit_table.c.seq)
    .limit(sa.bindparam("limit"))
)
_TAIL = sa.select(audit_table.c.seq, audit_table.c.mac).where(audit_table.c.seq == _NEWEST)
_APPEND = sa.insert(audit_table)
_COUNT = sa.select(sa.func.count()).select_from(audit_table)
# A row that was tampered with may hold no JSON; looking for others must still work.
_BODY = sa.case((sa.func.json_valid(audit_table.c.body) == 1, audit_table.c.body), else_="{}")
_EVENT = sa.func.coalesce(sa.func.json_extract(_BODY, "$.event"), "")
_EVENTS = sa.select(_EVENT.label("event"), sa.func.count().label("times")).group_by(_EVENT)
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
class Filter:
    """Which entries are wanted: those that fit everything that is given; times in microseconds."""

    actor: str | None = None
    action: str | None = None
    tool: str | None = None
    since_us: int | None = None
    until_us: int | None = None

    @property
    def conditions(self) -> "list[sa.ColumnElement[bool]]":
        """What the rows must fulfil; an action `approval` stands for all that begin with it."""
        at = sa.func.json_extract(_BODY, "$.at_us")
        event = sa.func.json_extract(_BODY, "$.event")
        tool = sa.func.json_extract(_BODY, "$.details.tool")
        subject = sa.func.json_extract(_BODY, "$.subject")
        given: list[tuple[object, Callable[[], sa.ColumnElement[bool]]]] = [
            (self.actor, lambda: sa.func.json_extract(_BODY, "$.actor") == self.actor),
            (
                self.action,
                lambda: sa.or_(
                    event == self.action,
                    sa.func.substr(event, 1, len(self.action or "") + 1) == f"{self.action}.",
                ),
            ),
            (
                self.tool,
                lambda: sa.or_(
                    tool == self.tool,
                    sa.and_(sa.func.substr(event, 1, 5) == "tool.", subject == self.tool),
                ),
            ),
            (self.since_us, lambda: at >= self.since_us),
            (self.until_us, lambda: at < self.until_us),
        ]
        return [condition() for value, condition in given if value is not None]


def events(connection: sa.Connection) -> Counter[str]:
    """How many entries there are of each event; all of them are read."""
    return Counter({row.event: row.times for row in connection.execute(_EVENTS)})


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
        tail: Any = connection.execute(_TAIL).one_or_none()
        if is_first(connection, "audit"):
            tail = self._goes_on(connection, tail, actor, subject)
        last = self._append(connection, tail, event, actor, subject, details or {})
        after_commit(connection, lambda: self._write_anchor(last.seq, last.mac))
        _log(connection, event, last.seq, actor, subject, details or {})

    def _goes_on(self, connection: sa.Connection, tail: Any, actor: str, subject: str) -> Any:
        """The end to append to, if it is the one that was written last; else Unavailable."""
        anchor = self._read_anchor()
        if anchor is not None and (tail is None or anchor[0] > tail.seq or _is_other(anchor, tail)):
            # To go on would move the anchor, and what is gone could not be noticed any more.
            message = "the end of the audit is gone or is not the one that was written"
            hint = f"ai audit verify; to go on with an older copy, remove {self._anchor}"
            raise Unavailable(message, hint=hint)
        if anchor is None and tail is not None:
            # An older copy was put back, or the anchor was lost: what was granted then is dead.
            connection.execute(_RAISE_EPOCH)
            event = "audit.anchor-lost"
            end = self._append(connection, tail, event, actor, subject, {})
            _log(connection, event, end.seq, actor, subject, {})
            return end
        return tail

    def _append(  # noqa: PLR0913 - a row
        self,
        connection: sa.Connection,
        tail: Any,
        event: str,
        actor: str,
        subject: str,
        details: Mapping[str, Any],
    ) -> "_End":
        seq, prev = (tail.seq + 1, tail.mac) if tail else (1, GENESIS)
        entry = {
            "seq": seq,
            "at_us": self._clock.now_us(),
            "actor": actor,
            "event": event,
            "subject": subject,
            "details": dict(details),
        }
        body = canonical(entry).decode()
        mac = mac_of(self._key(), prev, body)
        connection.execute(_APPEND, {"seq": seq, "body": body, "prev": prev, "mac": mac})
        return _End(seq, mac)

    def page(
        self, *, limit: int = 50, before: int | None = None, about: Filter | None = None
    ) -> Page[Entry]:
        """The newest entries first, at most `limit`, older than sequence `before` if given."""
        wanted = about.conditions if about else []
        newest = sa.select(audit_table.c.body).where(*wanted).order_by(audit_table.c.seq.desc())
        if before is not None:
            newest = newest.where(audit_table.c.seq < before)
        with self._database.read() as connection:
            total = connection.scalar(_COUNT.where(*wanted)) or 0
            found = [_entry(body) for body in connection.scalars(newest.limit(limit + 1))]
        items = found[:limit]
        return Page(items, total, str(items[-1].seq) if found[limit:] else None)

    def all(self, about: Filter) -> Iterator[Entry]:
        """Every entry that fits, oldest first, as they are read."""
        wanted = sa.select(audit_table.c.body).where(*about.conditions).order_by(audit_table.c.seq)
        with self._database.read() as connection:
            rows = connection.execution_options(yield_per=1000).execute(wanted)
            for row in rows:
                yield _entry(row.body)

    def get(self, seq: int) -> Entry:
        """One entry; NotFound if the chain has none of that sequence."""
        query = sa.select(audit_table.c.body).where(audit_table.c.seq == seq)
        with self._database.read() as connection:
            body = connection.scalar(query)
        if body is None:
            message = f"no audit entry {seq}"
            raise NotFound(message, hint="ai audit list")
        return _entry(body)

    def newest(self) -> int:
        """The sequence of the newest entry; 0 where there is none."""
        with self._database.read() as connection:
            return connection.scalar(_LAST) or 0

    def after(self, seq: int, limit: int) -> Sequence[Entry]:
        """The entries after that sequence, oldest first, at most `limit`."""
        with self._database.read() as connection:
            bounds = {"seq": seq, "limit": limit}
            return [_entry(body) for body in connection.scalars(_AFTER, bounds)]

    def verify(self) -> Verification:
        """Recompute every MAC from the first row and compare the end with the anchor."""
        # The anchor first: a row committed after this reading only makes the chain longer.
        anchor = self._read_anchor()
        with self._database.read() as connection:
            rows = connection.execution_options(yield_per=1000).execute(_ALL)
            return prove(rows, self._key(), anchor)

    def _read_anchor(self) -> tuple[int, str] | None:
        try:
            handle = os.open(self._anchor, os.O_RDONLY | os.O_CLOEXEC)
            try:
                seq, mac = os.read(handle, _MAX_ANCHOR).decode("ascii").split()
            finally:
                os.close(handle)
            return int(seq), mac
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            # It may well be there: to go on as if it were lost would end every grant.
            message = "the anchor of the audit cannot be read"
            raise Unavailable(message, hint="ai doctor") from error

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
            log.write("audit.anchor-not-written", error)


@dataclass(frozen=True)
class _End:
    """The newest row."""

    seq: int
    mac: str


def _is_other(anchor: tuple[int, str], tail: Any) -> bool:
    return anchor[0] == tail.seq and not hmac.compare_digest(anchor[1], tail.mac)


def _log(  # noqa: PLR0913 - a row
    connection: sa.Connection,
    event: str,
    seq: int,
    actor: str,
    subject: str,
    details: Mapping[str, Any],
) -> None:
    """Log the event as well, once it is on disk, with those details that the catalogue names."""
    if event in EVENTS:
        named = {"audit": seq, "actor": actor, "subject": subject, **details}
        known = (*EVENTS[event].fields, "session", "approval")
        said = {name: named[name] for name in known if name in named}
        after_release(connection, log.prepared(event, **said))


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
