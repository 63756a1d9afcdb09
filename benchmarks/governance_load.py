"""What governance.py lets many processes do at once: decide against the clock, and race.

Three contestants decide in one home: `Approvals.approve`, a loop of prebuilt SQLAlchemy Core
statements, and a loop of sqlite3. Each writes the same rows under the same triggers and the same
file lock: the state of the request, the vote, the chained audit row; then the anchor.
"""

import importlib
import importlib.util
import json
import multiprocessing
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa

from localai.app import App
from localai.approvals.action import Action
from localai.approvals.records import Approval, Proposal
from localai.approvals.tables import approval_votes, approvals
from localai.core.audit import audit_table
from localai.core.chain import mac_of
from localai.core.errors import LocalaiError
from localai.core.files import locked
from localai.rbac.permissions import Actor, Risk

Decide = Callable[[str], object]

OPERATOR = "voter"
_FLAGS = {"approvals.timeout": "1d", "approvals.grant": "1d"}  # nothing ends while it is measured
_GRANT_US = 86_400_000_000
_MEET_S = 120
_SHARED: dict[str, Any] = {}
_PRAGMAS = ("foreign_keys = ON", "recursive_triggers = ON", "synchronous = FULL")


@dataclass(frozen=True)
class Share:
    """What one process did: its decisions, the seconds they took, the longest of them."""

    done: int
    took: float
    longest: float


@dataclass(frozen=True)
class Told:
    """What one process was told: what it won and how it decided, and how often what else."""

    won: dict[str, str]
    otherwise: Counter[str]
    took: float


def home(folder: Path) -> App:
    """The home in the folder, made if there is none."""
    app = App(folder, flags=_FLAGS)
    app.initialise()
    return app


def template(app: App, tool: str = "write_file", line: str = "a line") -> Approval:
    """A request that an agent made through the service."""
    arguments = {"path": "notes.txt", "content": line}
    action = Action(tool, "ab" * 32, arguments, "/work", "in localai itself")
    proposal = Proposal(action, Risk.HIGH, "files:write", "normal.from-high", "it was asked for")
    return app.approvals.open(app.actor.agent(None), proposal)


def copied(source: str, **changed: str) -> str:
    """SQL that inserts pending rows `a` of approvals again, with the `changed` columns."""
    names = approvals.columns.keys()
    values = ", ".join(changed.get(name, f"a.{name}") for name in names)
    return f"INSERT INTO approvals ({', '.join(names)}) SELECT {values} FROM approvals a {source}"


def fill(app: App, count: int) -> None:
    """Let `count` requests wait: one is asked for, the rest are copies of it in one commit."""
    with app.database.read() as connection:
        of_state = sa.select(approvals.c.id).where(approvals.c.state == "pending")
        waiting = connection.scalars(of_state).all()
    if not waiting:
        waiting = [template(app).id]
    missing = count - len(waiting)
    if missing <= 0:
        return
    numbers = (
        "WITH RECURSIVE numbers(n) AS "
        "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :missing) "
    )
    changed = {"id": "lower(hex(randomblob(8)))", "created_us": "a.created_us - :missing + n"}
    copies = copied("JOIN numbers WHERE a.id = :template", **changed)
    values = {"missing": missing, "template": waiting[0]}
    with app.database.transaction() as connection:
        connection.execute(sa.text(numbers + copies), values)


def waiting_in(app: App) -> tuple[list[str], str]:
    """The ids of what waits, and the digest that all of it has."""
    columns = (approvals.c.id, approvals.c.action_sha256)
    query = sa.select(*columns).where(approvals.c.state == "pending").order_by(approvals.c.id)
    with app.database.read() as connection:
        found = connection.execute(query).all()
    return [row.id for row in found], found[0].action_sha256


def crowd(processes: int) -> Any:
    """A pool whose processes begin each of their tasks together."""
    spawn = multiprocessing.get_context("spawn")
    return spawn.Pool(processes, _keep, (spawn.Barrier(processes),))


def _keep(barrier: Any) -> None:
    _SHARED["barrier"] = barrier


