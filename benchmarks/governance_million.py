"""A home with a million requests for governance.py, and what its statistics must be.

The rows are legal: each begins pending, a copy of one that an agent asked for through the
service, and set-based updates move it from state to state under the triggers. There are no
audit rows of them; the list and the statistics read none.
"""

import math
import random
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import governance_load as load
import sqlalchemy as sa

from localai.app import App

_SECOND = 1_000_000
_SPAN_S = 7 * 86_400 - 3600  # all of it is within seven days for the first hour
_NEWEST_S = 900
_WAITS_S = 300
_TOOLS = ("write_file", "run_command", "edit_file", "move_file", "delete_file", "http_get")
_PEOPLE = ("kim", "lee", "park", "choi", "jung")
_LIVE = {"pending": 20, "approved": 100}  # they wait, and are not over for ten years
# In so many of a thousand; lapsed are those that nobody ran in time after a yes.
_ENDS = {
    "succeeded": 700,
    "failed": 60,
    "unknown": 5,
    "revoked": 5,
    "lapsed": 10,
    "rejected": 120,
    "cancelled": 30,
    "expired": 70,
}
_GRANTED = "('approved', 'succeeded', 'failed', 'unknown', 'revoked', 'lapsed')"
_RAN = "('succeeded', 'failed', 'unknown')"
_FAR = 10 * 365 * 86_400 * _SECOND
_PLAN = """
CREATE TEMP TABLE plan (id TEXT PRIMARY KEY, template TEXT, user TEXT, session TEXT,
    created INTEGER, ending TEXT, decided INTEGER, decider TEXT)
"""
_GRANT = f"""decided_us = p.decided, decided_by = p.decider, grant_boot_id = 'another',
    grant_mono_us = 0, grant_expires_us = p.decided + iif(p.ending = 'approved', {_FAR}, 900000000)
"""
_DECISION = "decided_us = p.decided, decided_by = p.decider"
_FINISH = "finished_us = p.decided + 3000000, outcome = 'the end'"
_EXPIRY = f"finished_us = p.created + {_WAITS_S * _SECOND}, outcome = 'nobody decided in time'"
_CLAIM = "claimed_by = 'another 1 1', claimed_us = p.decided + 1000000"
_VOTES = """
INSERT INTO approval_votes (approval, voter, decision, action_sha256, at_us)
SELECT a.id, a.decided_by, a.state, a.action_sha256, a.decided_us
FROM plan p JOIN approvals a ON a.id = p.id WHERE a.state IN ('approved', 'rejected')
"""


def _moved(state: str, to: str, endings: str, written: str) -> str:
    # The plus keeps SQLite from walking the index of states, which this very update changes.
    return (
        f"UPDATE approvals SET state = {to}, version = version + 1, {written} FROM plan p "
        f"WHERE approvals.id = p.id AND +approvals.state = '{state}' AND p.ending IN {endings}"
    )


_STEPS = (
    _moved("pending", "'approved'", _GRANTED, _GRANT),
    _moved("pending", "p.ending", "('rejected', 'cancelled')", _DECISION),
    _moved("pending", "'expired'", "('expired')", _EXPIRY),
    _VOTES,
    _moved("approved", "'executing'", _RAN, _CLAIM),
    _moved("executing", "p.ending", _RAN, _FINISH),
    _moved("approved", "'revoked'", "('revoked')", _FINISH),
    _moved("approved", "'expired'", "('lapsed')", _FINISH),
)


def ready(folder: Path, requests: int, empty: Path) -> Path:
    """The home with that many requests, built anew where it is older than a day.

    So it is where its tables are not those of the `empty` home, which has just been made.
    """
    place = folder / f"requests-{requests}"
    if place.exists():
        (newest, tables), (_, current) = _looked_at(place), _looked_at(empty)
        if tables == current and time.time() - newest / _SECOND < 86_400:
            return place
        shutil.rmtree(place)
    unfinished = place.with_name(f"{place.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    started = time.perf_counter()
    _build(unfinished, requests)
    unfinished.rename(place)
    print(f"built {requests:,} requests in {time.perf_counter() - started:.0f} s: {place}")
    return place


def _looked_at(place: Path) -> tuple[int, list[str]]:
    """When the newest request was made, and all that defines the tables."""
    newest = sa.text("SELECT coalesce(max(created_us), 0) FROM approvals")
    defined = sa.text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    with closing(load.home(place)) as app, app.database.read() as connection:
        return connection.scalar(newest) or 0, list(connection.scalars(defined))


def _build(place: Path, requests: int) -> None:
    with closing(load.home(place)) as app:
        opened = [load.template(app, tool, f"line {n}").id for tool in _TOOLS for n in range(5)]
    plan = _planned(random.Random(1), opened, requests)
    copies = load.copied(
        "JOIN plan p ON p.template = a.id ORDER BY p.rowid",
        id="p.id",
        user_id="p.user",
        session="p.session",
        boot_id="'another'",
        mono_us="0",
        created_us="p.created",
        expires_us=f"p.created + iif(p.ending = 'pending', {_FAR}, {_WAITS_S * _SECOND})",
    )
    with closing(load.connected(app)) as connection:
        # A crash loses nothing: what is not finished is thrown away.
        for pragma in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -400000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_PLAN)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?, ?, ?)", plan)
        for statement in (copies, *_STEPS):
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    with closing(load.home(place)) as app:
        for each in opened:
            app.approvals.cancel(app.actor, each)


