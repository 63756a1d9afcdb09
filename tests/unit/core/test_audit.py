"""The audit tells every change of what it holds, and is told every decision."""

import hashlib
import hmac
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import TurnableClock

from localai.core.audit import Audit, Filter, audit_table, epochs
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.errors import Conflict, NotFound, Unavailable
from localai.core.files import write_private
from localai.core.secrets import Secrets

TRIALS = 200 if os.environ.get("PROVE") == "1" else 20
ROWS = 12

WRITER = """
import sys
from pathlib import Path
from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
folder = Path(sys.argv[1])
database = Database(folder / "localai.db")
audit = Audit(database, lambda: b"k" * 32, folder / "anchor", Clock())
for number in range(15):
    with database.transaction() as connection:
        audit.record(connection, "tried", actor="jun", subject=str(number))
database.close()
"""


@pytest.fixture
def recorded(audit: Audit, database: Database) -> Audit:
    """A chain of a dozen events."""
    for number in range(ROWS):
        _record(audit, database, f"event {number}")
    return audit


def _record(audit: Audit, database: Database, subject: str) -> None:
    with database.transaction() as connection:
        audit.record(connection, "tried", actor="sumin", subject=subject, details={"n": 1})


def _anchor(home: Directories) -> Path:
    return home.keys / "audit.anchor"


def test_what_is_recorded_is_read_back(audit: Audit, database: Database, clock: Clock) -> None:
    """Who, what, on what, when, and the details."""
    with database.transaction() as connection:
        audit.record(
            connection, "secret.set", actor="sumin", subject="이메일", details={"a": [1, None]}
        )
    entry = audit.get(1)
    assert (entry.seq, entry.actor, entry.event, entry.subject) == (
        1,
        "sumin",
        "secret.set",
        "이메일",
    )
    assert (entry.details, entry.at) == ({"a": [1, None]}, "2025-10-09T08:53:20.000Z")


def test_an_entry_that_is_not_there_is_not_found(recorded: Audit) -> None:
    """Neither before the first nor after the last."""
    for seq in (0, ROWS + 1):
        with pytest.raises(NotFound, match=f"no audit entry {seq}"):
            recorded.get(seq)


def test_pages_follow_each_other_from_the_newest(recorded: Audit) -> None:
    """Every entry once; the last page has no next."""
    first = recorded.page(limit=5)
    second = recorded.page(limit=5, before=int(first.next or 0))
    last = recorded.page(limit=5, before=int(second.next or 0))
    found = [entry.seq for page in (first, second, last) for entry in page.items]
    assert found == list(range(ROWS, 0, -1))
    assert (first.total, last.next) == (ROWS, None)


def test_an_empty_audit_is_whole(audit: Audit) -> None:
    """A new home has nothing to prove."""
    found = audit.verify()
    assert (found.is_whole, found.entries, found.anchored) == (True, 0, None)
    assert audit.page().items == []


def test_an_untouched_audit_is_whole(recorded: Audit) -> None:
    """And its end is anchored."""
    found = recorded.verify()
    assert (found.problems, found.entries, found.anchored) == ((), ROWS, ROWS)


def test_a_transaction_that_fails_leaves_no_gap(recorded: Audit, database: Database) -> None:
    """Neither a row, nor a sequence that is missing, nor an anchor of a row that never was."""
    with suppress(KeyError), database.transaction() as connection:
        recorded.record(connection, "lost", actor="sumin", subject="lost")
        raise KeyError
    _record(recorded, database, "kept")
    found = recorded.verify()
    assert (found.problems, found.entries, found.anchored) == ((), ROWS + 1, ROWS + 1)


def test_several_events_of_one_transaction_are_chained(audit: Audit, database: Database) -> None:
    """Each to the one before it, and the anchor names the last."""
    with database.transaction() as connection:
        for number in range(3):
            audit.record(connection, "tried", actor="sumin", subject=str(number))
    found = audit.verify()
    assert (found.problems, found.anchored) == ((), 3)


