"""What the database knows of collections and their files: the room's only SQL."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice

import sqlalchemy as sa

from localai.core.clock import Clock, rfc3339
from localai.core.db import Database
from localai.core.errors import NotFound
from localai.rag.names import taken
from localai.rag.records import Collection, CollectionTrust
from localai.rag.tables import collections, files, scores


@dataclass(frozen=True)
class Entry:
    """How a collection was made; its index lies in `directory`."""

    name: str
    directory: str
    engine: str
    model: str
    dim: int
    is_multilingual: bool
    tokenizer_version: int
    average_terms: float = 0.0
    description: str = ""


@dataclass(frozen=True)
class File:
    """A file of a collection; an empty `sha256` marks one that was begun and not finished.

    `path` is its key: a page's is its address. `version` names the passages that it has.
    """

    path: str
    root: str
    source: str
    sha256: str = ""
    chunks: int = 0
    is_trusted: bool = True
    version: str = ""


_ENTRY_COLUMNS = [collections.c[name] for name in Entry.__dataclass_fields__]
_FILE_COLUMNS = [files.c[name] for name in File.__dataclass_fields__]
_ENTRY = sa.select(*_ENTRY_COLUMNS).where(collections.c.name == sa.bindparam("wanted"))
# How an index was made, apart from what it is called and said to be about.
_MADE = [name for name in Entry.__dataclass_fields__ if name not in {"name", "description"}]
_FILES = sa.select(*_FILE_COLUMNS).where(files.c.collection == sa.bindparam("wanted"))
_DROP = sa.delete(files).where(
    files.c.collection == sa.bindparam("wanted"), files.c.path == sa.bindparam("gone")
)
_SUMMARY = (
    sa.select(
        collections,
        sa.func.count(files.c.path).label("files"),
        sa.func.coalesce(sa.func.sum(files.c.chunks), 0).label("chunks"),
        sa.func.sum(sa.case((files.c.is_trusted.is_(False), 1), else_=0)).label("untrusted"),
    )
    .outerjoin(files, sa.and_(files.c.collection == collections.c.name, files.c.sha256 != ""))
    .group_by(collections.c.name)
    .order_by(collections.c.name)
)
_DIRECTORIES = sa.select(collections.c.directory)
_ROOTS = (
    sa.select(files.c.root)
    .where(files.c.collection == sa.bindparam("wanted"))
    .distinct()
    .order_by(files.c.root)
)

_AT_ONCE = 1_000


class Catalog:
    """Collections and files, as rows."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def find(self, name: str) -> Entry | None:
        """The collection of that name."""
        with self._database.read() as connection:
            row = connection.execute(_ENTRY, {"wanted": name}).one_or_none()
        return Entry(*row) if row else None

    def get(self, name: str) -> Entry:
        """The collection of that name; NotFound says how to make one."""
        entry = self.find(name)
        if entry is None:
            raise _unknown(name)
        return entry

    def add(self, entry: Entry) -> Entry:
        """Enter a collection; returns the one that holds the name, should it be another's."""
        now = self._clock.now_us()
        with self._database.transaction() as connection:
            row = connection.execute(_ENTRY, {"wanted": entry.name}).one_or_none()
            if row:
                return Entry(*row)
            times = {"created_us": now, "updated_us": now}
            connection.execute(sa.insert(collections), asdict(entry) | times)
        return entry

    def remove(self, name: str) -> None:
        """Strike the collection out, and its files with it."""
        with self._database.transaction() as connection:
            connection.execute(sa.delete(collections).where(collections.c.name == name))

    def changed(self, name: str) -> int:
        """When the collection or its files last changed, in microseconds."""
        self.get(name)
        wanted = sa.select(collections.c.updated_us).where(collections.c.name == name)
        with self._database.read() as connection:
            return connection.scalar(wanted) or 0

    def exchange(self, name: str, staged: str, *, unchanged_since: int) -> bool:
        """Give the collection the index and the files of `staged`, and that the old index.

        False, and nothing done, where the collection changed since. The old index is marked as of
        no version, so that nobody takes it for one that is being filled.
        """
        with self._database.transaction() as connection:
            both = {row.name: row for row in connection.execute(sa.select(collections))}
            if name not in both or both[name].updated_us != unchanged_since:
                return False
            self._adopt(connection, name, staged)
            new, old = ({key: getattr(both[each], key) for key in _MADE} for each in (staged, name))
            self._touch(connection, name, **new)
            self._touch(connection, staged, **old | {"tokenizer_version": 0})
        return True

    def _adopt(self, connection: sa.Connection, name: str, staged: str) -> None:
        """Replace the collection's files by those of `staged`; what was said of them stays."""
        old = files.alias()
        is_same = sa.and_(old.c.collection == name, old.c.path == files.c.path)
        trust = sa.select(old.c.is_trusted).where(is_same).scalar_subquery()
        of_staged = sa.update(files).where(files.c.collection == staged)
        connection.execute(of_staged.values(is_trusted=sa.func.coalesce(trust, sa.true())))
        connection.execute(sa.delete(files).where(files.c.collection == name))
        connection.execute(of_staged.values(collection=name))

    def files(self, name: str) -> dict[str, File]:
        """The collection's files by their path."""
        with self._database.read() as connection:
            rows = connection.execute(_FILES, {"wanted": name}).all()
        return {row.path: File(*row) for row in rows}

    def enter(self, name: str, found: Iterable[File], *, average_terms: float) -> None:
        """Write the files as they stand, each in place of what was known of it."""
        rows = [{"collection": name} | asdict(file) for file in found]
        gone = [{"wanted": name, "gone": row["path"]} for row in rows]
        with self._database.transaction() as connection:
            connection.execute(_DROP, gone)
            connection.execute(sa.insert(files), rows)
            self._touch(connection, name, average_terms=average_terms)

    def drop(self, name: str, paths: Iterable[str]) -> None:
        """Strike out files."""
        gone = [{"wanted": name, "gone": path} for path in paths]
        with self._database.transaction() as connection:
            connection.execute(_DROP, gone)
            self._touch(connection, name)

    def whole(self, name: str) -> tuple[Entry, list[File]]:
        """The collection and its files, as they are at one moment."""
        with self._database.read() as connection:
            row = connection.execute(_ENTRY, {"wanted": name}).one_or_none()
            rows = connection.execute(_FILES, {"wanted": name}).all()
        if row is None:
            raise _unknown(name)
        return Entry(*row), [File(*each) for each in rows]

    def admit(self, entry: Entry, found: Iterable[File], *, instead_of: Entry | None) -> None:
        """Enter a collection with all of its files, in one step, in place of another or of none.

        Conflict where somebody else holds the name by now.
        """
        now = self._clock.now_us()
        rows = ({"collection": entry.name} | asdict(file) for file in found)
        with self._database.transaction() as connection:
            row = connection.execute(_ENTRY, {"wanted": entry.name}).one_or_none()
            if (row and row.directory) != (instead_of and instead_of.directory):
                raise taken(entry.name)
            connection.execute(sa.delete(collections).where(collections.c.name == entry.name))
            times = {"created_us": now, "updated_us": now}
            connection.execute(sa.insert(collections), asdict(entry) | times)
            while batch := list(islice(rows, _AT_ONCE)):
                connection.execute(sa.insert(files), batch)

    def directories(self) -> set[str]:
        """Where the indexes of all collections lie."""
        with self._database.read() as connection:
            return set(connection.scalars(_DIRECTORIES))

    def describe(self, name: str, text: str) -> None:
        """Say what the collection is about."""
        change = sa.update(collections).where(collections.c.name == name)
        with self._database.transaction() as connection:
            connection.execute(change.values(description=text))

    def summary(self, size: Callable[[str], int]) -> list[Collection]:
        """Every collection by name, with what is in it; `size` measures a directory."""
        with self._database.read() as connection:
            rows = connection.execute(_SUMMARY).all()
            return [
                Collection(
                    name=row.name,
                    description=row.description,
                    model=row.model,
                    dim=row.dim,
                    engine=row.engine,
                    files=row.files,
                    chunks=row.chunks,
                    size_bytes=size(row.directory),
                    roots=tuple(connection.scalars(_ROOTS, {"wanted": row.name})),
                    created_at=rfc3339(row.created_us),
                    updated_at=rfc3339(row.updated_us),
                    trust=_trust(row.untrusted, row.files),
                )
                for row in rows
            ]

    def scores(self, name: str) -> dict[str, float]:
        """What each question scored the last time."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(scores).where(scores.c.collection == name)).all()
        return {row.question: row.ndcg for row in rows}

    def keep_scores(self, name: str, found: Mapping[str, float]) -> None:
        """Keep what questions scored, in place of what they scored before."""
        rows = [{"collection": name, "question": key, "ndcg": ndcg} for key, ndcg in found.items()]
        with self._database.transaction() as connection:
            connection.execute(sa.delete(scores).where(scores.c.collection == name))
            connection.execute(sa.insert(scores), rows)

    def _touch(self, connection: sa.Connection, name: str, **values: object) -> None:
        change = sa.update(collections).where(collections.c.name == name)
        connection.execute(change.values(updated_us=self._clock.now_us(), **values))


def _trust(untrusted: int, total: int) -> CollectionTrust:
    if not untrusted:
        return "trusted"
    return "untrusted" if untrusted == total else "mixed"


def _unknown(name: str) -> NotFound:
    other = "" if name == "default" else f" -C {name}"
    return NotFound(f"there is no collection {name!r}", hint=f"ai rag index PATH{other}")
