"""Streamable HTTP: a port for programs of this machine, opened by an API key of ours."""

import hashlib
from collections.abc import Callable

import anyio
import anyio.to_thread
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from localai.agent.mcp.calls import CONVERSATION
from localai.agent.mcp.server import Context, Service
from localai.core import log
from localai.core.asgi import Measured
from localai.core.errors import Denied, LocalaiError
from localai.core.ids import new_id
from localai.core.measure import Measures
from localai.core.metrics import OTHER
from localai.core.serving import Bounds, address_of, listening
from localai.core.serving import serve as serve_on
from localai.core.stop import until_stopped
from localai.core.strangers import Misdirected, Strangers, is_loopback, key_in
from localai.rbac.permissions import Actor

PATH = "/mcp"
MAX_BODY = 1 << 20
MAX_SESSIONS = 64
MAX_CONNECTIONS = 128

_ACTOR = "localai.actor"
_STARTED = new_id()
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
    listener = listening(host, port, hint="ai mcp serve --http --port N")
    url = f"http://{address_of(host, listener)}{PATH}"
    announce(f"listening at {url} for who has an API key (ai keys create); Ctrl-C ends it")
    if not is_loopback(host):
        announce(f"{url} is not encrypted: others on the way can read what is said, and the keys")
    app = service.server().streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=MAX_BODY,
        max_sessions=MAX_SESSIONS,
        transport_security=_OPEN,
    )
    door = Door(app, authenticate, host, service.looking)
    measured = Measured(door, measures, "mcp", endpoint)
    bounds = Bounds(MAX_CONNECTIONS)
    anyio.run(until_stopped, lambda ending: serve_on(measured, listener, ending, bounds))


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
        self._strangers = Strangers(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 for a foreign name, 403 for a foreign page, 401 without a key that holds."""
        answer = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            answer = self._stranger(headers) or await self._enter(scope, headers) or answer
        await answer(scope, receive, send)

    def _stranger(self, headers: Headers) -> JSONResponse | None:
        try:
            self._strangers.refuse(headers.get("host", ""), headers.get("origin"))
        except Denied as error:
            return _no(421 if isinstance(error, Misdirected) else 403, error)
        return None

    async def _enter(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        """Note whose key came with the request; the answer where none did."""
        try:
            key = key_in(headers)
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


def _no(status: int, error: LocalaiError) -> JSONResponse:
    told = {"category": error.category, "message": error.message, "hint": error.hint}
    challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004
    return JSONResponse({"error": told}, status, challenge)