def test_a_decision_that_cannot_be_recorded_is_rolled_back(
    database: Database, home: Directories, clock: Clock
) -> None:
    """Without the key there is no row, and without the row there is no decision."""

    def lost() -> bytes:
        raise Unavailable("the OS keyring does not answer")

    audit = Audit(database, lost, _anchor(home), clock)
    with suppress(Unavailable), database.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO users VALUES ('jun', 0, 0, 1)")
        audit.record(connection, "tried", actor="sumin", subject="x")
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM users").scalar() == 0


def test_an_anchor_that_lags_is_accepted(
    recorded: Audit, database: Database, home: Directories
) -> None:
    """A kill between commit and anchor leaves an older anchor, which is still true."""
    older = _anchor(home).read_bytes()
    _record(recorded, database, "killed after the commit")
    _anchor(home).write_bytes(older)
    found = recorded.verify()
    assert (found.problems, found.entries, found.anchored) == ((), ROWS + 1, ROWS)


@pytest.mark.parametrize("content", [None, b"", b"no anchor", b"\xff\xfe"])
def test_a_missing_or_unreadable_anchor_is_a_problem(
    recorded: Audit, home: Directories, content: bytes | None
) -> None:
    """Removing it must not be a way round it."""
    _anchor(home).unlink()
    if content is not None:
        _anchor(home).write_bytes(content)
    assert recorded.verify().problems == ("the anchor is missing or unreadable",)


def test_another_key_proves_nothing(recorded: Audit, database: Database, home: Directories) -> None:
    """A chain made with a key of one's own is not ours."""
    other = Audit(database, lambda: b"x" * 32, _anchor(home), Clock())
    found = other.verify()
    assert (found.first_bad, found.tampering) == (1, "rehashed")


def test_four_processes_write_one_chain(tmp_path: Path, migrated: Path) -> None:
    """Sixty rows, no gap, no fork."""
    write_private(tmp_path / "localai.db", migrated.read_bytes())
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    database = Database(tmp_path / "localai.db")
    found = Audit(database, lambda: b"k" * 32, tmp_path / "anchor", Clock()).verify()
    database.close()
    assert (found.problems, found.entries, found.anchored) == ((), 60, 60)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET body = '{}' WHERE seq = 3", "DELETE FROM audit WHERE seq = 3"]
)
def test_the_database_itself_refuses_to_change_a_row(
    recorded: Audit, database: Database, statement: str
) -> None:
    """Through whatever connection."""
    with pytest.raises(Conflict) as caught, database.transaction() as connection:
        connection.exec_driver_sql(statement)
    assert caught.value.causes == ["the audit is append-only"]
    assert recorded.verify().is_whole


# Six classes of tampering, by someone who may write the database's file but has no key.
Rows = list[list[object]]


def _edit(rows: Rows, chance: random.Random) -> Rows:
    row = chance.choice(rows)
    body = str(row[1])
    at = chance.randrange(len(body))
    row[1] = body[:at] + chr((ord(body[at]) + 1) % 128) + body[at + 1 :]
    return rows


def _delete(rows: Rows, chance: random.Random) -> Rows:
    del rows[chance.randrange(len(rows) - 1)]
    return rows


def _swap(rows: Rows, chance: random.Random) -> Rows:
    one, other = chance.sample(range(len(rows)), 2)
    rows[one][1:], rows[other][1:] = rows[other][1:], rows[one][1:]
    return rows


def _insert(rows: Rows, chance: random.Random) -> Rows:
    at = chance.randrange(len(rows))
    copied = [rows[at][0], *chance.choice(rows)[1:]]
    later = [[int(str(row[0])) + 1, *row[1:]] for row in rows[at:]]
    return [*rows[:at], copied, *later]


def _truncate(rows: Rows, chance: random.Random) -> Rows:
    return rows[: chance.randrange(len(rows))]


