"""The schema that the migrations make is the schema that the code reads."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from localai.core import metrics
from localai.core.counters import counted
from localai.core.db import SCHEMA_VERSION, Database, metadata
from localai.migrations import run

PACKAGE = Path(__file__).parents[2] / "localai"
FIRST_USE = """
import sys
from pathlib import Path
from localai.core.db import Database
database = Database(Path(sys.argv[1]))
print(database.upgrade())
database.close()
"""


@pytest.fixture
def tables() -> sa.MetaData:
    """Every table of every room."""
    for name in ("audit", "counters"):
        importlib.import_module(f"localai.core.{name}")
    for file in sorted(PACKAGE.glob("*/tables.py")):
        importlib.import_module(f"localai.{file.parent.name}.tables")
    return metadata


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Database]:
    """A database as the migrations make it now."""
    database = Database(tmp_path / "data" / "localai.db")
    database.upgrade()
    yield database
    database.close()


def _is_ours(name: str | None, _kind: str, _parents: object) -> bool:
    return not (name or "").startswith("messages_search")


def _schema(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(sa.text("SELECT sql FROM sqlite_schema WHERE sql NOT NULL")))


def test_the_schema_version_is_the_head_of_the_migrations(fresh: Database) -> None:
    """In the code, in Alembic's history and in the file: or no start would migrate."""
    assert int(run.head()) == SCHEMA_VERSION
    assert fresh.version() == SCHEMA_VERSION
    with fresh.read() as connection:
        stamped = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert stamped == run.head()


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_the_migrated_schema_is_that_of_the_tables(fresh: Database, tables: sa.MetaData) -> None:
    """Alembic finds nothing to add, to remove or to change."""
    assert {"users", "audit", "approvals"} <= tables.tables.keys()
    with fresh.read() as connection:
        # FTS5 keeps its index in tables of its own, which no statement of ours names.
        opts = {"compare_type": True, "include_name": _is_ours}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, tables) == []


def test_conversations_of_an_older_version_find_their_projects(tmp_path: Path) -> None:
    """By where they began, if that is still there."""
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    places = [str(tmp_path / "repository"), str(tmp_path / "repository/inner"), "/nowhere"]
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'localai.db'}")
    config = run._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for n, place in enumerate(places):
            connection.exec_driver_sql(
                "INSERT INTO sessions VALUES (?, 'kim', 't', ?, 0, 0)", (str(n), place)
            )
    engine.dispose()
    database = Database(tmp_path / "localai.db")
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT project FROM sessions ORDER BY id").all()
    assert [project for (project,) in found] == [places[0], places[0], ""]
    database.close()


def test_what_an_older_version_did_is_counted(tmp_path: Path) -> None:
    """So that counts and audit agree from the first day; how some runs ended nobody knows."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'localai.db'}")
    config = run._config()
    events = [("tool.ran", "read_file"), ("tool.ran", "read_file"), ("tool.denied", "run_command")]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        connection.exec_driver_sql("INSERT INTO permission_checks VALUES ('denied', 'viewer', 7)")
        for seq, (event, subject) in enumerate([*events, ("config.changed", "log.level")], 1):
            body = f'{{"event":"{event}","subject":"{subject}"}}'
            row = (seq, body, str(seq), str(seq))
            connection.exec_driver_sql("INSERT INTO audit VALUES (?, ?, ?, ?)", row)
        connection.exec_driver_sql("INSERT INTO audit VALUES (5, 'no JSON', '5', '5')")
    engine.dispose()
    database = Database(tmp_path / "localai.db")
    assert counted(database, metrics.CHECKS) == [({"result": "denied", "role": "viewer"}, 7)]
    assert counted(database, metrics.TOOL_RUNS) == [
        ({"status": "denied", "tool": "run_command"}, 1),
        ({"status": "unknown", "tool": "read_file"}, 2),
    ]
    database.close()


def test_upgrading_twice_changes_nothing(fresh: Database) -> None:
    """Neither by the database nor by Alembic itself."""
    before = _schema(fresh)
    assert fresh.upgrade() == SCHEMA_VERSION
    with fresh.transaction():
        pass
    run.upgrade(fresh._connectable())
    assert _schema(fresh) == before


def test_processes_that_migrate_at_once_all_succeed(tmp_path: Path) -> None:
    """One makes the schema, the others find it."""
    command = [sys.executable, "-c", FIRST_USE, str(tmp_path / "localai.db")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = sorted(process.communicate()[0].strip() for process in processes)
    assert found == ["0", str(SCHEMA_VERSION)]


def test_a_migration_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole upgrade is one transaction, and the next start tries again."""
    database = Database(tmp_path / "localai.db")

    def stopped(*_: object) -> None:
        raise KeyError

    with monkeypatch.context() as patched:
        patched.setattr("alembic.op.create_index", stopped)
        with pytest.raises(KeyError):
            database.upgrade()
    assert database.version() == 0
    assert database.upgrade() == 0
    assert database.version() == SCHEMA_VERSION
    database.close()


def test_the_migrations_are_shipped_with_the_package() -> None:
    """Every file of theirs is a module of the package."""
    folder = PACKAGE / "migrations"
    assert (folder / "versions" / "__init__.py").exists()
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} <= {".py", ".pyc"}