def _planned(dice: random.Random, templates: list[str], requests: int) -> Iterator[tuple[Any, ...]]:
    newest = int(time.time() - _NEWEST_S) * _SECOND
    asked = sorted(newest - int(dice.random() * _SPAN_S * _SECOND) for _ in range(requests))
    sessions = [None, *(f"{dice.getrandbits(64):016x}" for _ in range(2000))]
    endings = dice.choices([*_ENDS], [*_ENDS.values()], k=requests)
    for state, count in _LIVE.items():
        for place in dice.sample(range(requests), count):
            endings[place] = state
    for created, ending in zip(asked, endings, strict=True):
        waited = min(max(dice.lognormvariate(math.log(20), 1.3), 1), _WAITS_S - 1)
        yield (
            f"{dice.getrandbits(64):016x}",
            dice.choice(templates),
            dice.choice(_PEOPLE),
            dice.choice(sessions),
            created,
            ending,
            created + int(waited * _SECOND),
            dice.choice(_PEOPLE),
        )


def differences(app: App, since_us: int, found: Mapping[str, Any] | None = None) -> list[str]:
    """The statistics that are not those of the rows; the service's own where none are given."""
    told = asdict(app.approvals.statistics(app.actor, since_us)) if found is None else found
    expected = _reckoned(app, since_us)
    return [
        f"{name}: {told[name]!r}, and the rows say {value!r}"
        for name, value in expected.items()
        if not _is_same(told[name], value)
    ]


def some_moment(app: App) -> int:
    """The moment of a request in the middle of all."""
    query = "SELECT created_us FROM approvals ORDER BY created_us LIMIT 1 OFFSET "
    with app.database.read() as connection:
        half = "(SELECT count(*) / 2 FROM approvals)"
        return int(connection.scalar(sa.text(query + half)))


def _is_same(told: Any, true: Any) -> bool:
    # A microsecond shows; the last bit of a float depends on the order of its sum.
    if isinstance(told, float) and isinstance(true, float):
        return math.isclose(told, true, rel_tol=1e-10)
    return bool(told == true)


def _reckoned(app: App, since_us: int) -> dict[str, Any]:
    query = sa.text(
        "SELECT tool, state, decided_by, decided_us - created_us FROM approvals "
        "WHERE created_us >= :since"
    )
    with app.database.read() as connection:
        rows = connection.execute(query, {"since": since_us}).all()
    decided = [row for row in rows if row[2] is not None and row[1] != "cancelled"]
    waits = sorted(waited / _SECOND for *_, waited in decided)
    decisions = [
        (by, "rejected" if state == "rejected" else "approved") for _, state, by, _ in decided
    ]
    approved = sum(decision == "approved" for _, decision in decisions)
    states = Counter(state for _, state, *_ in rows)
    return {
        "total": len(rows),
        "by_status": dict(states),
        "approval_rate": approved / len(decided) if decided else None,
        "avg_time": math.fsum(waits) / len(waits) if waits else None,
        "median_time": statistics.median(waits) if waits else None,
        "p95_time": waits[math.ceil(0.95 * len(waits)) - 1] if waits else None,
        "expired_share": states["expired"] / len(rows) if rows else None,
        "by_tool": _nested((tool, state) for tool, state, *_ in rows),
        "by_decider": _nested(decisions),
    }


def _nested(pairs: Any) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for name, kind in pairs:
        found.setdefault(name, Counter())[kind] += 1
    return {name: dict(counted) for name, counted in found.items()}
