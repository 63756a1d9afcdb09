"""The official SDK's client against the installed `ai mcp serve`, over both transports."""

import json
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult
from terminal import AI, Ai

ACCEPTS = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
}


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run an asynchronous test to its end."""
    return anyio.run(work)


@asynccontextmanager
async def by_stdio(
    ai: Ai, *options: str, mode: str = "auto", **environment: str
) -> AsyncIterator[Client]:
    """A client that starts the server itself, as an editor does."""
    started = StdioServerParameters(
        command=str(AI),
        args=["mcp", "serve", *options],
        env=ai.environment | environment,
        cwd=ai.workspace,
    )
    async with Client(started, mode=mode) as client:
        yield client


@contextmanager
def listening(ai: Ai, *options: str) -> Iterator[str]:
    """The address of a server at a port of its own; it ends well when it is told to."""
    with ai.start("mcp", "serve", "--http", "--port", "0", *options) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        try:
            yield found[0]
        finally:
            process.terminate()
        said, complaint = process.communicate(timeout=30)
        assert (process.returncode, said, complaint) == (0, "", "")


@asynccontextmanager
async def by_http(
    url: str, key: str, *, mode: str = "auto", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Client]:
    """A client that comes with a key."""
    given = {"Authorization": f"Bearer {key}", **(headers or {})}
    http = httpx2.AsyncClient(headers=given, timeout=60)
    transport = streamable_http_client(url, http_client=http)
    async with http, Client(transport, mode=mode) as client:
        yield client


def key_of(ai: Ai, user: str) -> str:
    """A new API key of the user."""
    return str(ai("keys", "create", "--user", user, "--json").json["key"])


def operator(ai: Ai) -> str:
    """The name of the home's operator."""
    return str(ai("users", "whoami", "--json").json["name"])


async def typed(ai: Ai, *words: object) -> Any:
    """What a person types in another terminal meanwhile."""
    return await anyio.to_thread.run_sync(lambda: ai(*words))


def text(result: CallToolResult) -> str:
    """What a model reads."""
    return "\n".join(block.text for block in result.content if block.type == "text")


def data(result: CallToolResult) -> Mapping[str, Any]:
    """What a program reads."""
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def conversation(
    ai: Ai, lines: list[bytes]
) -> tuple[list[Any], subprocess.CompletedProcess[bytes]]:
    """What the server answers to these very lines, and how it ended; each waits for nothing."""
    done = subprocess.run(
        [AI, "mcp", "serve"],
        input=b"\n".join(lines) + b"\n",
        capture_output=True,
        cwd=ai.workspace,
        env=ai.environment,
        timeout=60,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done


def files(folder: Path) -> set[str]:
    """What lies in the workspace."""
    return {each.name for each in folder.iterdir()}
