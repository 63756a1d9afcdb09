"""The servers whose tools are ours: who may add, review, trust and remove them; all audited."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from localai.agent.mcp import stored
from localai.agent.mcp.fit import sorted_out
from localai.agent.mcp.kept import Void
from localai.agent.mcp.offers import Change, LeftOut, Offer, Pinned, changes
from localai.agent.mcp.stored import Server
from localai.core.address import address, is_address
from localai.core.audit import Audit
from localai.core.clock import Clock, rfc3339
from localai.core.db import Database
from localai.core.errors import Conflict, Invalid, NotFound
from localai.core.records import Page
from localai.core.redact import redact
from localai.rbac.permissions import Actor, Risk

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Connections(Protocol):
    """What speaks with servers."""

    def offers(self, server: Server) -> Sequence[Offer]:
        """What the server offers now."""

    def end(self, name: str) -> None:
        """Leave a server, if it is connected."""


@dataclass(frozen=True)
class Added:
    """A server that was added, and what it offers that cannot be a tool of ours."""

    server: Server
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Review:
    """A server as it was taken and how it differs now; `after` are its tools if a person agrees."""

    server: Server
    changes: tuple[Change, ...]
    left_out: tuple[LeftOut, ...]
    after: tuple[Pinned, ...]

    @property
    def unmarked(self) -> tuple[str, ...]:
        """The tools that were seen to differ, and are what they were now."""
        other = {change.tool for change in self.changes}
        return tuple(tool.name for tool in self.server.changed if tool.name not in other)

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to take anew."""
        return bool(self.changes or self.server.changed)