def _rehash(rows: Rows, chance: random.Random) -> Rows:
    rows = _edit(rows, chance)
    prev, guessed = "0" * 64, chance.randbytes(32)
    for row in rows:
        row[2] = prev
        row[3] = prev = hmac.new(guessed, f"{prev}{row[1]}".encode(), hashlib.sha256).hexdigest()
    return rows


TAMPERINGS = {
    "edit": _edit,
    "delete": _delete,
    "swap": _swap,
    "insert": _insert,
    "truncate": _truncate,
    "rehash": _rehash,
}


def _rewrite(database: Database, change: Callable[[Rows], Rows]) -> None:
    database.close()  # two SQLite libraries in one process must not hold one file
    connection = sqlite3.connect(database.path, isolation_level=None)
    connection.execute("DROP TRIGGER IF EXISTS audit_refuses_update")
    connection.execute("DROP TRIGGER IF EXISTS audit_refuses_delete")
    rows = change([list(row) for row in connection.execute("SELECT * FROM audit ORDER BY seq")])
    connection.execute("BEGIN")
    connection.execute("DELETE FROM audit")
    connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    connection.close()


@pytest.mark.counted
@pytest.mark.parametrize("name", TAMPERINGS)
def test_every_class_of_tampering_is_caught(name: str, recorded: Audit, database: Database) -> None:
    """Many seeded trials of each; the original, put back, is whole again."""
    original: Rows = []
    _rewrite(database, lambda rows: [original.append(list(row)) or row for row in rows])
    caught = []
    for trial in range(TRIALS):
        tampered = TAMPERINGS[name]([*map(list, original)], random.Random(f"{name} {trial}"))
        _rewrite(database, lambda _, rows=tampered: rows)
        caught.append(not recorded.verify().is_whole)
    assert caught == [True] * TRIALS
    _rewrite(database, lambda _: original)
    assert recorded.verify().is_whole


def test_each_problem_is_named(recorded: Audit, database: Database) -> None:
    """A cut tail says how much is gone; an edit says which row."""
    _rewrite(database, lambda rows: rows[:-2])
    assert recorded.verify().problems == ("2 of the newest rows are gone",)
    _rewrite(database, lambda _: [])
    assert recorded.verify().problems == (f"{ROWS} of the newest rows are gone",)


def test_a_tail_that_was_cut_and_grown_again_is_caught(
    recorded: Audit, database: Database, home: Directories
) -> None:
    """The row at the anchored place has the right chain but is not the anchored one."""
    anchored = _anchor(home).read_bytes()
    _rewrite(database, lambda rows: rows[:-1])
    _anchor(home).unlink()
    _record(recorded, database, "written after the cut")
    _anchor(home).write_bytes(anchored)
    found = recorded.verify()
    assert found.problems[0].startswith(f"row {ROWS} is not the one that was anchored")
    assert found.tampering == "rewritten"


def test_a_body_that_is_no_json_is_caught(recorded: Audit, database: Database) -> None:
    """Verification reads what it finds, and survives it."""

    def broken(rows: Rows) -> Rows:
        rows[4][1] = '{"seq": 5'
        return rows

    _rewrite(database, broken)
    found = recorded.verify()
    assert found.problems == ("row 5 is not as it was written: its text or its MAC was edited",)


def test_the_statement_of_the_table_is_the_chain(audit: Audit, database: Database) -> None:
    """mac = HMAC-SHA256(key, previous mac and body), recomputed here by hand."""
    _record(audit, database, "one")
    _record(audit, database, "two")
    key = audit._key()
    with database.read() as connection:
        rows = connection.execute(sa.select(audit_table).order_by(audit_table.c.seq)).all()
    assert rows[0].prev == "0" * 64
    assert rows[1].prev == rows[0].mac
    expected = hmac.digest(key, f"{rows[1].prev}{rows[1].body}".encode(), "sha256").hex()
    assert rows[1].mac == expected


def _shown(recorded: Audit, rows: Rows, database: Database) -> tuple[str | None, int | None]:
    _rewrite(database, lambda _: rows)
    found = recorded.verify()
    return found.tampering, found.first_bad


