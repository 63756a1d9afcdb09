"""How a server ends: what its tools started is ended with it, and nothing is left behind."""

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import psutil

_AGAIN_S = 0.1
_PATIENCE = 20  # so often the programs are asked to end, then they are killed


async def until_stopped(
    serve: Callable[[anyio.Event], Awaitable[None]], *, spares_s: float = 0
) -> None:
    """Serve until that ends; KeyboardInterrupt where it was Ctrl-C that ended it.

    The event tells `serve` to end, and is set by `serve` as soon as nobody is there any more.
    What tools have started may go on for `spares_s` seconds after it.
    """
    ending = anyio.Event()
    told: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_listen, ending, told)
        tasks.start_soon(_end_programs, ending, spares_s)
        await serve(ending)
        tasks.cancel_scope.cancel()
    if signal.SIGINT in told:
        raise KeyboardInterrupt


async def _listen(ending: anyio.Event, told: list[int]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            told.append(number)
            ending.set()


async def _end_programs(ending: anyio.Event, spares_s: float) -> None:
    """End what tools run once that is wanted: their threads end with it, and nothing else does."""
    await ending.wait()
    await anyio.sleep(spares_s)
    asked = 0
    while True:
        number = signal.SIGTERM if asked < _PATIENCE else signal.SIGKILL
        for child in psutil.Process().children():
            _signal(child.pid, number)
        asked += 1
        await anyio.sleep(_AGAIN_S)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
