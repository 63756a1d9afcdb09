"""Standard input and output as a transport: a message a line, bounded, and nothing else on it.

While it serves, what anything else here reads is empty and what it prints goes to standard error.
The SDK's own transport waits for a line where nothing interrupts it, keeps lines of any length and
leaves what it cannot read unanswered.
"""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp import types
from mcp.server import Server
from mcp.shared.message import SessionMessage

from localai.agent.mcp.server import Service
from localai.core.stop import until_stopped

MAX_LINE = 8 << 20

_CHUNK = 65_536
_PIECE = 4_096  # a pipe that is ready takes so much without waiting
_UNREADABLE = "not a JSON-RPC 2.0 message"
_LAST_WORDS_S = 1


def serve(service: Service) -> None:
    """Serve the one client at the other end until it closes its side."""
    with _wires() as (source, sink):
        anyio.run(until_stopped, lambda ending: _serve(service.server(), source, sink, ending))


async def lines(source: int, most: int = MAX_LINE) -> AsyncIterator[bytes | None]:
    """Each line that comes, without its end; None in the place of one that is too long."""
    kept = bytearray()
    while chunk := await _read(source):
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            kept += part
            yield bytes(kept) if len(kept) <= most else None
            kept.clear()
        kept += rest
        del kept[most + 1 :]
    if kept:
        yield bytes(kept) if len(kept) <= most else None


def read(line: bytes | None) -> SessionMessage | types.JSONRPCError:
    """The message that a line is, else what to answer."""
    if line is None:
        return _refusal(None, types.INVALID_REQUEST, f"a message has {MAX_LINE} bytes at most")
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        pass
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return _refusal(None, types.PARSE_ERROR, _UNREADABLE)
    number = found.get("id") if isinstance(found, dict) else None
    is_id = isinstance(number, str | int) and not isinstance(number, bool)
    return _refusal(number if is_id else None, types.INVALID_REQUEST, _UNREADABLE)


def _refusal(number: str | int | None, code: int, message: str) -> types.JSONRPCError:
    error = types.ErrorData(code=code, message=message)
    return types.JSONRPCError(jsonrpc="2.0", id=number, error=error)


async def _serve(server: Server[Any], source: int, sink: int, ending: anyio.Event) -> None:
    coming, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, going = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_take, source, coming, outgoing.clone(), ending)
        tasks.start_soon(_give, sink, going, ending)
        await server.run(incoming, outgoing, server.create_initialization_options())
        tasks.cancel_scope.deadline = anyio.current_time() + _LAST_WORDS_S


async def _take(
    source: int,
    coming: ObjectSendStream[SessionMessage | Exception],
    answers: ObjectSendStream[SessionMessage],
    ending: anyio.Event,
) -> None:
    """Hand on what the client says until it ends, or we do: to the server both are the same.

    What cannot be read is answered, and the next line is read.
    """
    async with coming, answers, anyio.create_task_group() as tasks:
        tasks.start_soon(_end_with, ending, tasks.cancel_scope.cancel)
        async for line in lines(source):
            if line is not None and not line.strip():
                continue
            message = read(line)
            if isinstance(message, SessionMessage):
                await coming.send(message)
            else:
                await answers.send(SessionMessage(message))
        ending.set()


async def _end_with(ending: anyio.Event, cancel: Callable[[], None]) -> None:
    await ending.wait()
    cancel()


async def _give(sink: int, going: ObjectReceiveStream[SessionMessage], ending: anyio.Event) -> None:
    """Write what is answered until the client hears no more."""
    async with going:
        async for each in going:
            text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await _write(sink, f"{text}\n".encode())
            except OSError:
                ending.set()
                return


async def _read(source: int) -> bytes:
    await _ready(partial(anyio.wait_readable, source))
    try:
        return os.read(source, _CHUNK)
    except OSError:  # a terminal that was closed
        return b""


async def _write(sink: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        await _ready(partial(anyio.wait_writable, sink))
        left = left[os.write(sink, left[:_PIECE]) :]


async def _ready(wait: Callable[[], Any]) -> None:
    """Wait until a pipe, a socket or a terminal is ready; a file always is."""
    try:
        await wait()
    except PermissionError:
        await anyio.lowlevel.checkpoint()


@contextmanager
def _wires() -> Iterator[tuple[int, int]]:
    """Standard input and output for us alone, until the end."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        yield source, sink
    finally:
        os.dup2(source, 0)
        os.dup2(sink, 1)
        for handle in (source, sink, nothing):
            os.close(handle)
