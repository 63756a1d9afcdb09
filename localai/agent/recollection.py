"""Finding what was said in conversations by its meaning, in an index like that of documents.

The index follows the conversations: whatever was said or forgotten since the last question is
taken in, or out, when the next one is asked.
"""

import threading
from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa

from localai.agent.search import Found
from localai.agent.tables import messages as m
from localai.agent.tables import sessions as s
from localai.core.clock import rfc3339
from localai.core.db import Database
from localai.core.errors import Invalid
from localai.core.records import Page
from localai.rag.memory import Memo, Memory, Recalled
from localai.rbac.permissions import Actor

_SAID = sa.join(m, s, m.c.session_id == s.c.id)
_OWN = sa.and_(
    s.c.user_id == sa.bindparam("user"),
    m.c.role.in_(["user", "assistant"]),
    sa.func.trim(m.c.content) != "",
)
_KEYS = sa.select(m.c.session_id, m.c.seq).select_from(_SAID).where(_OWN)
_ROWS = sa.select(m, s.c.title, s.c.project).select_from(_SAID).where(_OWN)
_AT_ONCE = 500


class Recollection:
    """Searches a user's own conversations; `memory` is where the messages of a user are kept."""

    def __init__(
        self,
        database: Database,
        require: Callable[[Actor, str], None],
        memory: Callable[[str], Memory],
    ) -> None:
        self._database = database
        self._require = require
        self._memory = memory
        self._keeping = threading.Lock()

    def find(
        self, actor: Actor, text: str, *, project: str | None = None, limit: int = 20
    ) -> Page[Found]:
        """The messages nearest in meaning, best first, of one project if it is given."""
        self._require(actor, "sessions:read")
        if not text.strip():
            raise Invalid("nothing was looked for", hint="ai sessions search --meaning WORD ...")
        memory = self._memory(actor.user_id)
        with self._keeping:  # who has looked before another took in more would take that out again
            with self._database.read() as connection:
                keys = [_key(*row) for row in connection.execute(_KEYS, {"user": actor.user_id})]
            memory.keep(keys, lambda new: self._memos(actor, new))
        # A long message may be found by several of its pieces.
        best: dict[str, Recalled] = {}
        for hit in memory.find(text, 2 * limit, root=project):
            best.setdefault(hit.key, hit)
        # What was forgotten meanwhile takes no place from the others.
        rows = dict(self._rows(actor, list(best)))
        found = [_found(rows[key], hit) for key, hit in best.items() if key in rows][:limit]
        return Page(found, len(found))

    def forget(self, user: str, sessions: Sequence[str]) -> None:
        """Take conversations of a user out of the index."""
        gone = set(sessions)
        self._memory(user).forget(lambda key: key.partition("/")[0] in gone)

    def _memos(self, actor: Actor, keys: Sequence[str]) -> Iterator[Memo]:
        for key, row in self._rows(actor, keys):
            yield Memo(key, row.project, row.title, row.content)

    def _rows(self, actor: Actor, keys: Sequence[str]) -> Iterator[tuple[str, sa.Row[object]]]:
        for start in range(0, len(keys), _AT_ONCE):
            pairs = [tuple(key.split("/")) for key in keys[start : start + _AT_ONCE]]
            which = sa.tuple_(m.c.session_id, m.c.seq).in_([(one, int(two)) for one, two in pairs])
            with self._database.read() as connection:
                rows = connection.execute(_ROWS.where(which), {"user": actor.user_id}).all()
            yield from ((_key(row.session_id, row.seq), row) for row in rows)


def _key(session: str, seq: int) -> str:
    return f"{session}/{seq}"


def _found(row: sa.Row[object], hit: Recalled) -> Found:
    return Found(
        session=row.session_id,
        title=row.title,
        seq=row.seq,
        role=row.role,
        at=rfc3339(row.created_us) or "",
        snippet=" ".join(hit.text.split())[:160],
    )
