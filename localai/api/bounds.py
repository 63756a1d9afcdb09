"""What every request meets first: its id, its bounds, and whether its sender may ask here."""

import re
from typing import Final

import anyio
from starlette.datastructures import Headers, MutableHeaders

from localai.api.errors import REQUEST_ID, LongHeaders, TooLarge, TooSlow, problem
from localai.api.seats import Seats
from localai.core.asgi import Application, Message, Receive, Scope, Send
from localai.core.errors import LocalaiError
from localai.core.ids import new_id
from localai.core.serving import MAX_HEADERS
from localai.core.strangers import Strangers

MAX_BODY: Final = 1 << 20
MAX_REQUESTS: Final = 64  # under way at once; the next one is told to come again
BODY_S: Final = 10.0  # the longest silence in the middle of a body

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Bounds:
    """Lets through what may ask here, as many at once as can be, with an id and within bounds."""

    def __init__(
        self,
        app: Application,
        strangers: Strangers,
        most: int = MAX_REQUESTS,
        largest: int = MAX_BODY,
    ) -> None:
        self._app = app
        self._strangers = strangers
        self._seats = Seats(most)
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused here; pass on the rest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        scope[REQUEST_ID] = given if _WELL_FORMED.fullmatch(given) else new_id()
        marked = _marked(send, scope[REQUEST_ID])
        try:
            self._strangers.refuse(headers.get("host", ""), headers.get("origin"))
            _refuse_large(scope, headers, self._largest)
            async with self._seats.one():
                await self._app(scope, _measured(receive, self._largest), marked)
        except LocalaiError as error:
            await problem(error, scope[REQUEST_ID])(scope, receive, marked)


def _refuse_large(scope: Scope, headers: Headers, largest: int) -> None:
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS:
        raise LongHeaders(f"headers have {MAX_HEADERS} bytes at most")
    size = headers.get("content-length", "0")
    if not size.isascii() or not size.isdigit() or int(size[:20]) > largest:
        raise TooLarge(f"a body has {largest} bytes at most")


def _measured(receive: Receive, largest: int) -> Receive:
    """The same, but a body that is too large or too slow is an error."""
    size, is_whole = 0, False

    async def bounded() -> Message:
        nonlocal size, is_whole
        message = await receive() if is_whole else await _in_time(receive)
        is_whole = not message.get("more_body", False)
        size += len(message.get("body", b""))
        if size > largest:
            raise TooLarge(f"a body has {largest} bytes at most")
        return message

    return bounded


async def _in_time(receive: Receive) -> Message:
    try:
        with anyio.fail_after(BODY_S):
            return await receive()
    except TimeoutError as error:
        raise TooSlow(f"nothing of the body came in {BODY_S:.0f} s") from error


def _marked(send: Send, request_id: str) -> Send:
    """The same with our headers."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = request_id
            headers.setdefault("Cache-Control", "no-store")
            headers.setdefault("X-Content-Type-Options", "nosniff")
        await send(message)

    return marked
