"""Finding what was said in conversations, by its words or parts of them; Korean too.

Three characters or more are looked up in an index of all that users and models said, which the
database keeps; shorter words, common in Korean, are read through.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from localai.agent.history import start_of
from localai.agent.tables import index
from localai.agent.tables import messages as m
from localai.agent.tables import sessions as s
from localai.core.clock import rfc3339
from localai.core.db import Database
from localai.core.errors import Invalid
from localai.core.records import Page
from localai.rbac.permissions import Actor

_INDEXED = 3  # characters that the index needs
_BEFORE, _LONGEST = 40, 160  # characters of a snippet: before the first word found, in all


@dataclass(frozen=True)
class Found:
    """A message that has every word that was looked for; `snippet` is around the first one."""

    session: str
    title: str
    seq: int
    role: str
    at: str
    snippet: str


class Search:
    """Searches a user's own conversations."""

    def __init__(self, database: Database, require: Callable[[Actor, str], None]) -> None:
        self._database = database
        self._require = require

    def find(
        self,
        actor: Actor,
        text: str,
        *,
        project: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Found]:
        """The messages that have all words of the text, newest first; case does not matter.

        Those of one project if it is given.
        """
        self._require(actor, "sessions:read")
        words = text.replace("\0", " ").split()  # at which the index's language ends
        if not words:
            raise Invalid("nothing was looked for", hint="ai sessions search WORD ...")
        fitting = sa.and_(
            s.c.user_id == actor.user_id, m.c.role.in_(["user", "assistant"]), *map(_has, words)
        )
        if project is not None:
            fitting = sa.and_(fitting, s.c.project == project)
        said = sa.join(m, s, m.c.session_id == s.c.id)
        columns = (m.c.session_id, s.c.title, m.c.seq, m.c.role, m.c.content, m.c.created_us)
        newest = sa.select(*columns).select_from(said).where(fitting)
        newest = newest.order_by(m.c.created_us.desc(), m.c.session_id, m.c.seq)
        count = sa.select(sa.func.count()).select_from(said).where(fitting)
        start = start_of(cursor)
        with self._database.read() as connection:
            total = int(connection.execute(count).scalar_one())
            rows = connection.execute(newest.limit(limit).offset(start)).all()
        found = [_found(row, words[0]) for row in rows]
        end = start + len(found)
        return Page(found, total, str(end) if end < total else None)


def _has(word: str) -> "sa.ColumnElement[bool]":
    if len(word) < _INDEXED:
        return m.c.content.icontains(word, autoescape=True)
    phrase = '"' + word.replace('"', '""') + '"'
    hits = sa.select(index.c.session_id, index.c.seq).where(
        sa.literal_column("messages_search").op("MATCH")(phrase)
    )
    return sa.tuple_(m.c.session_id, m.c.seq).in_(hits)


def _found(row: Any, word: str) -> Found:
    return Found(
        session=row.session_id,
        title=row.title,
        seq=row.seq,
        role=row.role,
        at=rfc3339(row.created_us) or "",
        snippet=_snippet(row.content, word),
    )


def _snippet(content: str, word: str) -> str:
    """A line of the content, around the first place where the word stands."""
    line = " ".join(content.split())
    at = max(0, line.casefold().find(word.casefold()) - _BEFORE)
    cut = line[at : at + _LONGEST]
    return ("…" if at else "") + cut + ("…" if at + _LONGEST < len(line) else "")
