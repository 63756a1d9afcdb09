"""Sockets and certificates."""

import socket
from contextlib import closing
from pathlib import Path

import anyio
import pytest

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


async def _nothing(*_: object) -> None:
    """Answers nothing."""
