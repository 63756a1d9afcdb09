"""The triggers: they hold for whoever has the database open."""

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from approvals_home import Home, TurnableClock, action, build

from localai.approvals.tables import TRANSITIONS, approval_votes, approvals

_LATER = (
    "decided_us = coalesce(decided_us, 1), decided_by = coalesce(decided_by, 'x'), "
    "grant_expires_us = coalesce(grant_expires_us, 1), "
    "grant_boot_id = coalesce(grant_boot_id, 'x'), grant_mono_us = coalesce(grant_mono_us, 1), "
    "claimed_by = coalesce(claimed_by, 'x'), claimed_us = coalesce(claimed_us, 1), "
    "finished_us = coalesce(finished_us, 1)"
)
_PAIRS = list(itertools.product(TRANSITIONS, TRANSITIONS))
_LEGAL = [pair for pair in _PAIRS if pair[1] in TRANSITIONS[pair[0]]]
_ILLEGAL = [pair for pair in _PAIRS if pair[1] not in TRANSITIONS[pair[0]]]
_FIXED = [
    "id",
    "tool",
    "action",
    "proposed_arguments",
    "action_sha256",
    "permission",
    "user_id",
    "session",
    "reason",
    "policy_rule",
    "sandbox",
    "boot_id",
]
_FIXED_NUMBERS = ["needed", "created_us", "expires_us", "mono_us"]
_WRITTEN = [
    "decided_us",
    "decided_by",
    "decision_reason",
    "grant_expires_us",
    "grant_boot_id",
    "grant_mono_us",
    "claimed_by",
    "claimed_us",
]


def _row_in_each_state(home: Home, clock: TurnableClock) -> dict[str, str]:
    desk, kim = home.approvals, home.operator
    expired = home.open()
    clock.pass_time(301)
    desk.sweep()
    ids = {"expired": expired.id}
    ids["pending"] = home.open().id
    ids["approved"] = home.approve(home.open()).id
    ids["rejected"] = desk.reject(kim, home.open().id).id
    ids["cancelled"] = desk.cancel(kim, home.open().id).id
    ids["revoked"] = desk.revoke(kim, home.approve(home.open()).id).id
    claims = {
        state: desk.claim(kim, _approved_with_reason(home), action())
        for state in ("executing", "succeeded", "failed", "unknown")
    }
    desk.finish(claims["succeeded"], "done", ok=True)
    desk.finish(claims["failed"], "not done", ok=False)
    clock.boot = "next-boot"
    desk.sweep()
    clock.boot = "this-boot"
    ids |= {state: claim.approval.id for state, claim in claims.items()}
    ids["executing"] = desk.claim(kim, _approved_with_reason(home), action()).approval.id
    return ids


def _approved_with_reason(home: Home) -> str:
    opened = home.open()
    seen = opened.action_sha256
    return home.approvals.approve(home.operator, opened.id, seen_sha256=seen, reason="fine").id


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    clock = TurnableClock()
    home = build(tmp_path_factory.mktemp("home"), clock)
    ids = _row_in_each_state(home, clock)
    home.database.close()
    return home.directories.database_file, ids


@pytest.fixture
def raw(rows: tuple[Path, dict[str, str]]) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(rows[0])
    yield connection
    connection.rollback()
    connection.close()


@pytest.fixture
def ids(rows: tuple[Path, dict[str, str]]) -> dict[str, str]:
    return rows[1]


@pytest.mark.parametrize("state", list(TRANSITIONS))
def test_every_state_can_be_reached(
    raw: sqlite3.Connection, ids: dict[str, str], state: str
) -> None:
    """The rows of these tests stand where they claim to stand."""
    found = raw.execute("SELECT state FROM approvals WHERE id = ?", (ids[state],)).fetchone()
    assert found == (state,)


@pytest.mark.parametrize(("old", "new"), _LEGAL)
def test_legal_transitions_pass(
    raw: sqlite3.Connection, ids: dict[str, str], old: str, new: str
) -> None:
    """The triggers do not stand in the way of what the design allows."""
    changed = raw.execute(
        f"UPDATE approvals SET state = ?, version = version + 1, {_LATER} WHERE id = ?",
        (new, ids[old]),
    )
    assert changed.rowcount == 1


@pytest.mark.parametrize(("old", "new"), _ILLEGAL)
def test_illegal_transitions_are_refused(
    raw: sqlite3.Connection, ids: dict[str, str], old: str, new: str
) -> None:
    """Not even SQL typed by hand moves a row where the design does not."""
    with pytest.raises(sqlite3.IntegrityError, match="illegal transition"):
        raw.execute(
            f"UPDATE approvals SET state = ?, version = version + 1, {_LATER} WHERE id = ?",
            (new, ids[old]),
        )


