"""How a server is reached: the program with its environment, or the address with its token.

Values of secrets are read when the server is reached and kept nowhere else.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from localai.agent.builtin.shell import environment, find_program, named_files
from localai.agent.mcp.stored import Server
from localai.approvals.action import Facts, Program
from localai.core.errors import NotFound, Unavailable
from localai.core.redact import remember

_CODE = frozenset({".cjs", ".jar", ".js", ".mjs", ".php", ".pl", ".py", ".rb", ".sh", ".ts"})

Find = Callable[[str], str | None]


@dataclass(frozen=True)
class Process:
    """A program to start; `argv` is what it is told, `program` the file that runs."""

    argv: tuple[str, ...]
    program: Program
    cwd: str
    environment: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Endpoint:
    """An address to speak to, with a bearer token where there is one."""

    url: str
    token: str | None = field(repr=False)


def facts(server: Server) -> Facts:
    """What a server is now: its program, the scripts that its command names, its environment.

    The variables that are handed on are stated by name: the digest of a short secret would give
    it away.
    """
    if server.url:
        return Facts()
    if not os.path.isdir(server.cwd):  # noqa: PTH112 - Path.is_dir raises for an overlong name
        message = f"the MCP server {server.name} runs in {server.cwd}, which is not there"
        raise NotFound(message, hint=f"ai mcp rm {server.name}, and add it again")
    cwd = Path(server.cwd)
    spelled = json.dumps([environment(), server.env], sort_keys=True)
    return Facts(
        program=find_program(server.command[0], cwd, environment()["PATH"]),
        environment_sha256=hashlib.sha256(spelled.encode()).hexdigest(),
        files=tuple(named_files([w for w in server.command[1:] if _is_code(cwd / w)], cwd)),
    )


def launch(server: Server, program: Program | None, find: Find) -> Process | Endpoint:
    """How to reach the server; `find` gives the value of a secret, `program` what was approved."""
    if server.url:
        return Endpoint(server.url, find(f"mcp-{server.name}"))
    found = program or find_program(server.command[0], Path(server.cwd), environment()["PATH"])
    given = {name: _value(server.name, name, find) for name in server.env}
    return Process(server.command, found, server.cwd, environment() | given)


def _is_code(path: Path) -> bool:
    """Tell whether the file is a program: what a server keeps its data in may change."""
    try:
        with path.open("rb") as file:
            return path.suffix in _CODE or os.access(path, os.X_OK) or file.read(2) == b"#!"
    except (OSError, ValueError):
        return False


def _value(server: str, name: str, find: Find) -> str:
    secret = f"mcp-{server}.{name}"
    value = find(secret) or os.environ.get(name)
    if value is None:
        message = f"the MCP server {server} needs {name}, which has no value"
        raise Unavailable(message, hint=f"ai secrets set {secret}")
    remember(value)
    return value