def _meet() -> None:
    _SHARED["barrier"].wait(_MEET_S)


def decide_for(seconds: float, folder: Path, contestant: str, place: int, processes: int) -> Share:
    """Decide as this contestant until the time is over, each process about its own requests."""
    with closing(App(folder, flags=_FLAGS)) as app:
        ids, digest = waiting_in(app)
        mine = iter(ids[place::processes])
        decide = CONTESTANTS[contestant](app, digest)
        _meet()  # nobody decides before all have read who decides what
        decide(next(mine))  # opens, imports and reads the keys
        _meet()
        done, longest = 0, 0.0
        started = before = time.perf_counter()
        for request in mine:
            decide(request)
            now = time.perf_counter()
            done, longest, before = done + 1, max(longest, now - before), now
            if now - started >= seconds:
                return Share(done, now - started, longest)
    raise RuntimeError("too few requests were waiting")


def race(folder: Path, place: int) -> Told:
    """Decide about every request at once with all others, in an order and with answers of its own.

    Every other process decides as the operator, so that some are of one person.
    """
    with closing(App(folder, flags=_FLAGS)) as app:
        ids, digest = waiting_in(app)
        actor = Actor(OPERATOR) if place % 2 else app.actor
        dice = random.Random(place)
        dice.shuffle(ids)
        won: dict[str, str] = {}
        otherwise: Counter[str] = Counter()
        _meet()
        started = time.perf_counter()
        for request in ids:
            verb, decision = dice.choice([("approve", "approved"), ("reject", "rejected")])
            try:
                getattr(app.approvals, verb)(actor, request, seen_sha256=digest)
                won[request] = decision
            except LocalaiError as error:
                otherwise[error.category] += 1
        return Told(won, otherwise, time.perf_counter() - started)


def _service(app: App, digest: str) -> Decide:
    return lambda request: app.approvals.approve(app.actor, request, seen_sha256=digest)


class _Rows:
    """The values that both peers write; they know the action, and read nothing of it."""

    def __init__(self, app: App, digest: str) -> None:
        self._key = app.secrets.key("audit-key")
        self._clock, self._boot = app.clock, app.clock.boot_id
        self._by, self._digest = app.actor.signature, digest
        file = app.directories.keys / "audit.anchor"
        self._anchor = os.open(file, os.O_WRONLY)
        self.lock = app.database.path.with_suffix(".lock")

    def decision(self, request: str) -> dict[str, Any]:
        """The values of the update and of the vote."""
        at = self._clock.now_us()
        return {
            "request": request,
            "by": self._by,
            "digest": self._digest,
            "at": at,
            "until": at + _GRANT_US,
            "boot": self._boot,
            "mono": self._clock.monotonic_us() + _GRANT_US,
        }

    def entry(self, seq: int, prev: str, of: dict[str, Any]) -> dict[str, Any]:
        """The audit row that follows the row with `seq` and the MAC `prev`."""
        body = {
            "seq": seq + 1,
            "at_us": of["at"],
            "actor": self._by,
            "event": "approval.approved",
            "subject": of["request"],
            "details": {"tool": "write_file", "action_sha256": self._digest, "risk": "high"},
        }
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return {"seq": seq + 1, "body": text, "prev": prev, "mac": mac_of(self._key, prev, text)}

    def anchor(self, entry: dict[str, Any]) -> None:
        """Write the end of the chain outside the database."""
        os.pwrite(self._anchor, f"{entry['seq']:020d} {entry['mac']}\n".encode(), 0)


def _core(app: App, digest: str) -> Decide:
    rows = _Rows(app, digest)
    engine = sa.create_engine(
        f"sqlite:///{app.database.path}",
        module=_driver(app),
        connect_args={"timeout": 10, "isolation_level": None},
    )
    sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    connection = engine.connect()
    driver = connection.connection.driver_connection
    assert driver is not None
    _prepare(driver)

    def decide(request: str) -> None:
        values = rows.decision(request)
        with locked(rows.lock):
            with connection.begin():
                assert connection.execute(_UPDATE, values).rowcount == 1
                seq, mac = connection.execute(_TAIL).one()
                entry = rows.entry(seq, mac, values)
                connection.execute(_APPEND, entry)
                connection.execute(_VOTE, values)
            rows.anchor(entry)

    return decide