@pytest.mark.parametrize("step", [0, 2, -1])
def test_version_counts_every_change(
    raw: sqlite3.Connection, ids: dict[str, str], step: int
) -> None:
    """A change that does not count itself is refused."""
    with pytest.raises(sqlite3.IntegrityError, match="illegal transition"):
        raw.execute(
            "UPDATE approvals SET state = 'expired', finished_us = 1, version = version + ? "
            "WHERE id = ?",
            (step, ids["pending"]),
        )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((name, "other") for name in _FIXED),
        *((name, 7) for name in _FIXED_NUMBERS),
        ("risk", "low"),
        ("requester_kind", "agent"),
    ],
)
def test_what_is_asked_cannot_change(
    raw: sqlite3.Connection, ids: dict[str, str], column: str, value: Any
) -> None:
    """Not even in the shadow of a legal transition."""
    with pytest.raises(sqlite3.IntegrityError, match="what is asked cannot change"):
        raw.execute(
            f"UPDATE approvals SET state = 'expired', finished_us = 1, version = version + 1, "
            f"{column} = ? WHERE id = ?",
            (value, ids["pending"]),
        )


@pytest.mark.parametrize("column", _WRITTEN)
def test_what_happened_cannot_change(
    raw: sqlite3.Connection, ids: dict[str, str], column: str
) -> None:
    """Who decided, when, why, and who claimed it are written once."""
    with pytest.raises(sqlite3.IntegrityError, match="what happened cannot change"):
        raw.execute(
            f"UPDATE approvals SET state = 'unknown', finished_us = 1, version = version + 1, "
            f"{column} = 9 WHERE id = ?",
            (ids["executing"],),
        )


def test_requests_are_never_deleted(raw: sqlite3.Connection, ids: dict[str, str]) -> None:
    """A request can be answered, not made unasked."""
    with pytest.raises(sqlite3.IntegrityError, match="requests are kept"):
        raw.execute("DELETE FROM approvals WHERE id = ?", (ids["pending"],))


def test_a_request_is_not_replaced(raw: sqlite3.Connection, ids: dict[str, str]) -> None:
    """INSERT OR REPLACE, which fires no delete trigger, is caught as well."""
    with pytest.raises(sqlite3.IntegrityError, match="the request exists"):
        raw.execute(
            "INSERT OR REPLACE INTO approvals SELECT * FROM approvals WHERE state='pending'"
        )


@pytest.mark.parametrize("state", [state for state in TRANSITIONS if state != "pending"])
def test_a_row_begins_pending(raw: sqlite3.Connection, ids: dict[str, str], state: str) -> None:
    """Nobody inserts an approval that is already decided."""
    columns = ", ".join(column.name for column in approvals.columns)
    selected = columns.replace("id,", "'ffff' || id,", 1).replace("version", "1")
    with pytest.raises(sqlite3.IntegrityError, match="a request begins pending"):
        raw.execute(
            f"INSERT INTO approvals ({columns}) SELECT {selected} FROM approvals WHERE id = ?",
            (ids[state],),
        )


def test_nothing_runs_without_a_vote(raw: sqlite3.Connection, ids: dict[str, str]) -> None:
    """A row that was set to approved by hand cannot go on to run."""
    raw.execute(
        f"UPDATE approvals SET state = 'approved', version = version + 1, {_LATER} WHERE id = ?",
        (ids["pending"],),
    )
    with pytest.raises(sqlite3.IntegrityError, match="too few have approved it"):
        raw.execute(
            "UPDATE approvals SET state = 'executing', version = version + 1 WHERE id = ?",
            (ids["pending"],),
        )


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE approval_votes SET decision = 'rejected'", "votes are kept"),
        ("DELETE FROM approval_votes", "votes are kept"),
        ("INSERT OR REPLACE INTO approval_votes SELECT * FROM approval_votes", "voted on"),
        (
            (
                "INSERT INTO approval_votes SELECT id, 'eve', 'approved', NULL, action_sha256, 1 "
                "FROM approvals WHERE state = 'pending'"
            ),
            "fits no decision",
        ),
    ],
)
def test_votes_are_made_once_and_kept(raw: sqlite3.Connection, statement: str, words: str) -> None:
    """A vote belongs to its decision, and nobody changes or invents one."""
    with pytest.raises(sqlite3.IntegrityError, match=words):
        raw.execute(statement)


@pytest.mark.parametrize("table", [approvals, approval_votes])
def test_the_migration_makes_the_columns_that_the_code_knows(
    raw: sqlite3.Connection, table: Any
) -> None:
    """Code and schema name the same columns in the same order."""
    made = [row[1] for row in raw.execute(f"PRAGMA table_info({table.name})")]
    assert made == [column.name for column in table.columns]
