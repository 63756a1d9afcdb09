"""What the database knows of collections and their files: the room's only SQL."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from localai.core.clock import Clock, rfc3339
from localai.core.db import Database
from localai.core.errors import NotFound
from localai.rag.records import Collection
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


@dataclass(frozen=True)
class File:
    """A file of a collection; an empty `sha256` marks one that was begun and not finished."""

    path: str
    root: str
    source: str
    sha256: str = ""
    chunks: int = 0


_ENTRY_COLUMNS = [collections.c[name] for name in Entry.__dataclass_fields__]
_FILE_COLUMNS = [files.c[name] for name in File.__dataclass_fields__]
_ENTRY = sa.select(*_ENTRY_COLUMNS).where(collections.c.name == sa.bindparam("wanted"))
_FILES = sa.select(*_FILE_COLUMNS).where(files.c.collection == sa.bindparam("wanted"))
_DROP = sa.delete(files).where(
    files.c.collection == sa.bindparam("wanted"), files.c.path == sa.bindparam("gone")
)
_SUMMARY = (
    sa.select(
        collections,
        sa.func.count(files.c.path).label("files"),
        sa.func.coalesce(sa.func.sum(files.c.chunks), 0).label("chunks"),
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
            other = "" if name == "default" else f" -C {name}"
            message = f"there is no collection {name!r}"
            raise NotFound(message, hint=f"ai rag index PATH{other}")
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

    def directories(self) -> set[str]:
        """The folders that hold an index, by name."""
        with self._database.read() as connection:
            return set(connection.scalars(_DIRECTORIES))

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

    def summary(self) -> list[Collection]:
        """Every collection by name, with what is in it."""
        with self._database.read() as connection:
            rows = connection.execute(_SUMMARY).all()
            return [
                Collection(
                    name=row.name,
                    model=row.model,
                    dim=row.dim,
                    engine=row.engine,
                    files=row.files,
                    chunks=row.chunks,
                    roots=tuple(connection.scalars(_ROOTS, {"wanted": row.name})),
                    created_at=rfc3339(row.created_us),
                    updated_at=rfc3339(row.updated_us),
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

    def _touch(self, connection: sa.Connection, name: str, **values: float) -> None:
        change = sa.update(collections).where(collections.c.name == name)
        connection.execute(change.values(updated_us=self._clock.now_us(), **values))
