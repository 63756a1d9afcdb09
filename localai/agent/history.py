"""Conversations: every message is stored as it is said, so that nothing is lost with a process.

A tool message without content belongs to a request that waits for a person.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from localai.agent.tables import index, messages, sessions
from localai.core.clock import Clock, rfc3339
from localai.core.db import Database
from localai.core.errors import Invalid, NotFound
from localai.core.ids import check_prefix, new_id, only
from localai.core.records import Page
from localai.infer.engine import Message, ToolCall
from localai.rbac.permissions import Actor

_TITLE = 60
_DIGITS = 10  # of a cursor: more rows than a home can hold
_NEXT = sa.select(sa.func.coalesce(sa.func.max(messages.c.seq), 0) + 1).where(
    messages.c.session_id == sa.bindparam("session")
)


@dataclass(frozen=True)
class Session:
    """A conversation as it is listed."""

    id: str
    title: str
    workspace: str
    created_at: str
    updated_at: str
    messages: int


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

    `forget` is told the id of each one that is removed.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        require: Callable[[Actor, str], None],
        forget: Callable[[str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._require = require
        self._forget = forget

    def begin(self, actor: Actor, title: str, workspace: str) -> str:
        """A new conversation's id."""
        self._require(actor, "sessions:write")
        now = self._clock.now_us()
        row = {
            "id": new_id(),
            "user_id": actor.user_id,
            "title": " ".join(title.split())[:_TITLE],
            "workspace": workspace,
            "created_us": now,
            "updated_us": now,
        }
        with self._database.transaction() as connection:
            connection.execute(sa.insert(sessions), row)
        return str(row["id"])

    def add(self, actor: Actor, session: str, turn: Turn) -> int:
        """Store one message at the end; returns its sequence in the conversation."""
        self._require(actor, "sessions:write")
        now = self._clock.now_us()
        with self._database.transaction() as connection:
            seq = int(connection.execute(_NEXT, {"session": session}).scalar_one())
            row = {**asdict(turn), "seq": seq, "session_id": session, "created_us": now}
            row["tool_calls"] = json.dumps([asdict(call) for call in turn.tool_calls])
            connection.execute(sa.insert(messages), row)
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

    def list(self, actor: Actor, *, limit: int = 20, cursor: str | None = None) -> Page[Session]:
        """Conversations, the last used first."""
        self._require(actor, "sessions:read")
        own = sessions.c.user_id == actor.user_id
        query = _SESSIONS.where(own).order_by(sessions.c.updated_us.desc(), sessions.c.id)
        count = sa.select(sa.func.count()).select_from(sessions).where(own)
        start = start_of(cursor)
        with self._database.read() as connection:
            total = int(connection.execute(count).scalar_one())
            rows = connection.execute(query.limit(limit).offset(start)).all()
        end = start + len(rows)
        return Page([_session(row) for row in rows], total, str(end) if end < total else None)

    def last(self, actor: Actor) -> str:
        """The id of the conversation used last; NotFound where there is none."""
        page = self.list(actor, limit=1)
        if not page.items:
            raise NotFound("there is no conversation to continue", hint='ai chat "..."')
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

    def exists(self, session: str) -> bool:
        """Whether there is a conversation of this id, whoever's it is."""
        query = sa.select(sessions.c.id).where(sessions.c.id == session)
        with self._database.read() as connection:
            return connection.scalar(query) is not None

    def is_waiting(self, actor: Actor, session: str) -> bool:
        """Whether a request of the conversation has not been answered; the id may be a prefix."""
        return any(turn.content is None for turn in self.read(actor, session).turns)

    def last_model(self, actor: Actor, session: str) -> str | None:
        """The model that answered last in the conversation, None where none has."""
        models = (turn.model for turn in reversed(self.read(actor, session).turns))
        return next(filter(None, models), None)

    def remove(self, actor: Actor, session: str) -> Session:
        """Forget a conversation; the id may be a prefix."""
        self._require(actor, "sessions:write")
        removed = self.read(actor, session).session
        with self._database.transaction() as connection:
            connection.execute(sa.delete(messages).where(messages.c.session_id == removed.id))
            connection.execute(sa.delete(sessions).where(sessions.c.id == removed.id))
            connection.execute(sa.delete(index).where(index.c.session_id == removed.id))
        self._forget(removed.id)
        return removed


_SESSIONS = sa.select(
    sessions,
    sa.select(sa.func.count())
    .where(messages.c.session_id == sessions.c.id)
    .scalar_subquery()
    .label("said"),
)


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
        created_at=rfc3339(row.created_us) or "",
        updated_at=rfc3339(row.updated_us) or "",
        messages=row.said,
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
