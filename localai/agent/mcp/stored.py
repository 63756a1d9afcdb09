"""Servers and their tools as the database keeps them. Rows come in and go out as records."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from localai.agent.mcp.offers import Offer, Pinned
from localai.agent.tables import mcp_servers as s
from localai.agent.tables import mcp_tools as t
from localai.core.canonical import canonical
from localai.core.clock import rfc3339
from localai.core.errors import NotFound
from localai.rbac.permissions import Risk

_ALL = sa.select(s).order_by(s.c.name)
_TOOLS = sa.select(t).order_by(t.c.server, t.c.name)
_TOOL = sa.select(t).where(t.c.server == sa.bindparam("server"), t.c.name == sa.bindparam("tool"))


@dataclass(frozen=True)
class Server:
    """A server: a `command` to run in `cwd`, or a `url`; `env` names variables, without values."""

    name: str
    command: tuple[str, ...]
    url: str | None
    cwd: str
    env: tuple[str, ...]
    added_by: str
    added_at: str
    tools: tuple[Pinned, ...] = ()

    @property
    def changed(self) -> tuple[Pinned, ...]:
        """The tools that are not what they were."""
        return tuple(tool for tool in self.tools if tool.change)


def all_of(connection: sa.Connection) -> tuple[Server, ...]:
    """Every server with its tools, by name."""
    tools = [(row.server, _pinned(row)) for row in connection.execute(_TOOLS)]
    return tuple(
        _server(row, tuple(tool for server, tool in tools if server == row.name))
        for row in connection.execute(_ALL)
    )


def get(connection: sa.Connection, name: str) -> Server:
    """One server; NotFound for a name that none has."""
    found = {server.name: server for server in all_of(connection)}
    if name not in found:
        raise NotFound(f"no MCP server {name!r}", hint="ai mcp list")
    return found[name]


def tool(connection: sa.Connection, server: str, name: str) -> Pinned | None:
    """One tool as it is kept now, None where there is none."""
    row = connection.execute(_TOOL, {"server": server, "tool": name}).one_or_none()
    return _pinned(row) if row is not None else None


def insert(connection: sa.Connection, server: Server, at_us: int) -> None:
    """Keep a new server and its tools."""
    row = {
        "name": server.name,
        "command": json.dumps(server.command),
        "url": server.url,
        "cwd": server.cwd,
        "env": json.dumps(server.env),
        "added_by": server.added_by,
        "created_us": at_us,
    }
    connection.execute(sa.insert(s), row)
    replace(connection, server.name, server.tools)


def replace(connection: sa.Connection, server: str, tools: Iterable[Pinned]) -> None:
    """Keep these tools of a server and no others."""
    connection.execute(sa.delete(t).where(t.c.server == server))
    rows = [{"server": server, **_row(tool)} for tool in tools]
    if rows:
        connection.execute(sa.insert(t), rows)


def mark(connection: sa.Connection, server: str, name: str, change: str) -> bool:
    """Write down that a tool is not what it was; False where that is known already."""
    which = t.c.server == server, t.c.name == name, t.c.change.is_(None)
    return connection.execute(sa.update(t).where(*which).values(change=change)).rowcount == 1


def remove(connection: sa.Connection, server: str) -> None:
    """Forget a server and its tools."""
    connection.execute(sa.delete(t).where(t.c.server == server))
    connection.execute(sa.delete(s).where(s.c.name == server))


def pinned(offer: Offer, risk: Risk) -> Pinned:
    """A tool as a person takes it now."""
    return Pinned(**vars(offer), pin=offer.sha256, risk=risk.word)


def _row(tool: Pinned) -> dict[str, Any]:
    spelled = {name: canonical(getattr(tool, name)).decode() for name in _JSON}
    return {**vars(tool), **spelled}


def _pinned(row: Any) -> Pinned:
    fields = {name: getattr(row, name) for name in ("name", "description", "pin", "risk", "change")}
    return Pinned(**fields, **{name: json.loads(getattr(row, name)) for name in _JSON})


def _server(row: Any, tools: tuple[Pinned, ...]) -> Server:
    return Server(
        row.name,
        tuple(json.loads(row.command)),
        row.url,
        row.cwd,
        tuple(json.loads(row.env)),
        row.added_by,
        rfc3339(row.created_us) or "",
        tools,
    )


_JSON = ("parameters", "annotations")
