"""The application: every door, what every request meets first, and what every error becomes."""

from typing import Final

from fastapi import FastAPI

from localai import __version__
from localai.api import approvals, errors, health, pages
from localai.api.bounds import Bounds
from localai.api.readiness import Examiner
from localai.app import App
from localai.core.asgi import Application, Measured, Receive, Scope, Send
from localai.core.measure import Measures
from localai.core.metrics import OTHER
from localai.core.strangers import Strangers

METRICS: Final = "/metrics"
TITLE: Final = "localai"


def made(rooms: App) -> FastAPI:
    """The doors of a home."""
    app = FastAPI(
        title=TITLE,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.rooms = rooms
    app.state.examiner = Examiner(rooms)
    for door in (health, approvals, pages):
        app.include_router(door.router)
    errors.install(app)
    return app


def served(app: FastAPI, host: str, measures: Measures) -> Application:
    """The same as a server at `host` serves it: bounded, and counted."""
    bounded = Bounds(app, Strangers(host))
    services = {name: Measured(bounded, measures, name, endpoint) for name in ("api", "metrics")}

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        is_scrape = scope["type"] == "http" and scope["path"] == METRICS
        await services["metrics" if is_scrape else "api"](scope, receive, send)

    return counted


def endpoint(scope: Scope) -> str:
    """What a request asks for, as figures name it: the template of its path."""
    route = scope.get("route")
    return getattr(route, "path_format", OTHER)
