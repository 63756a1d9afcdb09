"""The tool that takes a picture of a page of the web; all that imports Playwright.

Chromium shows the page and connects to nothing: every name, number and proxy that it could reach
is one that does not exist. What the page asks for, localai fetches as it fetches any page of a
stranger, and hands it over. So what a name resolves to counts once, where it is checked, and
scripts may run: what they ask for goes the same way or nowhere.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Final

from localai.agent.builtin import beneath
from localai.agent.builtin.files import Path_, failed, paths, writing_risk
from localai.agent.builtin.replace import MAX_WRITE, expected, replace
from localai.agent.builtin.rooms import Rooms
from localai.agent.tools import ByItself, Context, Tool, ToolResult
from localai.approvals.action import Facts
from localai.core.address import address
from localai.core.errors import Invalid, LocalaiError, NotFound, Unavailable
from localai.core.escape import visible
from localai.rbac.permissions import Risk

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page, Playwright, Route, WebSocketRoute

    from localai.core.web import Fetched

MOST_REQUESTS: Final = 100
MOST_BYTES: Final = 20_000_000
LONGEST_S: Final = 30.0

_AT_ONCE: Final = 4
_LOADED_S: Final = 15.0
_CLOSED_S: Final = 5.0
_MOST_TITLE: Final = 200
_SIZE: Final = (1280, 1600)
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable")
_SHOWN: Final = ("text/", "image/", "application/xhtml+xml", "application/json")
# No name is found, that of the proxy neither, and what needs no name goes through the proxy.
_NO_NETWORK: Final = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://nowhere.invalid:1",
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
    "--dns-prefetch-disable",
    "--no-pings",
)
# These would speak UDP; the switches above forbid that, too.
_NO_CALLS: Final = """
for (const each of ["RTCPeerConnection", "webkitRTCPeerConnection", "WebTransport"])
    delete window[each];
"""


@dataclass(frozen=True)
class Limits:
    """The most that a page may take: requests, bytes of all answers together, seconds."""

    requests: int = MOST_REQUESTS
    size: int = MOST_BYTES
    seconds: float = LONGEST_S


@dataclass(frozen=True)
class Picture:
    """A page as it looked: `url` and `title` are the page's own words; size in pixels."""

    url: str
    title: str
    png: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as the picture has them."""
        return int.from_bytes(self.png[16:20]), int.from_bytes(self.png[20:24])


def chromium() -> str | None:
    """The program that shows pages; None where it or Playwright is not installed."""
    if find_spec("playwright") is None:
        return None
    return next(filter(None, map(shutil.which, _NAMES)), None)


def tools(rooms: Rooms, limits: Limits | None = None) -> tuple[Tool, ...]:
    """The tools of this family; none where there is no browser."""
    program = chromium()
    if program is None:
        return ()

    def web_screenshot(
        context: Context,
        url: Annotated[str, "an http or https address of the public internet"],
        path: Path_,
    ) -> ToolResult:
        """Take a picture of a page of the web and write it to a .png file of the workspace."""
        place = beneath.locate(context, path)
        fact = expected(context.facts, place)
        try:
            picture = _taken(program, rooms, url, limits or Limits())
        except (NotFound, Unavailable) as error:
            return ToolResult(False, error.message, error.message)
        try:
            with beneath.parent(context, place, make=True) as (handle, name):
                replace(handle, name, picture.png, fact)
        except OSError as error:
            return failed(path, error)
        return _told(picture, path)

    return (
        Tool(
            name="web_screenshot",
            function=web_screenshot,
            permission="commands:run",
            risk=Risk.HIGH,
            confinement=ByItself(_words()),
            raised_risk=writing_risk,
            facts=_facts,
        ),
    )


def _words() -> str:
    own = "in its own sandbox"
    if os.geteuid() == 0:
        own = "without Chromium's own sandbox, for you are root"
    return (
        f"in Chromium, {own}, with no network: localai fetches what the page asks for, by GET, "
        "from public addresses alone; what the addresses say goes there"
    )


def _facts(context: Context, arguments: Mapping[str, Any]) -> Facts:
    """The file as it stands; nobody is asked about what is no address or no picture's name."""
    address(arguments["url"])
    if not all(each.lower().endswith(".png") for each in paths(context, arguments)):
        raise Invalid("a picture of a page is a .png file", hint="give a path that ends in .png")
    place = beneath.locate(context, arguments["path"])
    return Facts(files=(beneath.content(context, place, MAX_WRITE)[0],))


def _told(picture: Picture, path: str) -> ToolResult:
    width, height = picture.size
    summary = f"{width} x {height} pixels, {len(picture.png)} bytes, written to {path}"
    lines = (visible(picture.url), f"title: {visible(picture.title)}", summary)
    return ToolResult(True, "\n".join(lines), summary, is_foreign=True)


