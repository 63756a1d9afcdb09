"""One MCP server, reached by the official SDK, which only this file imports.

The SDK is asynchronous: it runs in the loop of another thread, and what is outside waits for it,
never without a limit. What is asked for is a list of tools or one call. What the server asks of
us is refused, what it logs is dropped.
"""

import logging
import shlex
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from functools import partial
from typing import Any, TypeVar

import anyio
import httpx2
import mcp_types as types
from anyio.from_thread import BlockingPortal
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from pydantic import TypeAdapter

from localai import __version__
from localai.agent.mcp.launch import Endpoint, Process
from localai.agent.mcp.meter import MAX_LINE, Flood, Meter, Metered
from localai.agent.mcp.offers import MOST_TOOLS, Offer
from localai.agent.mcp.pipe import Pipe, started
from localai.agent.mcp.stored import Server
from localai.approvals.action import Program
from localai.core.errors import LocalaiError, Unavailable
from localai.core.escape import visible

_CONNECT_S = 30.0
_ENDING_S = 10.0
_MOST_PAGES = 20
_LONGEST_WORDS = 2_000
_ANSWER: TypeAdapter[Any] = TypeAdapter(types.CallToolResult | types.InputRequiredResult)
_WHO = types.Implementation(name="localai", version=__version__)

T = TypeVar("T")

for _name in ("mcp", "client", "httpx2", "asyncio"):  # a stranger's words are not for our stderr
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Connection:
    """One server, reached once: a task in the loop holds it open until it is closed."""

    def __init__(self, portal: BlockingPortal, server: Server, how: Process | Endpoint) -> None:
        self._portal = portal
        self._server = server
        self._how = how
        self._meter = Meter()
        self._pipe: Pipe | None = None
        self._ready: Future[Client] = Future()
        self._over = threading.Event()
        self._task: Future[None] | None = None

    def is_of(self, server: Server, program: Program | None) -> bool:
        """Tell whether this is that server, run by that program."""
        mine = self._how.program if isinstance(self._how, Process) else None
        return _place(self._server) == _place(server) and program in {None, mine}

    def open(self, limit_s: float) -> None:
        """Reach the server and agree on a protocol."""
        self._task = self._portal.start_task_soon(self._keep)
        with self._translated(limit_s):
            self._ready.result(limit_s)

    def offers(self, limit_s: float) -> Sequence[Offer]:
        """Every tool that the server lists."""
        return self._waited(self._list, limit_s)

    def call(self, tool: str, arguments: Mapping[str, Any], limit_s: float) -> Mapping[str, Any]:
        """One call and its answer."""
        return self._waited(partial(self._ask, tool, arguments), limit_s)

    def close(self) -> None:
        """End it, and wait until it is over."""
        if self._task is not None:
            self._task.cancel()
            self._over.wait(_ENDING_S)

    def _waited(self, work: Callable[[Client], Awaitable[T]], limit_s: float) -> T:
        self._meter.asked()
        running = self._portal.start_task_soon(work, self._ready.result(0))
        try:
            with self._translated(limit_s):
                return running.result(limit_s)
        finally:
            running.cancel()

    async def _keep(self) -> None:
        try:
            how = Client(self._transport(), cache=None, client_info=_WHO)
            async with how as client:
                self._ready.set_result(client)
                await anyio.sleep_forever()
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error if isinstance(error, Exception) else _gone())
            if not isinstance(error, Exception):
                raise
        finally:
            self._over.set()

    def _transport(self) -> AbstractAsyncContextManager[Any]:
        if isinstance(self._how, Process):
            return self._stdio(self._how)
        return _http(self._how, self._meter)

    @asynccontextmanager
    async def _stdio(self, command: Process) -> AsyncIterator[Any]:
        async with started(command, self._meter) as pipe, anyio.create_task_group() as group:
            self._pipe = pipe
            incoming, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
            outgoing, to_send = anyio.create_memory_object_stream[SessionMessage](0)
            async with incoming, messages, outgoing, to_send:
                group.start_soon(_read, pipe, incoming)
                group.start_soon(_write, pipe, to_send, incoming)
                yield messages, outgoing
                group.cancel_scope.cancel()

    async def _list(self, client: Client) -> Sequence[Offer]:
        found: list[Offer] = []
        cursor = None
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += map(_offer, page.tools)
            if len(found) > MOST_TOOLS:
                raise Unavailable(f"it lists more than {MOST_TOOLS} tools")
            if not (cursor := page.next_cursor):
                return found
        raise Unavailable(f"its list of tools has more than {_MOST_PAGES} pages")

    async def _ask(
        self, tool: str, arguments: Mapping[str, Any], client: Client
    ) -> Mapping[str, Any]:
        given = types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        try:
            # Not call_tool: that checks what comes by a schema which the server wrote.
            answer = await client.session.send_request(types.CallToolRequest(params=given), _ANSWER)
        except MCPError as error:
            if _is_gone(error):
                raise
            return {"isError": True, "content": [{"type": "text", "text": error.message}]}
        if isinstance(answer, types.InputRequiredResult):
            raise Unavailable("it asks for an answer of a model or a person, and gets none")
        return dict(answer.model_dump(mode="json", by_alias=True, exclude_none=True))

    @contextmanager
    def _translated(self, limit_s: float) -> Iterator[None]:
        """Turn what goes wrong with the server into Unavailable, with its name and the reason."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a server brings about, it is its fault
            cause = _innermost(error)
            reason = self._meter.trouble or self._ending(cause) or _reason(cause, limit_s)
            said = self._said(cause)
            message = f"the MCP server {self._server.name} fails: {reason}"
            hint = getattr(cause, "hint", None) or self._hint
            raise Unavailable(message, hint=hint) from (said or cause)

    def _said(self, error: Exception) -> "_Said | None":
        """The server's own words: a cause for people, and no part of what a model reads."""
        is_answer = isinstance(error, MCPError) and not _is_gone(error)
        words = str(error) if is_answer else self._pipe.words if self._pipe else ""
        return _Said(f"it said: {visible(words)[:_LONGEST_WORDS]}") if words else None

    def _ending(self, error: Exception) -> str:
        return self._pipe.ending if self._pipe and _is_gone(error) else ""

    @property
    def _hint(self) -> str:
        if isinstance(self._how, Process):
            return f"start it yourself to see what it says: {shlex.join(self._how.argv)}"
        return "check its address, and its token: ai secrets list"


