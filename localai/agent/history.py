"""Conversations: every message is stored as it is said, so that nothing is lost with a process.

A tool message without content belongs to a request that waits for a person. A conversation
belongs to a project, the git repository in which it began; those outside of any are together.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa

from localai.agent import session_statistics
from localai.agent.session_statistics import SessionStatistics
from localai.agent.tables import index, messages, sessions
from localai.core import directories, log
from localai.core.clock import Clock, rfc3339
from localai.core.db import Database
from localai.core.errors import Invalid, NotFound
from localai.core.ids import check_prefix, new_id, only
from localai.core.records import Page
from localai.infer.engine import Message, ToolCall
from localai.rbac.permissions import Actor

_TITLE = 60
_BEGIN = 'ai chat "..."'
_DIGITS = 10  # of a cursor: more rows than a home can hold
_AT_ONCE = 1000  # ids in a statement
# Questions after which a conversation counts as one that was talked over.
_TALKED = 3
_NEXT = sa.select(sa.func.coalesce(sa.func.max(messages.c.seq), 0) + 1).where(
    messages.c.session_id == sa.bindparam("session")
)


@dataclass(frozen=True)
class Session:
    """A conversation as it is listed.

    Its importance is 3 where a tool was called in it, 2 where it was talked over with three
    questions or more, else 1. `project` is empty outside of any git repository.
    """

    id: str
    title: str
    workspace: str
    project: str
    created_at: str
    updated_at: str
    messages: int
    importance: int
    is_pinned: bool


@dataclass(frozen=True)
class Turn:
    """One stored message; `content` is None while its request waits for a person."""

    seq: int
    role: str
    content: str | None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    tool_name: str | None = None
    approval_id: str | None = None
    model: str | None = None
    is_interrupted: bool = False

    @property
    def message(self) -> Message:
        """The message as an engine reads it."""
        return Message(
            self.role, self.content or "", self.tool_calls, self.tool_call_id, self.tool_name
        )


@dataclass(frozen=True)
class Transcript:
    """A conversation with all that was said in it."""

    session: Session
    turns: tuple[Turn, ...]


class History:
    """The conversations of this home; users see their own.

    `forget` is told whose were removed, and their ids. When a conversation begins, those that
    were not used for `keep_s` seconds are pruned.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        require: Callable[[Actor, str], None],
        forget: Callable[[str, Sequence[str]], None],
        keep_s: int | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._require = require
        self._forget = forget
        self._keep_s = keep_s

    def begin(self, actor: Actor, title: str, workspace: str) -> str:
        """A new conversation's id."""
        return self.save(actor, title, workspace, (), is_foreign=False)

    def save(
        self,
        actor: Actor,
        title: str,
        workspace: str,
        turns: Sequence[Turn],
        *,
        is_foreign: bool = True,
    ) -> str:
        """The id of a new conversation in which all of this was said, stored in one step.

        It `is_foreign` where others than our models and this user may have written in it.
        """
        self._require(actor, "sessions:write")
        now = self._clock.now_us()
        row = {
            "id": new_id(),
            "user_id": actor.user_id,
            "title": " ".join(title.split())[:_TITLE],
            "workspace": workspace,
            "project": directories.project(Path(workspace)),
            "created_us": now,
            "updated_us": now,
            "has_foreign": is_foreign,
        }
        said = [_row(str(row["id"]), seq, turn, now) for seq, turn in enumerate(turns, 1)]
        with self._database.transaction() as connection:
            connection.execute(sa.insert(sessions), row)
            if said:
                connection.execute(sa.insert(messages), said)
        if self._keep_s is not None and (pruned := self.prune(actor, self._keep_s)):
            log.write("sessions.pruned", sessions=[each.id for each in pruned])
        return str(row["id"])

    def add(self, actor: Actor, session: str, turn: Turn) -> int:
        """Store one message at the end; returns its sequence in the conversation."""
        self._require(actor, "sessions:write")
        now = self._clock.now_us()
        with self._database.transaction() as connection:
            seq = int(connection.execute(_NEXT, {"session": session}).scalar_one())
            connection.execute(sa.insert(messages), _row(session, seq, turn, now))
            connection.execute(
                sa.update(sessions).where(sessions.c.id == session).values(updated_us=now)
            )
        return seq

    def answer(self, actor: Actor, session: str, seq: int, content: str) -> None:
        """Fill in what a tool, or the person who was asked, answered."""
        self._require(actor, "sessions:write")
        waiting = (messages.c.session_id == session) & (messages.c.seq == seq)
        with self._database.transaction() as connection:
            connection.execute(
                sa.update(messages)
                .where(waiting, messages.c.content.is_(None))
                .values(content=content)
            )

    def list(
        self,
        actor: Actor,
        *,
        project: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Session]:
        """Conversations, of one project if it is given, the last used first."""
        self._require(actor, "sessions:read")
        own = sessions.c.user_id == actor.user_id
        if project is not None:
            own = sa.and_(own, sessions.c.project == project)
        query = _SESSIONS.where(own).order_by(sessions.c.updated_us.desc(), sessions.c.id)
        count = sa.select(sa.func.count()).select_from(sessions).where(own)
        start = start_of(cursor)
        with self._database.read() as connection:
            total = int(connection.execute(count).scalar_one())
            rows = connection.execute(query.limit(limit).offset(start)).all()
        end = start + len(rows)
        return Page([_session(row) for row in rows], total, str(end) if end < total else None)

    def last(self, actor: Actor, project: str) -> str:
        """The id of the project's conversation used last; NotFound where there is none."""
        page = self.list(actor, project=project, limit=1)
        if not page.items:
            elsewhere = self.list(actor, limit=1).total
            hint = "ai sessions list --all, then: ai chat --session ID" if elsewhere else _BEGIN
            raise NotFound("there is no conversation to continue here", hint=hint)
        return page.items[0].id

    def find(self, actor: Actor, prefix: str) -> str:
        """The full id that a prefix names."""
        self._require(actor, "sessions:read")
        check_prefix(prefix)
        query = sa.select(sessions.c.id).where(
            sessions.c.user_id == actor.user_id, sessions.c.id.startswith(prefix)
        )
        with self._database.read() as connection:
            candidates = list(connection.scalars(query))
        return only(prefix, "session", candidates, hint="ai sessions list")

    def read(self, actor: Actor, session: str) -> Transcript:
        """A conversation with its messages, oldest first; the id may be a prefix."""
        full = self.find(actor, session)
        said = sa.select(messages).where(messages.c.session_id == full).order_by(messages.c.seq)
        with self._database.read() as connection:
            head = connection.execute(_SESSIONS.where(sessions.c.id == full)).one()
            turns = tuple(_turn(row) for row in connection.execute(said))
        return Transcript(_session(head), turns)

    def statistics(self, actor: Actor) -> SessionStatistics:
        """How many conversations there are, and what was said in them."""
        self._require(actor, "sessions:read")
        with self._database.read() as connection:
            return session_statistics.read(connection, actor.user_id)

    def exists(self, session: str) -> bool:
        """Whether there is a conversation of this id, whoever's it is."""
        query = sa.select(sessions.c.id).where(sessions.c.id == session)
        with self._database.read() as connection:
            return connection.scalar(query) is not None

    def has_foreign(self, session: str) -> bool:
        """Whether something that strangers wrote was read in the conversation."""
        query = sa.select(sessions.c.has_foreign).where(sessions.c.id == session)
        with self._database.read() as connection:
            return bool(connection.scalar(query))

    def note_foreign(self, session: str) -> None:
        """Remember that it was."""
        change = sa.update(sessions).where(sessions.c.id == session).values(has_foreign=True)
        with self._database.transaction() as connection:
            connection.execute(change)

    def is_waiting(self, actor: Actor, session: str) -> bool:
        """Whether a request of the conversation has not been answered; the id may be a prefix."""
        return any(turn.content is None for turn in self.read(actor, session).turns)

    def last_model(self, actor: Actor, session: str) -> str | None:
        """The model that answered last in the conversation, None where none has."""
        models = (turn.model for turn in reversed(self.read(actor, session).turns))
        return next(filter(None, models), None)

    def choose(self, actor: Actor, session: str, model: str) -> None:
        """Let a model answer in the conversation from the next turn on; the id may be a prefix."""
        self._require(actor, "sessions:write")
        full = self.find(actor, session)
        with self._database.transaction() as connection:
            chosen = sa.update(sessions).where(sessions.c.id == full).values(model=model)
            connection.execute(chosen)

    def chosen(self, actor: Actor, session: str) -> str | None:
        """The model that was chosen for the conversation, None where none was."""
        query = sa.select(sessions.c.model).where(sessions.c.id == self.find(actor, session))
        with self._database.read() as connection:
            return connection.scalar(query)

    def remove(self, actor: Actor, session: str) -> Session:
        """Forget a conversation; the id may be a prefix."""
        self._require(actor, "sessions:write")
        removed = self.read(actor, session).session
        with self._database.transaction() as connection:
            _erase(connection, sessions.c.id == removed.id)
        self._forget(actor.user_id, [removed.id])
        return removed

    def pin(self, actor: Actor, session: str, *, is_pinned: bool) -> Session:
        """Keep a conversation whatever its age, or no longer; the id may be a prefix."""
        self._require(actor, "sessions:write")
        full = self.find(actor, session)
        change = sa.update(sessions).where(sessions.c.id == full).values(is_pinned=is_pinned)
        with self._database.transaction() as connection:
            connection.execute(change)
        return self.read(actor, full).session

    def old(self, actor: Actor, unused_s: int) -> Sequence[Session]:
        """What `prune` would remove, the oldest first."""
        self._require(actor, "sessions:read")
        with self._database.read() as connection:
            return self._old(connection, actor, unused_s)

    def prune(self, actor: Actor, unused_s: int) -> Sequence[Session]:
        """Forget conversations that nobody used for so long times their importance.

        What is pinned stays, and what waits for a decision. Those forgotten are returned.
        """
        self._require(actor, "sessions:write")
        with self._database.transaction() as connection:
            found = self._old(connection, actor, unused_s)
            for start in range(0, len(found), _AT_ONCE):
                ids = [each.id for each in found[start : start + _AT_ONCE]]
                _erase(connection, sessions.c.id.in_(ids))
        if found:
            self._forget(actor.user_id, [each.id for each in found])
        return found

    def _old(self, connection: sa.Connection, actor: Actor, unused_s: int) -> Sequence[Session]:
        now = self._clock.now_us()
        aged = now - sessions.c.updated_us > unused_s * 1_000_000 * _IMPORTANCE
        own = sa.and_(sessions.c.user_id == actor.user_id, ~sessions.c.is_pinned, ~_WAITS, aged)
        rows = connection.execute(_SESSIONS.where(own).order_by(sessions.c.updated_us))
        return [_session(row) for row in rows]