def _taken(program: str, rooms: Rooms, url: str, limits: Limits) -> Picture:
    """The page as it looks; NotFound and Unavailable as a fetch has them."""
    from playwright.async_api import Error  # noqa: PLC0415 - 126 ms, for who needs it

    document = rooms.fetch(url)
    if not document.content_type.startswith(_SHOWN):
        message = f"{document.url} is no page: {document.content_type or 'of no type'}"
        raise Unavailable(message)
    visit = _Visit(document, rooms.part, limits)
    try:
        return asyncio.run(visit.picture(program))
    except TimeoutError as error:
        message = f"{document.url} was not shown within {limits.seconds:g} seconds"
        raise Unavailable(message) from error
    except Error as error:
        why = visible(error.message.partition("\n")[0][:_MOST_TITLE])
        raise Unavailable(f"the browser failed: {why}") from error
    finally:
        visit.close()


class _Visit:
    """One visit to one page: what it has asked for so far, and how much came."""

    def __init__(
        self, document: "Fetched", part: Callable[[str, int, float], "Fetched"], limits: Limits
    ) -> None:
        self._document: Fetched | None = document
        self._at = address(document.url)
        self._part = part
        self._requests = limits.requests
        self._bytes = limits.size - len(document.data)
        self._seconds = limits.seconds
        self._until = time.monotonic() + limits.seconds
        self._idle = _AT_ONCE
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._threads = ThreadPoolExecutor(_AT_ONCE)

    def close(self) -> None:
        """Ask for nothing more; what is under way ends with its own deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def picture(self, program: str) -> Picture:
        """The page, once it is loaded or has had its time for that."""
        from playwright.async_api import TimeoutError as NotLoaded  # noqa: PLC0415 - as above
        from playwright.async_api import async_playwright  # noqa: PLC0415 - as above

        with TemporaryDirectory(prefix="localai-browser-", ignore_cleanup_errors=True) as folder:
            async with (
                async_playwright() as playwright,
                asyncio.timeout(self._seconds),
                _opened(playwright, program, Path(folder)) as context,
            ):
                await context.add_init_script(_NO_CALLS)
                await context.route("**/*", self._answer)
                await context.route_web_socket("**/*", _refuse)
                page = context.pages[0]
                await page.goto(str(self._at), wait_until="commit")
                with suppress(NotLoaded):
                    await page.wait_for_load_state("load", timeout=_LOADED_S * 1000)
                return await _seen(page)

    async def _answer(self, route: "Route") -> None:
        """Fulfil a request of the page with what localai fetches, or break it off."""
        from playwright.async_api import Error  # noqa: PLC0415 - as above

        with suppress(Error):  # of a page that no longer waits for it
            found = await self._found(route)
            if found is None:
                await route.abort("blockedbyclient")
                return
            charset = f"; charset={found.charset}" if found.charset else ""
            kind = f"{found.content_type or 'application/octet-stream'}{charset}"
            await route.fulfill(status=200, content_type=kind, body=found.data)

    async def _found(self, route: "Route") -> "Fetched | None":
        request = route.request
        is_page = request.is_navigation_request() and request.frame.parent_frame is None
        if is_page and self._document is not None:
            document, self._document = self._document, None
            return document
        self._requests -= 1
        if request.method != "GET" or self._requests < 0:
            return None
        try:
            if is_page and address(request.url).host != self._at.host:
                return None  # another machine's page was not asked for
            async with self._at_once:
                return await self._fetched(request.url)
        except (LocalaiError, RuntimeError):  # the latter of a visit that is over
            return None

    async def _fetched(self, url: str) -> "Fetched":
        """In a thread; until it has come, its share of what is left counts as taken."""
        most = self._bytes // self._idle
        left = self._until - time.monotonic()
        if most <= 0 or left <= 0:
            raise Unavailable("the page asks for too much")
        kept = 0
        self._idle, self._bytes = self._idle - 1, self._bytes - most
        try:
            running = asyncio.get_running_loop()
            found = await running.run_in_executor(self._threads, self._part, url, most, left)
            kept = len(found.data)
        finally:
            self._idle, self._bytes = self._idle + 1, self._bytes + most - kept
        return found


@asynccontextmanager
async def _opened(
    playwright: "Playwright", program: str, folder: Path
) -> "AsyncIterator[BrowserContext]":
    """A browser that nobody has used, has no network and ends here, however this is left."""
    context = await playwright.chromium.launch_persistent_context(
        folder / "profile",
        executable_path=program,
        args=_NO_NETWORK,
        chromium_sandbox=os.geteuid() != 0,
        env=_environment(folder),
        accept_downloads=False,
        service_workers="block",
        permissions=[],
        viewport={"width": _SIZE[0], "height": _SIZE[1]},
    )
    try:
        yield context
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSED_S):
                await context.close()


def _environment(folder: Path) -> dict[str, str | float | bool]:
    """Nothing of the caller's: no secret, no proxy, no display."""
    return {"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}


async def _refuse(socket: "WebSocketRoute") -> None:
    await socket.close()


async def _seen(page: "Page") -> Picture:
    png = await page.screenshot(animations="disabled", timeout=0)
    title = await page.title()
    return Picture(page.url[: 2 * _MOST_TITLE], title[:_MOST_TITLE], png)