class _Said(Exception):
    """The last words of a server."""


def _place(server: Server) -> tuple[object, ...]:
    return server.name, server.command, server.url, server.cwd, server.env


def _reason(error: Exception, limit_s: float) -> str:
    if isinstance(error, LocalaiError):
        return error.message
    if isinstance(error, TimeoutError):
        return f"it did not answer within {limit_s:g} seconds"
    if _is_gone(error):
        return "the connection ended"
    if isinstance(error, MCPError):
        return f"it answers with an error ({error.code})"
    if isinstance(error, httpx2.HTTPError):
        return "it cannot be reached"
    return "it does not speak the protocol as it should"


def _is_gone(error: Exception) -> bool:
    # Servers use this number for errors of their own; the words are the SDK's.
    is_closed = isinstance(error, MCPError) and error.code == types.CONNECTION_CLOSED
    return is_closed and str(error) == "Connection closed"


async def _read(pipe: Pipe, messages: Any) -> None:
    """Hand on what the program writes; a line that is no message is none of ours."""
    async with messages:
        with suppress(Flood, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for line in pipe.lines():
                with suppress(ValueError):
                    message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                    await messages.send(SessionMessage(message))


async def _write(pipe: Pipe, messages: Any, incoming: Any) -> None:
    try:
        async for each in messages:
            text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
            await pipe.write(text.encode())
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await pipe.settle()
        await incoming.aclose()


@asynccontextmanager
async def _http(at: Endpoint, meter: Meter) -> AsyncIterator[Any]:
    headers = {"Accept-Encoding": "identity"}
    if at.token:
        headers["Authorization"] = f"Bearer {at.token}"
    transport = Metered(meter)
    wait = httpx2.Timeout(_CONNECT_S, read=None)
    async with (
        httpx2.AsyncClient(
            headers=headers, timeout=wait, transport=transport, trust_env=False
        ) as http,
        streamable_http_client(at.url, http_client=http, max_sse_event_size=MAX_LINE) as streams,
    ):
        yield streams


def _offer(tool: types.Tool) -> Offer:
    annotations = tool.annotations
    told = (
        annotations.model_dump(mode="json", by_alias=True, exclude_none=True) if annotations else {}
    )
    return Offer(tool.name, tool.description or "", tool.input_schema, told)


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _gone() -> Exception:
    return Unavailable("the connection was given up")
