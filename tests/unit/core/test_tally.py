"""Counts in memory that reach the database in the end."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai.core import counters, metrics
from localai.core.counters import counted
from localai.core.db import Database
from localai.core.tally import Tally


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "localai.db")
    database.upgrade()
    yield database
    database.close()


def test_counts_of_many_threads_add_up(database: Database) -> None:
    """None is lost between two of them, nor while it is being written."""
    tally = Tally(database)

    def work() -> None:
        for _ in range(500):
            tally.count(metrics.FAILOVERS, "m")
            tally.observe(metrics.MODEL_LOAD, 0.5, "m")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        tally.flush()
    for thread in threads:
        thread.join()
    tally.close()
    assert counted(database, metrics.FAILOVERS) == [({"model": "m"}, 2000)]
    with database.read() as connection:
        found = counters.read(connection)
    assert found["localai_model_load_seconds_bucket"] == [({"le": "0.64", "model": "m"}, 2000)]
    assert found["localai_model_load_seconds_sum"] == [({"model": "m"}, 1_000_000_000)]


def test_what_cannot_be_written_is_kept(database: Database) -> None:
    """A count stops nobody's work."""
    tally = Tally(database)
    tally.count(metrics.REMOVED_CITATIONS, by=3)
    with database.read():
        pass
    hidden = database.path.rename(database.path.with_suffix(".away"))
    database.close()
    database.path.write_bytes(b"not a database " * 600)
    tally.flush()
    database.close()
    hidden.replace(database.path)
    with database.read():
        pass
    tally.close()
    assert counted(database, metrics.REMOVED_CITATIONS) == [({}, 3)]


def test_counting_does_not_wait_for_who_writes(database: Database) -> None:
    """An event loop counts, too: it must not stand still while a disk is slow."""
    database.upgrade()
    tally = Tally(database)
    with database.transaction():  # whoever flushes now waits
        tally.count(metrics.REMOVED_CITATIONS)
        flushing = threading.Thread(target=tally.flush)
        flushing.start()
        counting = threading.Thread(target=tally.count, args=(metrics.REMOVED_CITATIONS,))
        counting.start()
        counting.join(timeout=60)
        assert not counting.is_alive()
        assert flushing.is_alive()
    flushing.join()
    tally.close()
    assert counted(database, metrics.REMOVED_CITATIONS) == [({}, 2)]
