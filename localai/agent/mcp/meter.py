"""How much a server may say: bounded whatever carries it, and nothing is unpacked."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2

MAX_LINE = 4 << 20
_UNWELCOME = frozenset({401, 403})


class Flood(Exception):
    """It says more than anybody asked for."""


class Meter:
    """Counts what comes in since something was last asked for; Flood beyond `most` bytes."""

    def __init__(self, most: int = 4 * MAX_LINE) -> None:
        self._most = most
        self._seen = 0
        self.trouble = ""

    def asked(self) -> None:
        """A request begins: what came until then counts no more."""
        self._seen, self.trouble = 0, ""

    def take(self, count: int) -> None:
        """So many bytes came."""
        self._seen += count
        if self._seen > self._most:
            self.trouble = f"it sent more than {self._most >> 20} MB"
            raise Flood(self.trouble)


class Metered(httpx2.AsyncHTTPTransport):
    """Counts what comes in, and takes nothing that unpacks to more than it counted."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(trust_env=False)
        self._meter = meter

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request; what is wrong with the response is written down."""
        try:
            response = await super().handle_async_request(request)
        except httpx2.TransportError:
            self._meter.trouble = "it cannot be reached"
            raise
        if response.status_code in _UNWELCOME:
            self._meter.trouble = f"it answers {response.status_code}: is its token right?"
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            self._meter.trouble = "it packs what was not to be packed"
            raise httpx2.ReadError(self._meter.trouble)
        response.stream = _Counted(response.stream, self._meter)
        return response


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            try:
                self._meter.take(len(chunk))
            except Flood as error:
                raise httpx2.ReadError(str(error)) from error
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
