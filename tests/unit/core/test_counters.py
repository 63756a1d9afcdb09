"""Counts that outlive a process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from localai.core import counters, metrics
from localai.core.counters import HOUR_US, count, counted, observe
from localai.core.db import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "localai.db")
    yield database
    database.close()


def test_counts_add_up_by_their_labels(tmp_path: Path) -> None:
    """Another process sees them."""
    file = tmp_path / "localai.db"
    for model in ("a", "b", "가", "a"):
        database = Database(file)
        with database.transaction() as connection:
            count(connection, metrics.FAILOVERS, model)
            count(connection, metrics.REMOVED_CITATIONS, by=2)
        database.close()
    database = Database(file)
    assert counted(database, metrics.FAILOVERS) == [
        ({"model": "a"}, 2),
        ({"model": "b"}, 1),
        ({"model": "가"}, 1),
    ]
    assert counted(database, metrics.REMOVED_CITATIONS) == [({}, 8)]
    assert counted(database, metrics.TOKENS) == []
    database.close()


def test_what_did_not_happen_is_not_counted(database: Database) -> None:
    """A count is part of the transaction of what it counts."""
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        count(connection, metrics.REMOVED_CITATIONS)
        connection.exec_driver_sql(str(1 / 0))
    assert counted(database, metrics.REMOVED_CITATIONS) == []


@pytest.mark.parametrize("labels", [("sumin",), (), ("admin", "more")])
def test_labels_that_a_metric_does_not_have_are_a_bug(
    database: Database, labels: tuple[str, ...]
) -> None:
    """They would be a series that no panel shows."""
    with pytest.raises(ValueError, match="role|argument"), database.transaction() as connection:
        count(connection, metrics.ROLE_ASSIGNMENTS, *labels)


def test_too_many_values_of_a_label_become_one(database: Database) -> None:
    """Whoever makes new names, by hand or by a server of tools, cannot fill the database."""
    with database.transaction() as connection:
        for number in range(metrics.MOST_SERIES * 4 + 30):
            count(connection, metrics.TOOL_RUNS, f"tool-{number}", "succeeded")
            observe(connection, metrics.TOOL_DURATION, 0.1, f"tool-{number}")
        count(connection, metrics.TOOL_RUNS, "tool-0", "succeeded")
    runs = {labels["tool"]: times for labels, times in counted(database, metrics.TOOL_RUNS)}
    assert runs["other"] == 30
    assert runs["tool-0"] == 2
    with database.read() as connection:
        sums = counters.read(connection)["mcp_tool_duration_seconds_sum"]
    assert len(sums) == metrics.MOST_SERIES + 1


def test_what_strangers_call_things_is_kept_short_and_visible(database: Database) -> None:
    """A tool of a server, a model of another: no control character, no page of text."""
    with database.transaction() as connection:
        for name in ("x" * 9999, "x" * 200, "\x1b[2J", "\ud800\n", "도구"):
            count(connection, metrics.TOOL_RUNS, name, "failed")
    found = {labels["tool"]: n for labels, n in counted(database, metrics.TOOL_RUNS)}
    assert found == {"x" * 100: 2, "\\u{001B}[2J": 1, "\\u{D800}\\n": 1, "도구": 1}


@pytest.mark.parametrize(
    ("seconds", "edge"),
    [(0, "1.0"), (-5, "1.0"), (1, "1.0"), (1.000001, "5.0"), (600, "600.0"), (600.1, "+Inf")],
)
def test_a_value_is_in_the_first_bucket_that_holds_it(seconds: float, edge: str) -> None:
    """Bounds belong to their bucket, and a clock that was set back makes no negative time."""
    (found, one), (_, total) = counters.observed(metrics.APPROVAL_RESPONSE, seconds)
    assert (found, one) == (edge, 1)
    assert total == round(max(seconds, 0) * 1_000_000)


def test_sums_of_seconds_are_exact(database: Database) -> None:
    """A tenth added ten times is one."""
    with database.transaction() as connection:
        for _ in range(10):
            count(connection, metrics.ENGINE_SECONDS, "m", "decode", by=0.1)
    ((_, spent),) = counted(database, metrics.ENGINE_SECONDS)
    assert spent == 1_000_000


def test_what_was_counted_since_an_hour_is_told(database: Database) -> None:
    """From the beginning of that hour; what began later counts whole."""
    with database.transaction() as connection:
        count(connection, metrics.FAILOVERS, "old", by=7)
        count(connection, metrics.FAILOVERS, "new", by=2)
        connection.execute(sa.delete(counters.counter_hours))
        rows = [("old", 100, 1), ("old", 103, 4), ("new", 103, 0)]
        connection.execute(
            sa.insert(counters.counter_hours),
            [
                {"name": metrics.FAILOVERS.name, "hour": hour, "value": value}
                | {"labels": f'{{"model":"{model}"}}'}
                for model, hour, value in rows
            ],
        )

    def since(hour: float) -> dict[str, int]:
        with database.read() as connection:
            found = counters.read_since(connection, int(hour * HOUR_US))
        return {labels["model"]: n for labels, n in found[metrics.FAILOVERS.name]}

    assert since(99) == {"old": 6, "new": 2}
    assert since(100.9) == {"old": 6, "new": 2}
    assert since(101) == {"old": 3, "new": 2}
    assert since(104) == {"old": 0, "new": 0}


def test_the_database_remembers_each_hour_by_itself(database: Database) -> None:
    """What a count was before its first change in an hour, and no more than three months of it."""
    stale = sa.insert(counters.counter_hours).values(name="x", labels="{}", hour=5, value=1)
    with database.transaction() as connection:
        connection.execute(stale)
        for _ in range(3):
            count(connection, metrics.REMOVED_CITATIONS)
    with database.read() as connection:
        rows = connection.execute(sa.select(counters.counter_hours)).all()
    assert [(row.name, row.value) for row in rows] == [(metrics.REMOVED_CITATIONS.name, 0)]
