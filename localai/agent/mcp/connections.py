"""The MCP servers that a process speaks with: each reached when it is first called, then kept."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from localai.agent.mcp.client import Connection
from localai.agent.mcp.launch import Endpoint, Process
from localai.agent.mcp.offers import Offer
from localai.agent.mcp.stored import Server
from localai.approvals.action import Program
from localai.core.errors import Unavailable

CONNECT_S = 30.0
CALL_S = 120.0
Launch = Callable[[Server, Program | None], Process | Endpoint]


class Connections:
    """The servers that this process speaks with. Close it when the work is done."""

    def __init__(
        self, launch: Launch, *, connect_s: float = CONNECT_S, call_s: float = CALL_S
    ) -> None:
        self._launch = launch
        self._connect_s = connect_s
        self._call_s = call_s
        self._open: dict[str, Connection] = {}
        self._changing = threading.RLock()
        self._loop = ExitStack()
        self._portal: BlockingPortal | None = None

    def offers(self, server: Server, program: Program | None = None) -> Sequence[Offer]:
        """What the server offers now; Unavailable says what is wrong with it.

        A server that ended since it was last asked, or is another `program` now, is started anew.
        """
        with self._changing:
            kept = self._open.get(server.name)
            if kept is not None and kept.is_of(server, program):
                with suppress(Unavailable):
                    return kept.offers(self._connect_s)
            self.end(server.name)
            return self._opened(server, program)

    def call(self, server: Server, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the server answers to a call, as the protocol's own JSON. It is made once."""
        if server.name not in self._open:
            raise Unavailable(f"the MCP server {server.name} is not connected")
        try:
            return self._open[server.name].call(tool, arguments, self._call_s)
        except BaseException:
            # Nobody knows what it does with the call now: it does not go on unseen.
            self.end(server.name)
            raise

    def end(self, name: str) -> None:
        """Leave a server, if it is connected, and end what was started for it."""
        with self._changing:
            if (kept := self._open.pop(name, None)) is not None:
                kept.close()

    def close(self) -> None:
        """Leave every server."""
        for name in list(self._open):
            self.end(name)
        self._loop.close()
        self._portal = None

    def _opened(self, server: Server, program: Program | None) -> Sequence[Offer]:
        made = Connection(self._loop_of_ours(), server, self._launch(server, program))
        self._open[server.name] = made
        try:
            made.open(self._connect_s)
            return made.offers(self._connect_s)
        except BaseException:
            self.end(server.name)
            raise

    def _loop_of_ours(self) -> BlockingPortal:
        if self._portal is None:
            self._portal = self._loop.enter_context(start_blocking_portal("asyncio"))
        return self._portal
