"""The tools of MCP servers as tools of ours: asked for, approved and audited like any other.

A server's name and a dot stand before each name, and no tool of ours has a dot in its name.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from localai.agent.mcp import launch
from localai.agent.mcp.answers import rendered
from localai.agent.mcp.kept import Kept
from localai.agent.mcp.offers import Offer, Pinned
from localai.agent.mcp.stored import Server
from localai.agent.tools import ByItself, Context, Told, Tool, ToolResult
from localai.approvals.action import Facts, Program
from localai.core.escape import visible
from localai.rbac.permissions import Risk


class Speaker(Protocol):
    """What speaks with servers."""

    def offers(self, server: Server, program: Program | None = None) -> Sequence[Offer]:
        """What the server offers now."""

    def call(self, server: Server, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the server answers to a call, once, as the protocol's own JSON."""


class Misfit(Protocol):
    """What compares arguments with the schema of a stranger."""

    def __call__(self, value: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
        """What is wrong with the arguments, None if nothing."""


class Foreign:
    """Makes tools of what was taken from servers; none is connected before one is called."""

    def __init__(self, kept: Kept, speaker: Callable[[], Speaker], misfit: Misfit) -> None:
        self._kept = kept
        self._misfit = misfit
        self._speaker = speaker

    def tools(self) -> Iterator[Tool]:
        """Every tool of every server."""
        for server in self._kept.all():
            yield from (self._tool(server, tool) for tool in server.tools)

    def _tool(self, server: Server, tool: Pinned) -> Tool:
        return Tool(
            name=f"{server.name}.{tool.name}",
            function=partial(self._run, server, tool),
            # A server is a program, here or elsewhere, that does what it likes with the call.
            permission="commands:run",
            risk=Risk[tool.risk.upper()],
            confinement=ByItself(_where(server), is_confined=False),
            raised_risk=partial(self._risk, server, tool),
            facts=partial(self._facts, server, tool),
            told=Told(
                f"[says the MCP server {server.name}] {tool.description}",
                tool.parameters,
                tool.pin,
                partial(self._misfit, schema=tool.parameters),
            ),
        )

    def _facts(
        self, server: Server, tool: Pinned, _context: Context, _arguments: Mapping[str, Any]
    ) -> Facts:
        self._kept.current(server.name, tool)
        return launch.facts(server)

    def _risk(
        self, server: Server, tool: Pinned, _context: Context, _arguments: Mapping[str, Any]
    ) -> Risk:
        return Risk[self._kept.current(server.name, tool).risk.upper()]

    def _run(
        self, server: Server, tool: Pinned, context: Context, /, **arguments: Any
    ) -> ToolResult:
        speaker = self._speaker()
        offers = speaker.offers(server, context.facts.program)
        self._kept.compare(server.name, offers)
        self._kept.current(server.name, tool)
        return rendered(server.name, speaker.call(server, tool.name, arguments))


def _where(server: Server) -> str:
    at = server.url or f"{shlex.join(server.command)}, in {server.cwd}"
    env = f", with {', '.join(server.env)}" if server.env else ""
    return visible(f"in the MCP server {server.name} ({at}{env}), which localai does not confine")
