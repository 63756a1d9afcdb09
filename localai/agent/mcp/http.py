"""Streamable HTTP: a port for programs of this machine, opened by an API key of ours.

A page in a browser may send requests here under a name that it made lead here (DNS rebinding),
so a request must name an address or this machine, and none may come from a foreign page.
"""

import hashlib
import ipaddress
import socket
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import uvicorn
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from localai.agent.mcp.calls import CONVERSATION
from localai.agent.mcp.server import Context, Service
from localai.agent.mcp.stop import until_stopped
from localai.core import log
from localai.core.asgi import Measured
from localai.core.errors import Denied, LocalaiError, Unavailable
from localai.core.ids import new_id
from localai.core.measure import Measures
from localai.core.metrics import OTHER
from localai.rbac.permissions import Actor

PATH = "/mcp"
MAX_BODY = 1 << 20
MAX_SESSIONS = 64
MAX_CONNECTIONS = 128

_ACTOR = "localai.actor"
_STARTED = new_id()
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # Door is stricter


def caller(ctx: Context) -> Actor:
    """For whom a request is made: the owner of its key, as an agent in the client's session.

    Newer clients have no sessions; theirs is one for the key and as long as this server runs.
    """
    assert ctx.request is not None  # noqa: S101 - HTTP always has one
    actor: Actor = ctx.request.scope[_ACTOR]
    # Where there are sessions the SDK knows this one; elsewhere the header is what anybody wrote.
    has_sessions = ctx.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS
    session = ctx.request.headers.get("mcp-session-id", "") if has_sessions else ""
    named = f"{_STARTED} {actor.key} {session}"
    return actor.agent(CONVERSATION + hashlib.sha256(named.encode()).hexdigest()[:16])


def serve(  # noqa: PLR0913 - a service, its door, and who hears of them
    service: Service,
    authenticate: Callable[[str], Actor],
    host: str,
    port: int,
    announce: Callable[[str], None],
    measures: Measures,
) -> None:
    """Serve at the address until the process is told to end; `announce` says where that is."""
    listening = _listening(host, port)
    name = f"[{host}]" if ":" in host else host
    url = f"http://{name}:{listening.getsockname()[1]}{PATH}"
    announce(f"listening at {url} for who has an API key (ai keys create); Ctrl-C ends it")
    if host not in _LOOPBACK:
        announce(f"{url} is not encrypted: others on the way can read what is said, and the keys")
    app = service.server().streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=MAX_BODY,
        max_sessions=MAX_SESSIONS,
        transport_security=_OPEN,
    )
    door = Door(app, authenticate, host, service.looking)
    measured = Measured(door, measures, "mcp", endpoint)
    anyio.run(until_stopped, partial(_serve, measured, listening))


def endpoint(scope: Scope) -> str:
    """What a request asks for, as figures name it."""
    return PATH if scope["path"] == PATH else OTHER


class Door:
    """Lets in who has a key and comes from no foreign page."""

    def __init__(
        self,
        app: ASGIApp,
        authenticate: Callable[[str], Actor],
        host: str,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._authenticate = authenticate
        self._names = {"localhost", host.lower(), socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 for a foreign name, 403 for a foreign page, 401 without a key that holds."""
        answer = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            answer = self._stranger(headers) or await self._enter(scope, headers) or answer
        await answer(scope, receive, send)

    def _stranger(self, headers: Headers) -> JSONResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_ours(_name(f"//{host}")):
            return _no(421, Denied("this server is not called so", hint="use its address"))
        if origin is not None and _name(origin) not in {_name(f"//{host}"), *_LOOPBACK}:
            return _no(403, Denied("pages of other places may not ask here"))
        return None

    async def _enter(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        """Note whose key came with the request; the answer where none did."""
        try:
            key = _key(headers)
            actor = await anyio.to_thread.run_sync(self._authenticate, key, limiter=self._limiter)
        except Denied as error:
            return _no(401, error)
        except LocalaiError as error:
            log.write("server.unavailable", error=error.message)
            return _no(503, error)
        scope[_ACTOR] = actor
        # The SDK lets nobody into a session that another key opened.
        token = AccessToken(token="", client_id=actor.key or "", scopes=[], subject=actor.user_id)
        scope["user"] = AuthenticatedUser(token)
        return None

    def _is_ours(self, name: str) -> bool:
        """Whether a request by this name reached us by no trick: an address is no name."""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True


class _Uvicorn(uvicorn.Server):
    """Without uvicorn's own handling of signals, which would end the process by them."""

    def capture_signals(self) -> Any:
        return nullcontext()


async def _serve(app: ASGIApp, listening: socket.socket, ending: anyio.Event) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    server = _Uvicorn(config)

    async def end() -> None:
        await ending.wait()
        server.should_exit = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end)
        await server.serve(sockets=[listening])
        tasks.cancel_scope.cancel()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        message = f"{host} port {port} cannot be listened on"
        raise Unavailable(message, hint="ai mcp serve --http --port N") from error


def _key(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    if not key:
        raise Denied("no API key came with the request", hint="ai keys create --user NAME")
    return key


def _name(address: str) -> str:
    """The name of a machine in an address; empty where there is none."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _no(status: int, error: LocalaiError) -> JSONResponse:
    told = {"category": error.category, "message": error.message, "hint": error.hint}
    challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004
    return JSONResponse({"error": told}, status, challenge)