@pytest.fixture
def rows(recorded: Audit, database: Database) -> Rows:
    original: Rows = []
    _rewrite(database, lambda rows: [original.append(list(row)) or row for row in rows])
    return original


@pytest.mark.parametrize("at", [0, 3, ROWS - 2, ROWS - 1])
def test_an_edit_is_called_one(recorded: Audit, database: Database, rows: Rows, at: int) -> None:
    """Of the text, and of the MAC."""
    rows[at][1] = str(rows[at][1]).replace("sumin", "sumim")
    assert _shown(recorded, rows, database) == ("edited", at + 1)


def test_an_edited_mac_is_an_edit(recorded: Audit, database: Database, rows: Rows) -> None:
    """The rows after it are as they were."""
    rows[-1][3] = "0" * 64
    assert _shown(recorded, rows, database) == ("edited", ROWS)


@pytest.mark.parametrize("at", [0, 3, ROWS - 2])
@pytest.mark.parametrize("is_renumbered", [False, True])
def test_a_deletion_is_called_one(
    recorded: Audit, database: Database, rows: Rows, at: int, is_renumbered: bool
) -> None:
    """With a gap in the numbers, and with none."""
    del rows[at]
    if is_renumbered:
        rows = [[n, *row[1:]] for n, row in enumerate(rows, 1)]
    bad = at + 1 if is_renumbered else at + 2
    assert _shown(recorded, rows, database) == ("deleted", bad)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (2, 5), (0, ROWS - 1), (ROWS - 2, ROWS - 1)])
def test_a_swap_is_called_one(
    recorded: Audit, database: Database, rows: Rows, one: int, other: int
) -> None:
    """Of neighbours, and of rows far apart."""
    rows[one][1:], rows[other][1:] = rows[other][1:], rows[one][1:]
    assert _shown(recorded, rows, database) == ("swapped", one + 1)


@pytest.mark.parametrize("at", [0, 3, ROWS - 1, ROWS])
@pytest.mark.parametrize("is_forged", [False, True])
def test_an_insertion_is_called_one(
    recorded: Audit, database: Database, rows: Rows, at: int, is_forged: bool
) -> None:
    """Of a copy, and of one made up, at any place and at the end."""
    new = ["{}", "1" * 64, "2" * 64] if is_forged else rows[(at + 2) % ROWS][1:]
    rows = [[n, *row[1:]] for n, row in enumerate([*rows[:at], [0, *new], *rows[at:]], 1)]
    tampering, bad = _shown(recorded, rows, database)
    assert bad == at + 1
    if at < ROWS or is_forged:
        assert tampering == "inserted"


@pytest.mark.parametrize("kept", [0, 1, ROWS - 1])
def test_a_cut_end_is_called_one(
    recorded: Audit, database: Database, rows: Rows, kept: int
) -> None:
    """The anchor remembers how many there were."""
    assert _shown(recorded, rows[:kept], database) == ("truncated", kept + 1)


def test_a_chain_made_anew_is_told_from_an_edit(
    recorded: Audit, database: Database, rows: Rows, secrets: Secrets
) -> None:
    """Without the key; and with it, where the anchor is another."""
    assert _shown(recorded, _rehash(rows, random.Random(1)), database) == ("rehashed", 1)
    prev = "0" * 64
    for row in rows:
        row[1] = str(row[1]).replace("sumin", "sumim")
        row[2] = prev
        message = f"{prev}{row[1]}".encode()
        row[3] = prev = hmac.new(secrets.key("audit-key"), message, hashlib.sha256).hexdigest()
    assert _shown(recorded, rows, database) == ("rewritten", ROWS)


