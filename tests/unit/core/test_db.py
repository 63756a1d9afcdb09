"""The database: one writer at a time, all or nothing, and honest about what it finds."""

import importlib
import platform
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from localai.core import db
from localai.core.audit import audit_table
from localai.core.db import (
    SCHEMA_VERSION,
    Database,
    after_commit,
    file_system,
    network_file_system,
)
from localai.core.directories import Directories
from localai.core.errors import Conflict, Invalid, Unavailable
from localai.rbac.tables import user_roles, users

ROW = {"created_us": 1, "is_disabled": False, "is_operator": False}

WORKER = """
import importlib, sys
from pathlib import Path
import sqlalchemy as sa
from localai.core.db import Database
from localai.rbac.tables import users
database = Database(Path(sys.argv[1]), driver=importlib.import_module(sys.argv[2]))
for _ in range(50):
    with database.transaction() as connection:
        count = connection.scalar(sa.select(users.c.created_us).where(users.c.id == "counter"))
        connection.execute(
            sa.update(users).where(users.c.id == "counter").values(created_us=count + 1)
        )
database.close()
"""
FIRST_USE = """
import sys
from pathlib import Path
from localai.core.db import Database
database = Database(Path(sys.argv[1]))
with database.read() as connection:
    print(connection.exec_driver_sql("SELECT count(*) FROM users").scalar())
database.close()
"""


# The newer SQLite is required exactly where pyproject.toml requires it.
HAS_NEWER = sys.platform == "linux" and platform.machine() == "x86_64"
DRIVERS = ["sqlite3", *(["pysqlite3.dbapi2"] if HAS_NEWER else [])]


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> ModuleType:
    """Python's own SQLite, and the newer one where its wheel exists."""
    return importlib.import_module(request.param)


@pytest.fixture
def opened(home: Directories, driver: ModuleType) -> Iterator[Database]:
    """A database of one driver."""
    database = Database(home.database_file, driver=driver)
    yield database
    database.close()


def _names(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(users.c.id).order_by(users.c.id)))


def _used(database: Database, how: str) -> object:
    found = getattr(database, how)()
    return found.__enter__() if how in {"read", "transaction"} else found


def _add(connection: sa.Connection, name: str) -> None:
    connection.execute(sa.insert(users), {"id": name, **ROW})


def test_a_transaction_keeps_all_that_it_wrote(opened: Database) -> None:
    """The next connection sees it."""
    with opened.transaction() as connection:
        _add(connection, "jun")
        _add(connection, "mina")
    assert _names(opened) == ["jun", "mina"]


def test_a_transaction_that_fails_keeps_nothing(opened: Database) -> None:
    """Whatever the exception, and it reaches the caller as it was raised."""
    with pytest.raises(KeyError), opened.transaction() as connection:
        _add(connection, "jun")
        raise KeyError
    assert _names(opened) == []


def test_what_a_reader_writes_is_thrown_away(opened: Database) -> None:
    """Only a transaction changes the database."""
    with opened.read() as connection:
        _add(connection, "jun")
    assert _names(opened) == []


def test_a_reader_sees_one_moment(opened: Database) -> None:
    """What is committed meanwhile belongs to the next reading."""
    count = sa.select(sa.func.count()).select_from(users)
    with opened.read() as reader:
        before = reader.scalar(count)
        with opened.transaction() as writer:
            _add(writer, "jun")
        assert (before, reader.scalar(count)) == (0, 0)
    assert _names(opened) == ["jun"]


def test_every_thread_of_a_server_may_hold_a_connection_and_want_another(
    opened: Database,
) -> None:
    """None of them waits for what another one holds."""
    threads = 18
    all_hold_one = threading.Barrier(threads)

    def reads(_: int) -> int:
        with opened.read() as connection:
            all_hold_one.wait(timeout=20)
            with opened.read() as another:
                assert another is not connection
                return int(another.exec_driver_sql("SELECT 1").scalar_one())

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(reads, range(threads))) == [1] * threads


def test_actions_after_the_commit_run_in_their_order(opened: Database) -> None:
    """Once, when the rows are on disk."""
    seen = []
    with opened.transaction() as connection:
        _add(connection, "jun")
        after_commit(connection, lambda: seen.append(("first", _names(opened))))
        after_commit(connection, lambda: seen.append(("second", _names(opened))))
        assert seen == []
    assert seen == [("first", ["jun"]), ("second", ["jun"])]
    with opened.transaction():
        pass
    assert len(seen) == 2


def test_actions_of_a_transaction_that_failed_never_run(opened: Database) -> None:
    """Neither then nor with the next one."""
    seen: list[str] = []
    with suppress(KeyError), opened.transaction() as connection:
        after_commit(connection, lambda: seen.append("done"))
        raise KeyError
    with opened.transaction() as connection:
        _add(connection, "jun")
    assert seen == []


def test_four_writing_processes_lose_no_update(opened: Database, driver: ModuleType) -> None:
    """50 times each: read, add one, write."""
    with opened.transaction() as connection:
        connection.execute(sa.insert(users), {"id": "counter", **ROW, "created_us": 0})
    command = [sys.executable, "-c", WORKER, str(opened.path), driver.__name__]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    with opened.read() as connection:
        assert connection.scalar(sa.select(users.c.created_us)) == 200


