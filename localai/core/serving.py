"""Serves an ASGI application on a socket until it is told to end: the only file with uvicorn.

A client that connects and says nothing, stops in the middle of its headers, or leaves unread what
it is sent, is sent away.
"""

import asyncio
import socket
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from localai.core.asgi import Application
from localai.core.errors import Invalid, Unavailable

MAX_HEADERS = 32 << 10  # bytes, with the first line
KEEP_S = 5  # a connection on which nothing is asked any more
HEADERS_S = 10.0  # from the connection to the end of the first request's headers
READING_S = 30.0  # the longest that a client may read nothing of what waits for it


@dataclass(frozen=True)
class Bounds:
    """How many connections are taken at once; how long what is under way has to end, in seconds."""

    connections: int = 128
    ending_s: int = 1


@dataclass(frozen=True)
class Encryption:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


def listening(host: str, port: int, *, hint: str) -> socket.socket:
    """A socket that listens; Unavailable where the port is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        message = f"{host} port {port} cannot be listened on"
        raise Unavailable(message, hint=hint) from error
    # What is accepted inherits it; else a body waits 40 ms behind its headers, because asyncio
    # sets it for sockets of its own alone.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address_of(host: str, listener: socket.socket) -> str:
    """Host and port as they stand in an address."""
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{listener.getsockname()[1]}"


async def serve(
    app: Application,
    listener: socket.socket,
    ending: anyio.Event,
    bounds: Bounds,
    encryption: Encryption | None = None,
) -> None:
    """Serve until `ending` is set, then let what is under way end."""
    server = _Uvicorn(_configured(app, bounds, encryption))

    async def end() -> None:
        await ending.wait()
        server.should_exit = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


def _configured(app: Application, bounds: Bounds, encryption: Encryption | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=_Impatient,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,  # what a request says of its way is whatever anybody wrote
        ws="none",
        limit_concurrency=bounds.connections,
        timeout_keep_alive=KEEP_S,
        timeout_graceful_shutdown=bounds.ending_s,
        h11_max_incomplete_event_size=MAX_HEADERS,
        ssl_certfile=encryption.certificate if encryption else None,
        ssl_keyfile=encryption.key if encryption else None,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise Invalid(f"the certificate or its key cannot be used: {error}") from error
    return config


class _Uvicorn(uvicorn.Server):
    """Without uvicorn's own handling of signals, which would end the process by them."""

    def capture_signals(self) -> Any:
        return nullcontext()


class _Impatient(H11Protocol):
    """Closes a connection on which no request has come whole, or nothing was read, for too long."""

    _patience: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop_waiting()
        elif self._is_idle and self._patience is None:
            self._wait()  # the headers of a later request have begun

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_expecting()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        self._stop_expecting()
        super().resume_writing()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEADERS_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _expect_reading(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(READING_S, self._look_again, waiting)

    def _look_again(self, waiting: int) -> None:
        if self.transport.get_write_buffer_size() < waiting:
            self._expect_reading()
        else:
            self.transport.abort()

    def _stop_expecting(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _give_up(self) -> None:
        self._patience = None
        if self._is_idle and not self.transport.is_closing():
            self.transport.close()
