"""Fetches a page of the public internet, or posts to a named one; all that imports httpcore.

An address may have been written by a stranger, so it must not reach what only this machine can
reach. Each host is resolved here, every address that it has is checked, and the connection goes to
an address that was checked, at every redirect anew: a name that changes its mind in between
changes nothing. Size and time are bounded in all, whatever the server does.
"""

import ipaddress
import queue
import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore

from localai import __version__
from localai.core.address import Address, Ip, address, is_public
from localai.core.errors import Denied, NotFound, Unavailable

MOST_BYTES: Final = 10_000_000
LONGEST_S: Final = 30.0
MOST_REDIRECTS: Final = 5

_CONNECT_S: Final = 10.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_GONE: Final = frozenset({404, 410})
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)
_HEADERS: Final = (
    ("User-Agent", f"localai/{__version__} (fetches what a person named; no crawler)"),
    ("Accept", "text/html, text/*;q=0.9, */*;q=0.5"),
    ("Accept-Encoding", "gzip"),
)
_LATER: Final = "try again later, or download it and index the file"

Resolve = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Fetched:
    """What an address gave: `url` is where it was found in the end, `content_type` without rest."""

    url: str
    content_type: str
    charset: str | None
    data: bytes


@dataclass(frozen=True)
class Answered:
    """What a server said to what was posted; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Unanswered(Unavailable):
    """No answer came, and the server may have read what was sent."""


def resolve(host: str) -> list[str]:
    """Every address of the host, as this machine's resolver has them; OSError if there is none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Web:
    """Fetches pages: without cookies, without proxies, without the name of anybody.

    `most_bytes` bounds a page before and after it is unpacked, `longest_s` all of a fetch. Where
    it `stays`, a redirect to another host is not followed but told.
    """

    def __init__(  # noqa: PLR0913 - what it may reach, and how much of it
        self,
        *,
        is_allowed: Callable[[Ip], bool] = is_public,
        resolve: Resolve = resolve,
        most_bytes: int = MOST_BYTES,
        longest_s: float = LONGEST_S,
        tls: ssl.SSLContext | None = None,
        stays: bool = False,
    ) -> None:
        self._stays = stays
        self._is_allowed = is_allowed
        self._resolve = resolve
        self._most_bytes = most_bytes
        self._longest_s = longest_s
        self._tls = tls

    def fetch(self, url: str) -> Fetched:
        """The page at the address.

        Invalid where it is no address, Denied where it leads to a machine that is not public,
        NotFound where the server has no such page, Unavailable for any other failure.
        """
        at = address(url)
        deadline = _Deadline(time.monotonic() + self._longest_s, self._longest_s)
        guard = _Guard(self._is_allowed, self._resolve, deadline)
        with httpcore.ConnectionPool(network_backend=guard, ssl_context=self._tls) as pool:
            for _ in range(MOST_REDIRECTS + 1):
                with _translated(at), pool.stream("GET", str(at), headers=_HEADERS) as response:
                    if response.status not in _REDIRECTS:
                        return self._page(at, response, deadline)
                    at = self._next(at, _header(response, b"location"))
        message = f"{at} is behind more than {MOST_REDIRECTS} redirects"
        raise Unavailable(message, hint="open it in a browser, and index where you end up")

    def _next(self, at: Address, location: str) -> Address:
        following = _next(at, location)
        if self._stays and following.host != at.host:
            message = f"{at} leads to another machine: {following}"
            raise Denied(message, hint="fetch that address, if you mean it")
        return following

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """What the server at the address answers to the body; it is followed nowhere.

        Invalid where it is no address, Unavailable where no answer came: `Unanswered` if the
        server may have read the body. No error names more of the address than its host.
        """
        at = address(url)
        deadline = _Deadline(time.monotonic() + self._longest_s, self._longest_s)
        guard = _Guard(self._is_allowed, self._resolve, deadline)
        told = {"User-Agent": f"localai/{__version__}", "Host": _authority(at), **headers}
        with (
            httpcore.ConnectionPool(network_backend=guard, ssl_context=self._tls) as pool,
            _answered(at.host, guard),
            pool.stream("POST", str(at), headers=[*told.items()], content=body) as response,
        ):
            found = bytearray()
            for piece in response.iter_stream():
                found += piece[: self._most_bytes - len(found)]
                if len(found) >= self._most_bytes:
                    break
        return Answered(response.status, _lowered(response.headers), bytes(found))

    def _page(self, at: Address, response: httpcore.Response, deadline: "_Deadline") -> Fetched:
        if response.status in _GONE:
            message = f"there is no page {at} ({response.status})"
            raise NotFound(message, hint="look for its new address in a browser")
        if not 200 <= response.status < 300:  # noqa: PLR2004 - as HTTP has it
            message = f"{at} answers {response.status}"
            raise Unavailable(message, hint="save the page in a browser, then index the file")
        kind = _header(response, b"content-type")
        charset = _CHARSET.search(kind)
        data = self._body(at, response, deadline)
        mime = kind.partition(";")[0].strip().lower()
        return Fetched(str(at), mime, charset and charset[1], data)

    def _body(self, at: Address, response: httpcore.Response, deadline: "_Deadline") -> bytes:
        unpacked = _unpacking(_header(response, b"content-encoding"), at)
        found, size = bytearray(), 0
        for piece in response.iter_stream():
            deadline.left()
            size += len(piece)
            for part in unpacked(piece, self._most_bytes + 1 - len(found)):
                found += part
                self._bound(at, max(size, len(found)))
        return bytes(found)

    def _bound(self, at: Address, size: int) -> None:
        if size > self._most_bytes:
            message = f"{at} is larger than {self._most_bytes // 1_000_000} MB"
            raise Unavailable(message, hint="download it, then index the file")