def _bare(app: App, digest: str) -> Decide:
    rows = _Rows(app, digest)
    connection = connected(app)

    def decide(request: str) -> None:
        values = rows.decision(request)
        with locked(rows.lock):
            connection.execute("BEGIN IMMEDIATE")
            assert connection.execute(_UPDATE_SQL, values).rowcount == 1
            seq, mac = connection.execute(_TAIL_SQL).fetchone()
            entry = rows.entry(seq, mac, values)
            connection.execute(_APPEND_SQL, entry)
            connection.execute(_VOTE_SQL, values)
            connection.execute("COMMIT")
            rows.anchor(entry)

    return decide


def connected(app: App) -> Any:
    """A bare connection to the home's database, under the pragmas that the home uses."""
    connection = _driver(app).connect(app.database.path, timeout=10, isolation_level=None)
    _prepare(connection)
    return connection


def _prepare(connection: Any) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _driver(app: App) -> ModuleType:
    """The library that the home uses, so that it is not the library that is compared."""
    if app.database.sqlite_version != sqlite3.sqlite_version:
        return importlib.import_module("pysqlite3.dbapi2")
    return sqlite3


_UPDATE = (
    sa.update(approvals)
    .where(
        approvals.c.id == sa.bindparam("request"),
        approvals.c.state == "pending",
        approvals.c.version == 1,
        approvals.c.expires_us > sa.bindparam("at"),
        approvals.c.action_sha256 == sa.bindparam("digest"),
    )
    .values(
        state="approved",
        version=2,
        decided_us=sa.bindparam("at"),
        decided_by=sa.bindparam("by"),
        grant_expires_us=sa.bindparam("until"),
        grant_boot_id=sa.bindparam("boot"),
        grant_mono_us=sa.bindparam("mono"),
    )
)
_VOTE = sa.insert(approval_votes).values(
    approval=sa.bindparam("request"),
    voter=sa.bindparam("by"),
    decision="approved",
    action_sha256=sa.bindparam("digest"),
    at_us=sa.bindparam("at"),
)
_TAIL = sa.select(audit_table.c.seq, audit_table.c.mac).order_by(audit_table.c.seq.desc()).limit(1)
_APPEND = sa.insert(audit_table)
_UPDATE_SQL = """
UPDATE approvals SET state = 'approved', version = 2, decided_us = :at, decided_by = :by,
    grant_expires_us = :until, grant_boot_id = :boot, grant_mono_us = :mono
WHERE id = :request AND state = 'pending' AND version = 1 AND expires_us > :at
    AND action_sha256 = :digest
"""
_VOTE_SQL = """
INSERT INTO approval_votes (approval, voter, decision, action_sha256, at_us)
VALUES (:request, :by, 'approved', :digest, :at)
"""
_TAIL_SQL = "SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1"
_APPEND_SQL = "INSERT INTO audit (seq, body, prev, mac) VALUES (:seq, :body, :prev, :mac)"

CONTESTANTS: dict[str, Callable[[App, str], Decide]] = {
    "Approvals.approve": _service,
    "Core loop": _core,
    "sqlite3 loop": _bare,
}


def truth_of(app: App) -> tuple[dict[str, str], int, int]:
    """The state of each request, how many votes there are, and how many decisions are audited."""
    event = sa.func.json_extract(audit_table.c.body, "$.event")
    audited = sa.select(sa.func.count()).where(
        event.in_(["approval.approved", "approval.rejected"])
    )
    votes = sa.select(sa.func.count()).select_from(approval_votes)
    with app.database.read() as connection:
        rows = connection.execute(sa.select(approvals.c.id, approvals.c.state))
        states = {row.id: row.state for row in rows}
        return states, connection.scalar(votes) or 0, connection.scalar(audited) or 0
