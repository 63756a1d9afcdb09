"""The application: every door, what every request meets first, and what every error becomes."""

from collections.abc import Sequence
from typing import Final

from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig

from localai import __version__
from localai.api import (
    alerts,
    approvals,
    errors,
    figures,
    gateway,
    health,
    memory,
    openapi,
    pages,
    rag,
    waits,
)
from localai.api.bounds import Bounds
from localai.api.gateway_errors import Spoken
from localai.api.readiness import Examiner
from localai.api.seats import Seats
from localai.app import App
from localai.core.asgi import Application, Measured, Receive, Scope, Send
from localai.core.measure import Measures
from localai.core.metrics import OTHER
from localai.core.strangers import Strangers

DOORS: Final = (
    health.router,
    waits.router,
    approvals.router,
    rag.router,
    memory.router,
    alerts.router,
    pages.router,
)
MAX_WAITING: Final = 32  # of those that wait for something to happen
MAX_RUNNING: Final = 3  # of tools at work
MAX_TALKING: Final = 32  # of those who ask models
# FastAPI reports requests where the environment, or another library, has set that up.
_UNREPORTED: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}


def made(rooms: App) -> FastAPI:
    """The doors of a home."""
    app = _bare(rooms, DOORS)
    app.state.examiner = Examiner(rooms)
    app.state.waiting = Seats(MAX_WAITING)
    app.state.running = Seats(MAX_RUNNING)
    app.state.runners = CapacityLimiter(MAX_RUNNING)
    gateway.install(app)
    rag.install(app)
    errors.install(app)
    openapi.install(app)
    return app


def published(rooms: App) -> FastAPI:
    """The figures of a home and nothing else, without a key."""
    app = _bare(rooms, (figures.router,))
    app.state.publish = rooms.exposition.publisher(rooms.actor)
    errors.install(app)
    return app


def served(app: FastAPI, host: str, measures: Measures) -> Application:
    """The same as a server at `host` serves it: bounded, and counted."""
    strangers = Strangers(host)
    bounded = Bounds(app, strangers)
    # With seats of its own: those that wait for a model keep nobody from deciding.
    talking = Spoken(Bounds(app, strangers, MAX_TALKING, gateway.MAX_BODY))
    doors: dict[str, Application] = {"api": bounded, "metrics": bounded, "gateway": talking}
    services = {name: Measured(door, measures, name, endpoint) for name, door in doors.items()}

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        await services[_service(scope)](scope, receive, send)

    return counted


def _bare(rooms: App, doors: Sequence[APIRouter]) -> FastAPI:
    """Without the pages that FastAPI brings, which load from elsewhere."""
    app = FastAPI(
        title=openapi.TITLE,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=_UNREPORTED,
    )
    app.state.rooms = rooms
    for door in doors:
        # Routes of the application itself are found in half the time of an included router's.
        app.router.routes.extend(door.routes)
    return app


def _service(scope: Scope) -> str:
    """Under which name a request is counted."""
    if scope["type"] == "http" and gateway.is_here(scope["path"]):
        return "gateway"
    return "metrics" if scope["type"] == "http" and scope["path"] == figures.PATH else "api"


def endpoint(scope: Scope) -> str:
    """What a request asks for, as figures name it: the template of its path."""
    route = scope.get("route")
    return getattr(route, "path_format", OTHER)