def _said(*of: "sa.ColumnElement[bool]") -> "sa.ScalarSelect[int]":
    """How many such messages a conversation has."""
    here = messages.c.session_id == sessions.c.id
    return sa.select(sa.func.count()).where(here, *of).scalar_subquery()


_WAITS = _said(messages.c.content.is_(None)) > 0
_IMPORTANCE = sa.case(
    (_said(messages.c.role == "tool") > 0, 3),
    (_said(messages.c.role == "user") >= _TALKED, 2),
    else_=1,
)
_SESSIONS = sa.select(sessions, _said().label("said"), _IMPORTANCE.label("importance"))


def _row(session: str, seq: int, turn: Turn, now_us: int) -> dict[str, object]:
    """A message as it is stored."""
    calls = json.dumps([asdict(call) for call in turn.tool_calls])
    own = {"session_id": session, "seq": seq, "tool_calls": calls, "created_us": now_us}
    return asdict(turn) | own


def _erase(connection: sa.Connection, which: "sa.ColumnElement[bool]") -> None:
    ids = sa.select(sessions.c.id).where(which)
    connection.execute(sa.delete(index).where(index.c.session_id.in_(ids)))
    connection.execute(sa.delete(messages).where(messages.c.session_id.in_(ids)))
    connection.execute(sa.delete(sessions).where(which))


def start_of(cursor: str | None) -> int:
    """How many rows stand before the page of the cursor."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < _DIGITS):
        raise Invalid(f"{cursor!r} is not a cursor of this list", hint="ai sessions list")
    return int(cursor)


def _session(row: sa.Row[tuple[object, ...]]) -> Session:
    return Session(
        id=row.id,
        title=row.title,
        workspace=row.workspace,
        project=row.project,
        created_at=rfc3339(row.created_us) or "",
        updated_at=rfc3339(row.updated_us) or "",
        messages=row.said,
        importance=row.importance,
        is_pinned=row.is_pinned,
    )


def _turn(row: sa.Row[tuple[object, ...]]) -> Turn:
    return Turn(
        seq=row.seq,
        role=row.role,
        content=row.content,
        tool_calls=tuple(ToolCall(**call) for call in json.loads(row.tool_calls)),
        tool_call_id=row.tool_call_id,
        tool_name=row.tool_name,
        approval_id=row.approval_id,
        model=row.model,
        is_interrupted=row.is_interrupted,
    )
