"""Counts that outlive a process."""

from pathlib import Path

import pytest

from localai.core.counters import count, counted
from localai.core.db import Database


def test_counts_add_up_by_their_labels(tmp_path: Path) -> None:
    """In whatever order the labels are given, and another process sees them."""
    file = tmp_path / "localai.db"
    for labels in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"a": "가"}):
        database = Database(file)
        with database.transaction() as connection:
            count(connection, "seen", labels)
            count(connection, "other", {})
        database.close()
    database = Database(file)
    assert counted(database, "seen") == [({"a": "1", "b": "2"}, 2), ({"a": "가"}, 1)]
    assert counted(database, "other") == [({}, 3)]
    assert counted(database, "none") == []
    database.close()


def test_what_did_not_happen_is_not_counted(tmp_path: Path) -> None:
    """A count is part of the transaction of what it counts."""
    database = Database(tmp_path / "localai.db")
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        count(connection, "seen", {})
        connection.exec_driver_sql(str(1 / 0))
    assert counted(database, "seen") == []
    database.close()