def test_processes_that_meet_at_first_use_share_one_database(home: Directories) -> None:
    """One makes it, the others wait and use it."""
    command = [sys.executable, "-c", FIRST_USE, str(home.database_file)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == ["0"] * 3
    assert [process.returncode for process in processes] == [0] * 3


def test_decisions_are_synced_and_references_hold(opened: Database) -> None:
    """WAL, synchronous=FULL, foreign keys on: on every connection."""
    with opened.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
    }


def test_a_change_that_the_database_refuses_is_a_conflict(opened: Database) -> None:
    """With the database's own reason as the cause."""
    with (
        pytest.raises(Conflict, match="refused the change") as caught,
        opened.transaction() as connection,
    ):
        connection.execute(sa.insert(user_roles), {"user_id": "nobody", "role": "admin"})
    assert caught.value.causes == ["FOREIGN KEY constraint failed"]
    with opened.transaction() as connection:
        _add(connection, "jun")
    with pytest.raises(Conflict), opened.transaction() as connection:
        _add(connection, "jun")


def test_a_number_that_the_database_cannot_hold_is_invalid(opened: Database) -> None:
    """A cursor or a sequence of 30 digits is an input error, not a bug."""
    query = sa.select(audit_table.c.body).where(audit_table.c.seq == 10**30)
    with pytest.raises(Invalid, match="larger than the database"), opened.read() as connection:
        connection.scalar(query)


def test_a_database_that_another_program_locks_is_a_conflict(
    opened: Database, driver: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the busy timeout; then it works again."""
    opened.upgrade()
    opened.close()
    monkeypatch.setattr(db, "_BUSY_MS", 1)
    other = driver.connect(opened.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Conflict, match="locked by another program"), opened.transaction():
        pass
    other.execute("ROLLBACK")
    other.close()
    with opened.transaction() as connection:
        _add(connection, "jun")


@pytest.mark.parametrize("first", ["version", "read", "transaction", "upgrade"])
def test_a_newer_database_is_refused(opened: Database, driver: ModuleType, first: str) -> None:
    """Whatever is called first, and nothing in it is changed."""
    opened.upgrade()
    opened.close()
    connection = driver.connect(opened.path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(Unavailable, match="of a newer localai") as caught:
        (_used(opened, first), _names(opened))
    assert caught.value.hint == "pip install --upgrade localai-suite"
    assert opened.version() == SCHEMA_VERSION + 1


def test_an_older_database_is_migrated_after_its_version_was_read(
    home: Directories, driver: ModuleType
) -> None:
    """Reading the version opens the file, and that is not yet using it."""
    home.data.mkdir(parents=True)
    driver.connect(home.database_file).close()
    home.database_file.touch()
    database = Database(home.database_file, driver=driver)
    assert database.version() == 0
    assert _names(database) == []
    assert database.version() == SCHEMA_VERSION
    database.close()


@pytest.mark.parametrize(
    "content", [b"not a database " * 600, b"SQLite format 3\0" + b"\xff" * 8000]
)
def test_a_damaged_file_is_told_and_never_written_over(
    home: Directories, driver: ModuleType, content: bytes
) -> None:
    """Whatever is tried on it."""
    home.data.mkdir(parents=True)
    home.database_file.write_bytes(content)
    for use in ("version", "upgrade", "transaction", "read"):
        database = Database(home.database_file, driver=driver)
        with pytest.raises(Unavailable) as caught:
            _used(database, use)
        assert caught.value.hint == "ai doctor"
        assert caught.value.causes
        database.close()
    assert home.database_file.read_bytes() == content


def test_a_page_that_is_damaged_is_told(opened: Database) -> None:
    """Even where the header is sound."""
    opened.upgrade()
    opened.close()
    content = opened.path.read_bytes()
    opened.path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(Unavailable, match="damaged"):
        _names(opened)


def test_a_folder_that_cannot_be_used_is_unavailable(home: Directories) -> None:
    """A file stands where the folder should be, say."""
    home.data.parent.mkdir()
    home.data.write_text("")
    with pytest.raises(Unavailable, match="folder cannot be used"):
        Database(home.database_file).upgrade()


def test_every_file_of_the_database_is_the_owners_alone(opened: Database) -> None:
    """The log and the shared memory beside it too."""
    with opened.transaction() as connection:
        _add(connection, "jun")
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in opened.path.parent.iterdir()
        }
    assert modes == {f"localai.{end}": 0o600 for end in ("db", "db-wal", "db-shm", "lock")}
    assert stat.S_IMODE(opened.path.parent.stat().st_mode) == 0o700


def test_upgrading_again_finds_the_newest_schema(opened: Database) -> None:
    """And changes nothing."""
    assert (opened.upgrade(), opened.upgrade()) == (0, SCHEMA_VERSION)
    opened.close()
    assert (opened.version(), opened.upgrade()) == (SCHEMA_VERSION, SCHEMA_VERSION)


def test_asking_for_the_version_makes_nothing(opened: Database) -> None:
    """`ai doctor` may look at a home that does not exist."""
    assert opened.version() == 0
    assert not opened.path.parent.exists()


def test_a_closed_database_opens_again(opened: Database) -> None:
    """Closing twice is harmless."""
    with opened.transaction() as connection:
        _add(connection, "jun")
    opened.close()
    opened.close()
    assert _names(opened) == ["jun"]


def test_a_network_file_system_gets_the_rollback_journal(
    home: Directories, driver: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WAL needs shared memory, which it has not."""
    monkeypatch.setattr(db, "network_file_system", lambda _path: "9p")
    database = Database(home.database_file, driver=driver)
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
    with database.transaction() as connection:
        _add(connection, "jun")
    assert _names(database) == ["jun"]
    database.close()


MOUNTS = r"""
/dev/sda1 / ext4 rw,relatime 0 0
E:\134 /mnt/e 9p rw,noatime,aname=drvfs 0 0
server:/export /srv/nfs nfs4 rw 0 0
//server/share /mnt/my\040disk cifs rw 0 0
/dev/sdb1 /srv/nfs/local ext4 rw 0 0
server:/hidden /over nfs rw 0 0
/dev/sdc1 /over xfs rw 0 0
""".lstrip()


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/home/jun/localai.db", None),
        ("/mnt/e/home/localai.db", "9p"),
        ("/mnt/e/localai.db", "9p"),
        ("/mnt/elsewhere/localai.db", None),
        ("/srv/nfs/a/localai.db", "nfs4"),
        ("/srv/nfs/local/a/localai.db", None),
        ("/mnt/my disk/localai.db", "cifs"),
        ("/over/localai.db", None),
    ],
)
def test_the_innermost_and_latest_mount_decides(
    tmp_path: Path, place: str, kind: str | None
) -> None:
    """The table of mounts is read as the kernel writes it, escapes included."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert network_file_system(Path(place), mounts) == kind


def test_without_a_table_of_mounts_a_disk_is_taken_for_local(tmp_path: Path) -> None:
    """macOS has none."""
    assert network_file_system(tmp_path / "localai.db", tmp_path / "none") is None
    assert file_system(tmp_path, tmp_path / "none") == ""


def test_a_folder_that_is_a_mount_itself_has_its_type(tmp_path: Path) -> None:
    """Unlike a file, it is not on what its parent is on."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert (file_system(Path("/srv/nfs"), mounts), file_system(Path("/srv"), mounts)) == (
        "nfs4",
        "ext4",
    )


