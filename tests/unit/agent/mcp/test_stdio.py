"""Lines of standard input as messages."""

import os
import threading
from collections.abc import Iterable

import anyio
import pytest
from mcp import types
from mcp.shared.message import SessionMessage

from localai.agent.mcp.stdio import lines, read


def split(chunks: Iterable[bytes], most: int = 100) -> list[bytes | None]:
    """The lines of what is written to a pipe, piece by piece."""
    source, sink = os.pipe()

    def write() -> None:
        for chunk in chunks:
            os.write(sink, chunk)
        os.close(sink)

    async def gather() -> list[bytes | None]:
        return [line async for line in lines(source, most)]

    writing = threading.Thread(target=write)
    writing.start()
    try:
        return anyio.run(gather)
    finally:
        writing.join()
        os.close(source)


def test_lines_are_whole_however_they_come() -> None:
    """A pipe keeps no boundaries; the last line needs no end."""
    text = b"one\ntwo\n\nthree"
    whole = [b"one", b"two", b"", b"three"]
    assert split([text]) == whole
    assert split([text[at : at + 1] for at in range(len(text))]) == whole
    assert split([]) == []


def test_a_line_that_is_too_long_is_left_out_and_the_next_one_kept() -> None:
    """Whether its end comes at once, later, or never."""
    assert split([b"a" * 100 + b"\n" + b"b" * 101 + b"\nc\n"]) == [b"a" * 100, None, b"c"]
    assert split([b"x" * 60_000] * 5 + [b"\nc\n"]) == [None, b"c"]
    assert split([b"x" * 101]) == [None]


def test_a_file_is_read_as_well_as_a_pipe(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The system cannot say that a file is ready, because it always is."""
    file = tmp_path_factory.mktemp("input") / "lines"
    file.write_bytes(b"one\ntwo\n")
    source = os.open(file, os.O_RDONLY)

    async def gather() -> list[bytes | None]:
        return [line async for line in lines(source)]

    assert anyio.run(gather) == [b"one", b"two"]
    os.close(source)


def test_a_message_is_read() -> None:
    """As the SDK reads it."""
    message = read(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}')
    assert isinstance(message, SessionMessage)
    assert isinstance(message.message, types.JSONRPCRequest)


@pytest.mark.parametrize(
    ("line", "number", "code"),
    [
        (None, None, types.INVALID_REQUEST),
        (b"no", None, types.PARSE_ERROR),
        (b"\xff", None, types.PARSE_ERROR),
        (b"[" * 50_000, None, types.PARSE_ERROR),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', None, types.INVALID_REQUEST),
        (b'{"id": true}', None, types.INVALID_REQUEST),
        (b'{"id": {}, "method": 1}', None, types.INVALID_REQUEST),
        (b'{"id": "a", "method": 1}', "a", types.INVALID_REQUEST),
        (b'{"jsonrpc": "1.0", "id": 3, "method": "ping"}', 3, types.INVALID_REQUEST),
    ],
)
def test_what_is_no_message_is_answered(
    line: bytes | None, number: str | int | None, code: int
) -> None:
    """With the id that it gave, so that nobody waits for an answer."""
    answer = read(line)
    assert isinstance(answer, types.JSONRPCError)
    assert (answer.id, answer.error.code) == (number, code)
