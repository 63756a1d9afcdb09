"""Sockets, certificates, and clients that read nothing."""

import socket
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from localai.core import serving
from localai.core.asgi import Receive, Scope, Send
from localai.core.errors import Invalid
from localai.core.serving import Bounds, Encryption, address_of, listening, serve


def test_what_is_accepted_waits_for_no_acknowledgement() -> None:
    """Else the body of every answer comes 40 ms behind its headers."""
    with (
        closing(listening("127.0.0.1", 0, hint="")) as listener,
        closing(socket.create_connection(listener.getsockname())),
        closing(listener.accept()[0]) as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_address_of_the_sixth_version_stands_in_brackets() -> None:
    """A port follows it."""
    with closing(listening("127.0.0.1", 0, hint="")) as listener:
        port = listener.getsockname()[1]
        assert address_of("127.0.0.1", listener) == f"127.0.0.1:{port}"
        assert address_of("::1", listener) == f"[::1]:{port}"


@pytest.mark.parametrize("name", ["none.pem", "wrong.pem"])
def test_a_certificate_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    """Before anything is served."""
    (tmp_path / "wrong.pem").write_text("not a certificate")
    file = tmp_path / name

    async def ask() -> None:
        with closing(listening("127.0.0.1", 0, hint="")) as listener:
            await serve(_nothing, listener, anyio.Event(), Bounds(), Encryption(file, file))

    with pytest.raises(Invalid, match="certificate"):
        anyio.run(ask)


@pytest.mark.parametrize("reads", [True, False])
def test_who_reads_nothing_is_sent_away(monkeypatch: pytest.MonkeyPatch, reads: bool) -> None:
    """Who reads slowly is not; there is place for one of them and one who asks."""
    monkeypatch.setattr(serving, "READING_S", 1.0)

    async def ask() -> tuple[int, int]:
        ending = anyio.Event()
        with closing(listening("127.0.0.1", 0, hint="")) as listener:
            address = listener.getsockname()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve, _much, listener, ending, Bounds(2))
                found = await anyio.to_thread.run_sync(partial(_unread, address, reads=reads))
                ending.set()
        return found

    heard, answered = anyio.run(ask)
    assert (heard >= _SIZE) is reads
    assert answered == (503 if reads else 200)


_SIZE = 8 << 20  # more than the system keeps for who does not read


def _unread(address: tuple[str, int], *, reads: bool) -> tuple[int, int]:
    """How much of a long answer came, and what another was told when it had ended, or before."""
    ask = partial(httpx.get, f"http://127.0.0.1:{address[1]}/", trust_env=False)
    with closing(socket.socket()) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(address)
        slow.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heard = len(slow.recv(1))
        answered = ask().status_code
        while not reads and answered == 503:
            answered = ask().status_code
        while heard < _SIZE and (part := slow.recv(_SIZE // 8)):
            heard += len(part)
            if reads:
                time.sleep(0.001)
    return heard, answered


async def _much(scope: Scope, _receive: Receive, send: Send) -> None:
    """A long answer to who asks for it."""
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    size = _SIZE if scope["path"] == "/long" else 1
    await send({"type": "http.response.body", "body": bytes(size)})


async def _nothing(*_: object) -> None:
    """Answers nothing."""
