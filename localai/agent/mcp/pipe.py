"""A program that is spoken with in lines: started clean, bounded in what it says, ended whole."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from localai.agent.mcp.launch import Process
from localai.agent.mcp.meter import MAX_LINE, Flood, Meter
from localai.core.errors import Unavailable

_KEPT_WORDS = 2_000
_GRACE_S = 2.0
_MOMENT_S = 0.5
_CHUNK = 65_536


class Pipe:
    """A running program."""

    def __init__(self, process: asyncio.subprocess.Process, meter: Meter) -> None:
        self._process = process
        self._meter = meter
        self._words = bytearray()
        self._listening = asyncio.ensure_future(self._listen())

    @property
    def ending(self) -> str:
        """How it ended, in words; empty while it runs."""
        code = self._process.returncode
        return "" if code is None else f"it ended with {code}"

    @property
    def words(self) -> str:
        """The last of what it said on its standard error."""
        return self._words.decode(errors="replace").strip()

    async def lines(self) -> AsyncIterator[bytes]:
        """What it writes, line by line, until it ends; Flood where that is too much."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        while line := await self._line(self._process.stdout):
            self._meter.take(len(line))
            yield line
        await self.settle()

    async def settle(self) -> None:
        """Give what is ending a moment, so that it can be told how it ended and what it said."""
        await self._is_over(_MOMENT_S)
        await asyncio.wait([self._listening], timeout=_MOMENT_S)

    async def write(self, line: bytes) -> None:
        """Hand it one line; OSError where it is gone."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()

    async def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        while chunk := await self._process.stderr.read(_CHUNK):
            self._words += chunk
            del self._words[:-_KEPT_WORDS]

    async def end(self) -> None:
        """Close its input, wait, then end it and all that it started."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        if not await self._is_over(_GRACE_S):
            _signal(self._process.pid, signal.SIGTERM)
            await self._is_over(_GRACE_S)
        _signal(self._process.pid, signal.SIGKILL)
        await self._is_over(_GRACE_S)
        self._listening.cancel()
        # What left the group may hold the pipes open: nobody waits for it.
        self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001

    async def _is_over(self, within_s: float) -> bool:
        # Not wait(): that waits for the pipes as well, which a child may hold open.
        with anyio.move_on_after(within_s):
            while self._process.returncode is None:  # noqa: ASYNC110 - there is no event for it
                await anyio.sleep(0.01)
        return self._process.returncode is not None

    async def _line(self, stream: asyncio.StreamReader) -> bytes:
        try:
            return await stream.readline()
        except ValueError as error:
            self._meter.trouble = f"it wrote a line of more than {MAX_LINE >> 20} MB"
            raise Flood(self._meter.trouble) from error


@asynccontextmanager
async def started(command: Process, meter: Meter) -> AsyncIterator[Pipe]:
    """The program, running in a group of its own until this ends; Unavailable if it cannot be."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            executable=command.program.path,
            cwd=command.cwd,
            env=command.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=MAX_LINE,
        )
    except (OSError, ValueError) as error:
        message = f"{command.program.path} cannot be run"
        raise Unavailable(message, hint="check the command: ai mcp list") from error
    pipe = Pipe(process, meter)
    try:
        yield pipe
    finally:
        with anyio.CancelScope(shield=True):
            await pipe.end()


def _signal(group: int, number: signal.Signals) -> None:
    # macOS says EPERM for a group whose last process is not reaped yet.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
