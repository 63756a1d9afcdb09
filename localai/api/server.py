"""One process that serves a home until it is told to end, and looks after it meanwhile."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from localai.api.application import made, published, served
from localai.api.bounds import MAX_REQUESTS
from localai.api.figures import PATH
from localai.app import App
from localai.core import log
from localai.core import settings as keys
from localai.core.errors import Denied, LocalaiError
from localai.core.serving import Bounds, Encryption, address_of, listening, serve
from localai.core.stop import until_stopped
from localai.core.strangers import is_loopback

HOST: Final = "127.0.0.1"
THREADS: Final = 6  # rooms are synchronous, and the database lends 15 connections in all
ENDING_S: Final = 10
_SCRAPERS: Final = 16
_SWEEP_S = 1.0


@dataclass(frozen=True)
class Place:
    """Where to serve, and whether others than this machine may come there."""

    host: str = HOST
    port: int = 8020
    is_open: bool = False
    encryption: Encryption | None = None


def run(rooms: App, place: Place, announce: Callable[[str], None]) -> None:
    """Serve until the process is told to end; KeyboardInterrupt where it was Ctrl-C."""
    if not (place.is_open or is_loopback(place.host)):
        message = f"{place.host} can be reached from other machines"
        raise Denied(message, hint="add --open-to-network if that is meant")
    touch(rooms)
    listener = listening(place.host, place.port, hint="ai serve --port N")
    _announce(place, address_of(place.host, listener), announce)
    scraped = _scraped(rooms, announce)
    log.adopt("uvicorn", "starlette", "fastapi", "asyncio")
    rooms.send_in_background()
    work = partial(serve_home, rooms, place, listener, scraped=scraped)
    with log.serving(address_of(place.host, listener)):
        anyio.run(partial(until_stopped, work, spares_s=ENDING_S))


async def serve_home(
    rooms: App,
    place: Place,
    listener: socket.socket,
    ending: anyio.Event,
    *,
    scraped: socket.socket | None = None,
) -> None:
    """Serve on the socket until `ending` is set; meanwhile write down what is over.

    Where there is another socket to be `scraped`, figures are published on it without a key.
    """
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    app = made(rooms)
    app.state.ending = ending
    asgi = served(app, place.host, rooms.tally)
    bounds = Bounds(2 * MAX_REQUESTS, ENDING_S)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_sweep, rooms)
        if scraped is not None:
            publish = served(published(rooms), HOST, rooms.tally)
            tasks.start_soon(serve, publish, scraped, ending, Bounds(_SCRAPERS))
        await serve(asgi, listener, ending, bounds, place.encryption)
        tasks.cancel_scope.cancel()


def touch(rooms: App) -> None:
    """Build here, where there is one thread, what requests will use in several."""
    rooms.database.version()
    for name in (
        "actor",
        "api_keys",
        "approvals",
        "runner",
        "notify",
        "exposition",
        "rag",
        "alerting",
    ):
        getattr(rooms, name)
    for name in ("models", "completions", "engines", "embeddings", "model_rights", "quotas"):
        getattr(rooms, name)


def _announce(place: Place, address: str, announce: Callable[[str], None]) -> None:
    scheme = "https" if place.encryption else "http"
    url = f"{scheme}://{address}"
    announce(f"listening at {url} for who has an API key (ai keys create); Ctrl-C ends it")
    if not (place.encryption or is_loopback(place.host)):
        announce(f"{url} is not encrypted: others on the way can read what is said, and the keys")


def _scraped(rooms: App, announce: Callable[[str], None]) -> socket.socket | None:
    """The socket of `metrics.port`, for this machine alone; None where it is not set."""
    if not (port := rooms.settings[keys.METRICS_PORT]):
        return None
    listener = listening(HOST, port, hint="ai config set metrics.port N")
    announce(f"figures at http://{address_of(HOST, listener)}{PATH}, without a key")
    return listener


async def _sweep(rooms: App) -> None:
    """Write down what the clock says is over, so that reading never has to."""
    told = None
    while True:
        try:
            await anyio.to_thread.run_sync(rooms.approvals.sweep)
            told = None
        except LocalaiError as error:
            if error.message != told:  # once, and not every second
                log.write("http.not-swept", error=error.message)
            told = error.message
        await anyio.sleep(_SWEEP_S)
