"""What was taken from servers, and what is not as it was.

A tool is called only while the server offers it exactly as a person took it. What differs is
marked, stays marked whatever the server says later, and takes standing rules with it; a person
who reviews it takes it anew.
"""

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from localai.agent.mcp import stored
from localai.agent.mcp.offers import Change, Offer, Pinned, changes
from localai.agent.mcp.stored import Server
from localai.core.audit import Audit
from localai.core.db import Database
from localai.core.errors import Denied, NotFound
from localai.core.escape import visible

Void = Callable[[sa.Connection, str, str], None]

_SYSTEM = "system"
_MOST_NAMED = 20
_LONGEST_NAME = 64


class Kept:
    """The tools of MCP servers as they were taken. `void` takes standing rules about one back."""

    def __init__(self, database: Database, audit: Audit, void: Void) -> None:
        self._database = database
        self._audit = audit
        self._void = void
        self._told: set[tuple[str, str]] = set()

    def all(self) -> tuple[Server, ...]:
        """Every server with its tools, as the tools of this process are made of them."""
        with self._database.read() as connection:
            return stored.all_of(connection)

    def current(self, server: str, tool: Pinned) -> Pinned:
        """The tool as it is kept now; Denied unless it is the one that was taken, unchanged."""
        with self._database.read() as connection:
            found = stored.tool(connection, server, tool.name)
        if found is None:
            raise NotFound(f"{server}.{tool.name} was removed", hint="ai tools list")
        change = found.change or ("it was reviewed since" if found.pin != tool.pin else None)
        if change:
            message = f"{server}.{tool.name} is not what it was when you added it: {change}"
            raise Denied(message, hint=f"ai mcp review {server}")
        return found

    def compare(self, server: str, offers: Sequence[Offer]) -> None:
        """Mark and audit what differs from what was taken; the rules about it end."""
        with self._database.read() as connection:
            found = changes(stored.get(connection, server).tools, offers)
        new = [change.tool for change in found if change.before is None]
        other = [change for change in found if change.before is not None and not _is_known(change)]
        new = [name for name in new if (server, name) not in self._told]
        if not new and not other:
            return
        with self._database.transaction() as connection:
            for change in other:
                self._mark(connection, server, change)
            if new:
                self._told.update((server, name) for name in new)
                named = [visible(name)[:_LONGEST_NAME] for name in new[:_MOST_NAMED]]
                self._note(connection, server, {"new": named})

    def _mark(self, connection: sa.Connection, server: str, change: Change) -> None:
        if not stored.mark(connection, server, change.tool, change.what):
            return
        name = f"{server}.{change.tool}"
        self._void(connection, name, change.what)
        self._note(connection, name, {"tool": name, "what": change.what})

    def _note(self, connection: sa.Connection, subject: str, details: dict[str, object]) -> None:
        event = "mcp.changed"
        self._audit.record(connection, event, actor=_SYSTEM, subject=subject, details=details)


def _is_known(change: Change) -> bool:
    return change.before is not None and change.before.change is not None