@pytest.mark.parametrize(
    ("about", "subjects"),
    [
        (Filter(actor="jun"), ["b", "write_file"]),
        (Filter(action="approval"), ["a", "b"]),
        (Filter(action="approval.approved"), ["b"]),
        (Filter(action="appro"), []),
        (Filter(tool="write_file"), ["b", "write_file"]),
        (Filter(since_us=2_000_000), ["write_file", "k"]),
        (Filter(until_us=2_000_000), ["a", "b"]),
        (Filter(actor="jun", tool="write_file", since_us=2_000_000), ["write_file"]),
        (Filter(), ["a", "b", "write_file", "k"]),
    ],
)
def test_entries_are_found_by_who_what_and_when(
    audit: Audit, database: Database, clock: TurnableClock, about: Filter, subjects: list[str]
) -> None:
    """In pages from the newest, and all of them from the oldest."""
    events = [
        ("approval.requested", "sumin", "a", {"tool": "read_file"}),
        ("approval.approved", "jun", "b", {"tool": "write_file"}),
        ("tool.ran", "jun", "write_file", {}),
        ("key.created", "sumin", "k", {}),
    ]
    for second, (event, actor, subject, details) in enumerate(events):
        clock.wall_us = second * 1_000_000
        with database.transaction() as connection:
            audit.record(connection, event, actor=actor, subject=subject, details=details)
    assert [entry.subject for entry in audit.all(about)] == subjects
    first = audit.page(limit=1, about=about)
    assert first.total == len(subjects)
    assert [entry.subject for entry in first.items] == subjects[-1:]
    if len(subjects) > 1:
        second_page = audit.page(limit=5, before=int(first.next or ""), about=about)
        assert [entry.subject for entry in second_page.items] == subjects[-2::-1]


def test_others_are_found_beside_a_row_that_is_no_json(
    recorded: Audit, database: Database, rows: Rows
) -> None:
    """Looking must work when it is needed most."""
    rows[3][1] = "no json"
    _rewrite(database, lambda _: rows)
    assert recorded.page(about=Filter(actor="sumin")).total == ROWS - 1


@pytest.mark.parametrize("kept", [0, 3, ROWS - 1])
def test_nothing_is_written_onto_an_end_that_was_cut(
    recorded: Audit, database: Database, rows: Rows, kept: int, home: Directories
) -> None:
    """Else the anchor would move, and what is gone could not be noticed any more."""
    _rewrite(database, lambda _: rows[:kept])
    anchored = _anchor(home).read_bytes()
    with pytest.raises(Unavailable, match="end of the audit is gone"):
        _record(recorded, database, "more")
    assert _anchor(home).read_bytes() == anchored
    assert recorded.verify().tampering == "truncated"


def test_nothing_is_written_onto_another_end(
    recorded: Audit, database: Database, rows: Rows
) -> None:
    """Of the same length."""
    rows[-1][3] = "0" * 64
    _rewrite(database, lambda _: rows)
    with pytest.raises(Unavailable, match="not the one that was written"):
        _record(recorded, database, "more")


def test_an_older_copy_goes_on_when_somebody_says_so_and_in_a_new_epoch(
    recorded: Audit, database: Database, rows: Rows, home: Directories
) -> None:
    """By removing the anchor; the audit tells that it was gone."""
    _rewrite(database, lambda _: rows[:5])
    _anchor(home).unlink()
    _record(recorded, database, "more")
    events = [entry.event for entry in recorded.page().items]
    assert events[:2] == ["tried", "audit.anchor-lost"]
    assert recorded.verify().is_whole
    with database.read() as connection:
        assert connection.scalar(sa.select(epochs.c.epoch)) == 1
    _record(recorded, database, "and more")
    with database.read() as connection:
        assert connection.scalar(sa.select(epochs.c.epoch)) == 1


@pytest.mark.parametrize("to", [-1, 0, 2])
def test_an_epoch_only_rises(database: Database, to: int) -> None:
    """By one, and it is never gone."""
    with pytest.raises(Conflict), database.transaction() as connection:
        connection.execute(sa.update(epochs).values(epoch=to))
    with pytest.raises(Conflict), database.transaction() as connection:
        connection.execute(sa.delete(epochs))
