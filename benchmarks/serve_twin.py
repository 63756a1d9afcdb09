"""The bare twin of `ai serve`: the same four requests, FastAPI and SQLAlchemy Core, and no more.

No keys, roles, rates, digest, audit, notices or figures; a request is one row, a decision one
conditional update. Served by the same uvicorn with the same settings, on as many threads, from a
SQLite file with the same pragmas:

    python benchmarks/serve_twin.py FILE
"""

import importlib
import json
import secrets
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
import sqlalchemy as sa
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel
from serve_load import PATH

from localai.api.bounds import MAX_REQUESTS
from localai.api.server import ENDING_S, THREADS
from localai.core.db import Database
from localai.core.serving import Bounds, address_of, listening, serve

metadata = sa.MetaData()
approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tool_name", sa.Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("decided_us", sa.BigInteger),
    sa.Column("decision_reason", sa.Text),
    sa.Index("approvals_by_time", "created_us", "id"),
)
_INSERT = sa.insert(approvals)
_ONE = sa.select(approvals).where(approvals.c.id == sa.bindparam("id"))
_PAGE = (
    sa.select(approvals)
    .order_by(approvals.c.created_us.desc(), approvals.c.id.desc())
    .limit(sa.bindparam("limit"))
)
_COUNT = sa.select(sa.func.count()).select_from(approvals)
_DECIDE = (
    sa.update(approvals)
    .where(approvals.c.id == sa.bindparam("of_id"), approvals.c.status == "pending")
    .values(
        status=sa.bindparam("to"),
        decided_us=sa.bindparam("at"),
        decision_reason=sa.bindparam("why"),
    )
    .returning(approvals)
)
_PRAGMAS = (
    *("journal_mode = WAL", "foreign_keys = ON", "recursive_triggers = ON"),
    *("synchronous = FULL", "trusted_schema = OFF"),
)


class New(BaseModel):
    """A call that is to wait."""

    tool_name: str
    arguments: dict[str, Any]
    reason: str | None = None


class Decision(BaseModel):
    """What is to become of it."""

    action: Literal["approve", "reject"]
    reason: str | None = None


class Rows:
    """The file, and one writer at a time."""

    def __init__(self, file: Path) -> None:
        self._engine = sa.create_engine(
            f"sqlite:///{file}",
            module=_driver(file),
            connect_args={"timeout": 10, "isolation_level": None},
        )
        sa.event.listen(self._engine, "connect", _prepare)
        self._writing = threading.Lock()
        with self.write() as connection:
            metadata.create_all(connection)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction."""
        with self._engine.connect() as connection, self._writing, connection.begin():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A view."""
        with self._engine.connect() as connection:
            yield connection


def application(rows: Rows) -> FastAPI:
    """The four requests."""
    app = FastAPI()

    @app.post(PATH, status_code=201)
    def new(asked: New) -> dict[str, Any]:
        row = {
            "id": secrets.token_hex(8),
            "tool_name": asked.tool_name,
            "arguments": json.dumps(asked.arguments),
            "reason": asked.reason,
            "status": "pending",
            "created_us": time.time_ns() // 1000,
        }
        with rows.write() as connection:
            connection.execute(_INSERT, row)
            return _shown(connection.execute(_ONE, {"id": row["id"]}).one())

    @app.get(PATH)
    def page(limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> dict[str, Any]:
        with rows.read() as connection:
            found = connection.execute(_PAGE, {"limit": limit}).all()
            return {"items": [_shown(row) for row in found], "total": connection.scalar(_COUNT)}

    @app.get(PATH + "/{approval_id}")
    def one(approval_id: str) -> dict[str, Any]:
        with rows.read() as connection:
            row = connection.execute(_ONE, {"id": approval_id}).one_or_none()
        if row is None:
            raise HTTPException(404)
        return _shown(row)

    @app.put(PATH + "/{approval_id}")
    def decide(approval_id: str, decision: Decision) -> dict[str, Any]:
        to = "approved" if decision.action == "approve" else "rejected"
        at = time.time_ns() // 1000
        values = {"of_id": approval_id, "to": to, "at": at, "why": decision.reason}
        with rows.write() as connection:
            row = connection.execute(_DECIDE, values).one_or_none()
        if row is None:
            raise HTTPException(409)
        return _shown(row)

    return app


def _shown(row: sa.Row[Any]) -> dict[str, Any]:
    return {**row._asdict(), "arguments": json.loads(row.arguments)}


def _driver(file: Path) -> ModuleType:
    """The library that a home uses."""
    if Database(file).sqlite_version != sqlite3.sqlite_version:
        return importlib.import_module("pysqlite3.dbapi2")
    return sqlite3


def _prepare(connection: Any, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


async def _serve(file: Path) -> None:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    listener = listening("127.0.0.1", 0, hint="")
    print(f"listening at http://{address_of('127.0.0.1', listener)}", file=sys.stderr, flush=True)
    bounds = Bounds(2 * MAX_REQUESTS, ENDING_S)
    await serve(application(Rows(file)), listener, anyio.Event(), bounds)


if __name__ == "__main__":
    anyio.run(_serve, Path(sys.argv[1]))