@dataclass(frozen=True)
class _Deadline:
    at: float
    longest_s: float

    def left(self) -> float:
        """Seconds left, more than none; Unavailable when time is over."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise Unavailable(f"not fetched within {self.longest_s:g} seconds", hint=_LATER)
        return left


class _Guard(httpcore.NetworkBackend):
    """Connects to allowed addresses alone, and to the very ones that it has checked."""

    def __init__(
        self, is_allowed: Callable[[Ip], bool], resolve: Resolve, deadline: _Deadline
    ) -> None:
        self._is_allowed = is_allowed
        self._resolve = resolve
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()
        self.is_connected = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - ours counts for all of the fetch
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first of the host's addresses that answers."""
        failure: Exception | None = None
        for ip in self._checked(host):
            left = min(self._deadline.left(), _CONNECT_S)
            try:
                stream = self._sockets.connect_tcp(
                    str(ip), port, left, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                self.is_connected = True
                return _Timed(stream, self._deadline)
        raise failure or httpcore.ConnectError(f"{host} has no address")

    def _checked(self, host: str) -> list[Ip]:
        found = [ipaddress.ip_address(each) for each in self._resolved(host)]
        refused = next((ip for ip in found if not self._is_allowed(ip)), None)
        if refused is not None:
            where = "" if str(refused) == host else f" leads to {refused}, which"
            message = f"{host}{where} is not a machine of the public internet"
            raise Denied(message, hint="fetch it yourself, then index the file")
        return found

    def _resolved(self, host: str) -> Sequence[str]:
        """Asked for in a thread, because a resolver cannot be told how long it may take."""
        answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        Thread(target=ask, daemon=True).start()
        try:
            found = answers.get(timeout=self._deadline.left())
        except queue.Empty:
            found = TimeoutError("the resolver did not answer")
        if isinstance(found, Exception):
            message = f"there is no machine {host}"
            raise Unavailable(message, hint="check the name and the network") from found
        return found


class _Timed(httpcore.NetworkStream):
    """A connection on which nothing waits beyond the deadline, be it read byte by byte."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left = self._deadline.left()
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _translated(at: Address) -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise Unavailable(f"{at} did not answer in time", hint=_LATER) from error
    except httpcore.NetworkError as error:
        message = f"{at} cannot be reached"
        raise Unavailable(message, hint="check the address and the network") from error
    except (httpcore.ProtocolError, zlib.error) as error:
        raise Unavailable(f"{at} does not speak HTTP as it should", hint=_LATER) from error


@contextmanager
def _answered(host: str, guard: _Guard) -> Iterator[None]:
    """Errors of a post: the address may hold a secret, so the host alone is named."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        kind = Unanswered if guard.is_connected else Unavailable
        if isinstance(error, httpcore.TimeoutException):
            raise kind(f"{host} did not answer in time") from error
        what = "broke off" if guard.is_connected else "cannot be reached"
        raise kind(f"{host} {what}") from error
    except Unavailable as error:  # of the deadline, or of the resolver
        if guard.is_connected:
            raise Unanswered(f"{host} did not answer in time") from error
        raise


def _authority(at: Address) -> str:
    return urlsplit(str(at)).netloc


def _lowered(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode().lower(): value.decode("utf-8", "replace") for name, value in headers}


def _next(at: Address, location: str) -> Address:
    """Where a redirect leads; Denied where that would be less private."""
    following = at.joined(location)
    if (at.scheme, following.scheme) == ("https", "http"):
        message = f"{at} leads to an address that is not encrypted"
        raise Denied(message, hint=f"if you mean it, name {following} itself")
    return following


def _header(response: httpcore.Response, name: bytes) -> str:
    found = (value for key, value in response.headers if key.lower() == name)
    return next(found, b"").decode("utf-8", "replace")


def _unpacking(encoding: str, at: Address) -> Callable[[bytes, int], Iterable[bytes]]:
    """What turns a piece of the body into at most so many bytes of the page."""
    if encoding.strip().lower() in {"", "identity"}:
        return lambda piece, _: (piece,)
    if encoding.strip().lower() in {"gzip", "x-gzip"}:
        return _Gzip().unpacked
    raise Unavailable(f"{at} is packed as {encoding[:40]}, which was not asked for")


class _Gzip:
    """Members of gzip, one after another."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def unpacked(self, piece: bytes, most: int) -> Iterator[bytes]:
        """The piece unpacked, up to `most` bytes a part."""
        while piece:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            yield self._member.decompress(piece, most)
            piece = self._member.unused_data
