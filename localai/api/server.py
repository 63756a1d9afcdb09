"""One process that serves a home until it is told to end, and looks after it meanwhile."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from localai.api.application import made, published, served
from localai.api.attending import attending
from localai.api.bounds import MAX_REQUESTS
from localai.api.figures import PATH
from localai.app import App
from localai.core import log
from localai.core import settings as keys
from localai.core.errors import Denied, LocalaiError
from localai.core.line.server import Answering
from localai.core.serving import Bounds, Encryption, address_of, listening, serve
from localai.core.stop import until_stopped
from localai.core.strangers import is_loopback

HOST: Final = "127.0.0.1"
THREADS: Final = 2  # rooms are synchronous; more threads answer no sooner, and wait for each other
ENDING_S: Final = 10
_SCRAPERS: Final = 16
_SWEEP_S = 1.0
_ROOMS: Final = (
    *("actor", "api_keys", "approvals", "runner", "notify", "alerting", "exposition", "rag"),
    *("models", "completions", "engines", "embeddings", "resident", "model_rights", "quotas"),
    *("history", "search", "recollection"),
)


@dataclass(frozen=True)
class Place:
    """Where to serve, and whether others than this machine may come there.

    A model that nobody has used for `keep_alive_s` seconds is unloaded.
    """

    host: str = HOST
    port: int = 8020
    is_open: bool = False
    encryption: Encryption | None = None
    keep_alive_s: int = 1800


def run(rooms: App, place: Place, announce: Callable[[str], None]) -> None:
    """Serve until the process is told to end; KeyboardInterrupt where it was Ctrl-C."""
    if not (place.is_open or is_loopback(place.host)):
        message = f"{place.host} can be reached from other machines"
        raise Denied(message, hint="add --open-to-network if that is meant")
    rooms.database.version()
    listener = listening(place.host, place.port, hint="ai serve --port N")
    address = address_of(place.host, listener)
    with attending(rooms, address, place.keep_alive_s) as (answers, told):
        touch(rooms)
        _announce(place, address, announce)
        for line in told:
            announce(line)
        scraped = _scraped(rooms, announce)
        log.adopt("uvicorn", "starlette", "fastapi", "asyncio")
        rooms.send_in_background()
        work = partial(serve_home, rooms, place, listener, scraped=scraped, answers=answers)
        with log.serving(address):
            anyio.run(partial(until_stopped, work, spares_s=ENDING_S))


async def serve_home(  # noqa: PLR0913 - who is served, and from where
    rooms: App,
    place: Place,
    listener: socket.socket,
    ending: anyio.Event,
    *,
    scraped: socket.socket | None = None,
    answers: Answering | None = None,
) -> None:
    """Serve on the socket until `ending` is set; meanwhile write down what is over.

    Where there is another socket to be `scraped`, figures are published on it without a key. Those
    who are attached have as long to end as those who came over HTTP.
    """
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    app = made(rooms)
    app.state.ending = ending
    asgi = served(app, place.host, rooms.tally)
    bounds = Bounds(2 * MAX_REQUESTS, ENDING_S)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_sweep, rooms)
        if answers is not None:
            tasks.start_soon(_end_attached, answers, ending)
        if scraped is not None:
            publish = served(published(rooms), HOST, rooms.tally)
            tasks.start_soon(serve, publish, scraped, ending, Bounds(_SCRAPERS))
        await serve(asgi, listener, ending, bounds, place.encryption)
        tasks.cancel_scope.cancel()


def touch(rooms: App) -> None:
    """Build here, where there is one thread, what requests will use in several."""
    rooms.database.version()
    for name in _ROOMS:
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


async def _end_attached(answers: Answering, ending: anyio.Event) -> None:
    await ending.wait()
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(answers.end, ENDING_S)


async def _sweep(rooms: App) -> None:
    """Write down what the clock says is over, so that reading never has to."""
    told = None
    while True:
        try:
            await anyio.to_thread.run_sync(rooms.approvals.sweep)
            if rooms.kept_loaded_s:
                await anyio.to_thread.run_sync(rooms.unload, rooms.kept_loaded_s)
            told = None
        except LocalaiError as error:
            if error.message != told:  # once, and not every second
                log.write("http.not-swept", error=error.message)
            told = error.message
        await anyio.sleep(_SWEEP_S)
