"""The database: one file, one writer at a time. The only file that opens it.

A write is `transaction()`: a file lock, then BEGIN IMMEDIATE, synchronous=FULL. The lock keeps
writing processes from starving each other, and it serialises commits, checkpoints and closes,
which SQLite 3.7.0 to 3.51.2 needs for its WAL (https://sqlite.org/wal.html#walresetbug).
A transaction is one step: none is open while a model talks or a person thinks.
"""

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from localai.core.errors import Conflict, Invalid, Unavailable
from localai.core.files import locked, private_dir

# Ties this code to the head of localai/migrations; the migrations write it as user_version.
SCHEMA_VERSION = 13

metadata = sa.MetaData()

_BUSY_MS = 10_000
# Each of a server's 14 threads may hold a connection and want another.
_KEPT, _LENT = 5, 30
_NETWORK_SYSTEMS = frozenset({"9p", "v9fs", "nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs"})
_AFTER_COMMIT = "localai.after_commit"
_AFTER_RELEASE = "localai.after_release"
_ASKED = "localai.asked"


class Database:
    """The home's SQLite database; opened, created or migrated at the first statement."""

    def __init__(self, path: Path, *, driver: ModuleType | None = None) -> None:
        self.path = path
        self._lock = path.with_suffix(".lock")
        self._driver = driver
        self._engine: sa.Engine | None = None
        self._is_current = False
        self._watch: Any = None
        self._file: tuple[int, int] | None = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One atomic step of writing; committed at the end, rolled back by any exception."""
        engine = self._open()
        afterwards: list[Callable[[], None]] = []
        with _translated(), engine.connect() as connection, locked(self._lock):
            immediate = connection.execution_options(localai_immediate=True)
            actions: list[Callable[[], None]] = []
            connection.info[_AFTER_COMMIT] = actions
            connection.info[_AFTER_RELEASE] = afterwards
            connection.info[_ASKED] = set()
            with immediate.begin():
                yield immediate
            for action in actions:
                action()
        for action in afterwards:
            action()

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent view; what is written inside is thrown away."""
        engine = self._open()
        with _translated(), engine.connect() as connection:
            yield connection

    def stamp(self) -> object:
        """A value that is another one after any change, whoever made it; one thread at a time.

        A file that was put in the place of ours is opened anew; Unavailable where there is none.
        """
        self._open()
        with _translated():
            found = self.path.stat()
            if self._file != (found.st_dev, found.st_ino):
                if self._file is not None:
                    self.close()
                    self._open()
                self._file = (found.st_dev, found.st_ino)
            # It counts what other connections commit, and this one never does.
            # https://sqlite.org/pragma.html#pragma_data_version
            version = self._watched("PRAGMA data_version")
            return version, found.st_ino, found.st_size, found.st_mtime_ns

    def glance(self, query: str) -> object:
        """One value, read where `stamp` looks: cheaper than `read`; after it, by one thread."""
        with _translated():
            return self._watched(query), self._file

    def upgrade(self) -> int:
        """Create or migrate the schema; returns the version that was found, 0 for none."""
        from localai.migrations import run  # noqa: PLC0415 - Alembic costs 200 ms; most starts need none

        with _translated():
            private_dir(self.path.parent)
        with _translated(), locked(self._lock):
            self.path.touch(mode=0o600)
            engine = self._connectable()
            found = _version(engine)
            _refuse_newer(found)
            if found < SCHEMA_VERSION:
                _set_journal(engine, "DELETE" if network_file_system(self.path) else "WAL")
                run.upgrade(engine)
        self._is_current = True
        return found

    def version(self) -> int:
        """The schema version on disk, 0 where there is no database."""
        with _translated():
            return _version(self._connectable()) if self.path.exists() else 0

    def close(self) -> None:
        """Close every connection, under the lock because the last close checkpoints."""
        if self._engine is not None:
            with contextlib.ExitStack() as held:
                # Where no lock can be made, nothing can be checkpointed either.
                with contextlib.suppress(OSError):
                    held.enter_context(locked(self._lock))
                if self._watch is not None:
                    self._watch.close()
                self._engine.dispose()
            self._engine, self._is_current = None, False
            self._watch, self._file = None, None

    @property
    def is_open(self) -> bool:
        """Whether a connection may be held; the next statement opens what is closed."""
        return self._engine is not None

    @property
    def sqlite_version(self) -> str:
        """The version of the SQLite library in use."""
        return str((self._driver or _safest_driver()).sqlite_version)

    def _watched(self, query: str) -> object:
        # Through the driver alone: SQLAlchemy would cost ten times as much.
        try:
            if self._watch is None:
                self._watch = self._connectable().raw_connection()
            return self._watch.cursor().execute(query).fetchone()[0]
        except (self._driver or _safest_driver()).Error as error:
            raise Unavailable("the database cannot be used", hint="ai doctor") from error

    def _open(self) -> sa.Engine:
        if not self._is_current:
            found = self.version()
            _refuse_newer(found)
            if found < SCHEMA_VERSION:
                self.upgrade()
            self._is_current = True
        return self._connectable()

    def _connectable(self) -> sa.Engine:
        if self._engine is not None:
            return self._engine
        self._engine = sa.create_engine(
            f"sqlite:///{self.path}",
            module=self._driver or _safest_driver(),
            connect_args={"timeout": _BUSY_MS / 1000, "isolation_level": None},
            pool_size=_KEPT,
            max_overflow=_LENT - _KEPT,
            pool_use_lifo=True,  # the connection whose cache is the warmest
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        return self._engine


def after_commit(connection: sa.Connection, action: Callable[[], None]) -> None:
    """Run the action once this transaction is on disk, still under the writers' lock."""
    connection.info[_AFTER_COMMIT].append(action)


def after_release(connection: sa.Connection, action: Callable[[], None]) -> None:
    """Run the action once this transaction is on disk, and others can write again."""
    connection.info[_AFTER_RELEASE].append(action)


def is_first(connection: sa.Connection, name: str) -> bool:
    """Tell whether this transaction asks by that name for the first time."""
    asked: set[str] = connection.info[_ASKED]
    return not (name in asked or asked.add(name))  # type: ignore[func-returns-value]


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The type of the file system that the file is on where WAL cannot work on it, else None."""
    kind = file_system(path.parent, mounts)
    return kind if kind in _NETWORK_SYSTEMS else None


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that the folder is on; empty where the system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError:
        return ""
    resolved = str(folder.resolve()) + "/"
    kinds = {
        place: kind
        for place, kind in (_mount(line) for line in lines if line)
        if resolved.startswith(place.rstrip("/") + "/")
    }
    return kinds[max(kinds, key=len)] if kinds else ""


def is_wal_reset_safe(version: tuple[int, int, int]) -> bool:
    """Tell whether this SQLite has the WAL-reset fix (3.44.6, 3.50.7, 3.51.3 and later)."""
    fixed = {(3, 44): 6, (3, 50): 7}
    patch = fixed.get(version[:2])
    return version >= (3, 51, 3) or (patch is not None and version[2] >= patch)


def _mount(line: str) -> tuple[str, str]:
    _, place, kind, *_ = line.split(" ")
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place), kind


def _refuse_newer(found: int) -> None:
    if found > SCHEMA_VERSION:
        message = f"the database is of a newer localai (schema {found}, mine {SCHEMA_VERSION})"
        raise Unavailable(message, hint="pip install --upgrade localai-suite")


def _safest_driver() -> ModuleType:
    if not is_wal_reset_safe(sqlite3.sqlite_version_info):
        with contextlib.suppress(ImportError):
            from pysqlite3 import dbapi2  # noqa: PLC0415 - a wheel for Linux on x86-64 alone

            return dbapi2
    return sqlite3


def _version(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _set_journal(engine: sa.Engine, mode: str) -> None:
    connection = engine.raw_connection()  # the journal cannot change inside a transaction
    try:
        connection.cursor().execute(f"PRAGMA journal_mode = {mode}")
    finally:
        connection.close()


def _prepare(connection: Any, _record: object) -> None:
    # Recursive: else what an INSERT OR REPLACE deletes passes the triggers that keep rows.
    pragmas = (
        "foreign_keys = ON",
        "recursive_triggers = ON",
        "synchronous = FULL",
        "trusted_schema = OFF",
    )
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("localai_immediate"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:  # which takes no lock, and so cannot fail: through the driver alone
        connection.connection.cursor().execute("BEGIN")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except exc.IntegrityError as error:
        message = "the database refused the change"
        raise Conflict(message, hint="look again at what is there now, then retry") from error.orig
    except exc.OperationalError as error:
        if "locked" in str(error.orig):
            message = "the database is locked by another program"
            raise Conflict(message, hint="close what else has it open, then retry") from error.orig
        message = "the database cannot be used"
        raise Unavailable(message, hint="ai doctor") from error.orig
    except exc.DatabaseError as error:
        message = "the database is damaged"
        raise Unavailable(message, hint="ai doctor") from error.orig
    except UnicodeEncodeError as error:
        message = "a text cannot be stored, because it is not Unicode"
        raise Invalid(message, hint="write it in UTF-8") from error
    except OverflowError as error:
        message = "a number is larger than the database can hold"
        raise Invalid(message, hint="use a smaller one") from error
    except OSError as error:
        message = "the database's folder cannot be used"
        raise Unavailable(message, hint="ai doctor") from error