class Servers:
    """The MCP servers of one home. `void` takes standing rules about a tool back."""

    def __init__(  # noqa: PLR0913 - what the room stands on
        self,
        database: Database,
        audit: Audit,
        clock: Clock,
        require: Callable[[Actor, str], None],
        connections: Callable[[], Connections],
        void: Void,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._require = require
        self._connections = connections
        self._void = void

    def list(self, actor: Actor) -> Page[Server]:
        """Every server."""
        self._require(actor, "tools:read")
        with self._database.read() as connection:
            found = stored.all_of(connection)
        return Page(found, len(found))

    def get(self, actor: Actor, name: str) -> Server:
        """One server and its tools."""
        self._require(actor, "tools:read")
        return self._at(name)

    def draft(
        self, actor: Actor, name: str, words: Sequence[str], env: Sequence[str], cwd: Path
    ) -> Server:
        """The server as it would be added: a command's words, or one address; nothing runs."""
        self._require(actor, "config:write")
        if not _NAME.fullmatch(name):
            message = f"{name!r} cannot be a server's name"
            raise Invalid(message, hint="a-z, 0-9 and hyphens, at most 31")
        with self._database.read() as connection:
            if name in {server.name for server in stored.all_of(connection)}:
                raise Conflict(f"there is an MCP server {name}", hint=f"ai mcp rm {name}")
        url = _url(words[0]) if len(words) == 1 and is_address(words[0]) else None
        _refuse_secrets(words)
        _check_variables(env, url)
        command = () if url else tuple(words)
        place = os.path.realpath(cwd)
        return Server(name, command, url, place, tuple(env), actor.signature, "")

    def add(self, actor: Actor, draft: Server) -> Added:
        """Connect to the server, take the tools that it offers, and keep all of it."""
        self._require(actor, "config:write")
        fit, left_out = sorted_out(self._connections().offers(draft))
        at_us = self._clock.now_us()
        taken = tuple(stored.pinned(offer, Risk.HIGH) for offer in fit)
        server = replace(draft, tools=taken, added_at=rfc3339(at_us) or "")
        with self._database.transaction() as connection:
            stored.insert(connection, server, at_us)
            self._forget_rules(connection, server.name, taken)
            place = {"command": server.command, "url": server.url, "env": server.env}
            details = {**place, "pins": _pins(taken)}
            self._note(connection, "mcp.added", actor.signature, server.name, **details)
        return Added(server, left_out)

    def review(self, actor: Actor, name: str) -> Review:
        """How a server differs from what was taken of it; nothing is changed."""
        self._require(actor, "config:write")
        server = self._at(name)
        fit, left_out = sorted_out(self._connections().offers(server))
        found = changes(server.tools, fit)
        kept = {tool.name: tool for tool in server.tools}
        other = {change.tool for change in found} | {tool.name for tool in server.changed}
        after = (_retaken(offer, kept.get(offer.name), offer.name in other) for offer in fit)
        return Review(server, found, left_out, tuple(after))

    def accept(self, actor: Actor, review: Review) -> Server:
        """Take the tools as a person has just read them; what was allowed for a while ends."""
        self._require(actor, "config:write")
        server = review.server
        other = {change.tool for change in review.changes}
        with self._database.transaction() as connection:
            if _pins(stored.get(connection, server.name).tools) != _pins(server.tools):
                message = f"{server.name} was reviewed by somebody else meanwhile"
                raise Conflict(message, hint=f"ai mcp review {server.name}")
            stored.replace(connection, server.name, review.after)
            differing = [tool for tool in server.tools if tool.change or tool.name in other]
            self._forget_rules(connection, server.name, differing)
            pins = {"before": _pins(server.tools), "after": _pins(review.after)}
            self._note(connection, "mcp.reviewed", actor.signature, server.name, **pins)
        return self._at(server.name)

    def trust(self, actor: Actor, name: str, risk: str) -> Server:
        """Set the risk of a tool (SERVER.TOOL), or of every tool of a server."""
        self._require(actor, "config:write")
        words = [each.word for each in Risk]
        if risk not in words:
            raise Invalid(f"{risk!r} is no risk", hint=f"one of {', '.join(words)}")
        server_name, _, tool = name.partition(".")
        with self._database.transaction() as connection:
            tools = stored.get(connection, server_name).tools
            if tool and tool not in {each.name for each in tools}:
                raise NotFound(f"no tool {name!r}", hint=f"ai mcp show {server_name}")
            trusted = (replace(each, risk=risk) for each in tools if tool in {"", each.name})
            kept = (each for each in tools if tool not in {"", each.name})
            stored.replace(connection, server_name, (*trusted, *kept))
            self._note(connection, "mcp.trusted", actor.signature, name, risk=risk)
        return self._at(server_name)

    def remove(self, actor: Actor, name: str) -> Server:
        """Forget a server and its tools; returns what is forgotten."""
        self._require(actor, "config:write")
        with self._database.transaction() as connection:
            server = stored.get(connection, name)
            stored.remove(connection, name)
            self._forget_rules(connection, name, server.tools)
            self._note(connection, "mcp.removed", actor.signature, name)
        return server

    def _forget_rules(
        self, connection: sa.Connection, server: str, tools: Iterable[Pinned]
    ) -> None:
        for tool in tools:
            self._void(connection, f"{server}.{tool.name}", "the tool was taken anew or removed")

    def _at(self, name: str) -> Server:
        with self._database.read() as connection:
            return stored.get(connection, name)

    def _note(
        self, connection: sa.Connection, event: str, actor: str, subject: str, **details: Any
    ) -> None:
        self._audit.record(connection, event, actor=actor, subject=subject, details=details)


def _pins(tools: Iterable[Pinned]) -> dict[str, str]:
    return {tool.name: tool.pin for tool in tools}


def _retaken(offer: Offer, before: Pinned | None, is_other: bool) -> Pinned:  # noqa: FBT001
    """What a person allowed for one thing is not allowed for another."""
    risk = Risk[before.risk.upper()] if before else Risk.HIGH
    return stored.pinned(offer, max(risk, Risk.HIGH) if is_other else risk)


def _url(text: str) -> str:
    at = address(text)
    if at.scheme == "http" and at.host not in _LOOPBACK:
        message = f"{at} is not encrypted: others on the way could read and change all that is said"
        raise Invalid(message, hint="use https; http is for this machine alone")
    return str(at)


def _refuse_secrets(words: Sequence[str]) -> None:
    if any(redact(word) != word for word in (*words, " ".join(words))):
        message = "the command holds what looks like a secret, and every program could read it"
        raise Invalid(message, hint="leave it out and name its variable: --env NAME")


def _check_variables(env: Sequence[str], url: str | None) -> None:
    if env and url:
        raise Invalid("an address has no environment", hint="ai secrets set mcp-NAME")
    for name in env:
        if not _VARIABLE.fullmatch(name) or name.upper().startswith("LOCALAI_"):
            message = f"{name!r} cannot be handed to a server"
            raise Invalid(message, hint="--env NAME, without a value; none of localai's own")