@pytest.mark.parametrize(
    ("version", "is_safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_the_versions_with_the_wal_reset_fix_are_known(
    version: tuple[int, int, int], is_safe: bool
) -> None:
    """3.44.6, 3.50.7, 3.51.3 and later."""
    assert db.is_wal_reset_safe(version) is is_safe


def test_the_safest_sqlite_at_hand_is_used(
    home: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard library's where it has the fix, else the newer one, else the library's."""
    database = Database(home.database_file)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert database.sqlite_version == sqlite3.sqlite_version
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    monkeypatch.setitem(sys.modules, "pysqlite3", None)
    assert database.sqlite_version == sqlite3.sqlite_version
    monkeypatch.setitem(sys.modules, "pysqlite3", ModuleType("pysqlite3"))
    newer = ModuleType("dbapi2")
    newer.sqlite_version = "3.53.4"
    sys.modules["pysqlite3"].dbapi2 = newer
    assert database.sqlite_version == "3.53.4"


def test_a_text_that_is_not_unicode_is_invalid(opened: Database) -> None:
    """As a name of bytes reaches us from the command line."""
    query = sa.select(users.c.id).where(users.c.id == "\udcff")
    with pytest.raises(Invalid, match="not Unicode"), opened.read() as connection:
        connection.execute(query)


def test_a_database_whose_folder_went_away_closes(opened: Database) -> None:
    """Closing comes last and must not hide what went wrong before."""
    opened.upgrade()
    opened.path.parent.rename(opened.path.parent.with_name("gone"))
    opened.close()


def test_replacing_a_row_does_not_pass_its_guards(opened: Database) -> None:
    """What INSERT OR REPLACE deletes by the row's number is deleted as far as triggers go."""
    row = "('{id}', 'deleted', '', '', '', 'low', '', '', 'human', '', '', 1, 0, 0, '', 0, {state})"
    names = (
        "id, tool, action, proposed_arguments, action_sha256, risk, permission, user_id, "
        "requester_kind, policy_rule, sandbox, needed, created_us, expires_us, boot_id, mono_us, "
        "state, version, rowid"
    )
    insert = f"INSERT OR REPLACE INTO approvals ({names}) VALUES {row}"
    state = "'pending', 1, 7"
    with opened.transaction() as connection:
        connection.exec_driver_sql(insert.format(id="a", state=state))
    with pytest.raises(Conflict), opened.transaction() as connection:
        connection.exec_driver_sql(insert.format(id="b", state=state))
