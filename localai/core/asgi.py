"""Counts what an HTTP server answers; any server of ASGI applications can use it.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, Final

from localai.core.measure import Measures
from localai.core.metrics import HTTP_DURATION, HTTP_REQUESTS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LEFT: Final = 499  # as nginx has it: the client was gone before there was an answer
FAILED: Final = 500  # what servers answer for an application that raised, or said nothing

_METHODS: Final = HTTP_REQUESTS.labels["method"] or ()


class Measured:
    """An application whose answers are counted as they begin.

    `endpoint` names what was asked for by a template out of a few: a raw path is anybody's. It is
    asked when the answer begins, when the application's routing has left its notes in the scope.
    """

    def __init__(
        self,
        app: Application,
        measures: Measures,
        service: str,
        endpoint: Callable[[Scope], str],
    ) -> None:
        self._app = app
        self._measures = measures
        self._service = service
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; an answer counts when its first byte leaves, and its head is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note = lambda *found: self._note(scope, *found)  # noqa: E731 - knows the scope
        request = _Request(scope["method"], receive, send, note)
        try:
            await self._app(scope, request.receive, request.send)
        except BaseException:
            request.end(FAILED)
            raise
        request.end()

    def _note(self, scope: Scope, status: int, took: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._measures.count(HTTP_REQUESTS, self._service, method, str(status))
        if status != LEFT:
            self._measures.observe(HTTP_DURATION, took, self._service, self._endpoint(scope))


class _Request:
    """One request: `note` hears once how it was answered, and after how many seconds."""

    def __init__(
        self, method: str, receive: Receive, send: Send, note: Callable[[int, float], None]
    ) -> None:
        self._method = method
        self._receive = receive
        self._send = send
        self._note = note
        self._started = perf_counter()
        self._status = FAILED
        self._is_noted = False
        self._has_left = False

    async def receive(self) -> Message:
        """What the client sends; that it left is remembered."""
        message = await self._receive()
        self._has_left = self._has_left or message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        """What the client is sent."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._is_waited_on(message):
                self.end()
        elif message.get("body") or not message.get("more_body"):
            self.end()
        await self._send(message)

    def _is_waited_on(self, message: Message) -> bool:
        """Whether this is a stream that says something when there is something to say."""
        kind = dict(message.get("headers", ())).get(b"content-type", b"")
        return self._method == "GET" and kind.startswith(b"text/event-stream")

    def end(self, status: int | None = None) -> None:
        """The answer begins, or the application is done without one."""
        if not self._is_noted:
            self._is_noted = True
            told = LEFT if self._has_left else status or self._status
            self._note(told, perf_counter() - self._started)
