"""The one engine that answers, and the short line before it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from localai.api.errors import Busy
from localai.api.seats import Seats
from localai.core.asgi import Receive

MAX_IN_LINE: Final = 8
T = TypeVar("T")


class Desk:
    """Serves one at a time, in the order in which they came; Busy where the line is full.

    Or as many `at_once`. For one event loop. The work is done beside it, in threads that are not
    lent to others.
    """

    def __init__(self, most: int = MAX_IN_LINE, at_once: int = 1) -> None:
        self._seats = Seats(at_once + most)
        self._turn = anyio.Semaphore(at_once)
        self._thread = anyio.CapacityLimiter(at_once)

    async def do(self, work: Callable[[], T], patience_s: float = inf) -> T:
        """Do it when it is its turn; Busy where that does not come within the patience."""
        async with self._seats.one(), self._soon(patience_s):
            return await self._beside(work)

    @asynccontextmanager
    async def steps(self, work: Generator[T]) -> AsyncIterator[Callable[[], Awaitable[T | None]]]:
        """Gives, when it is its turn, what takes the next step: None after the last.

        However this ends, the work is closed before the next in line has its turn.
        """
        async with self._seats.one(), self._turn:
            try:
                yield partial(self._beside, partial(next, work, None))
            finally:
                with anyio.CancelScope(shield=True):
                    await self._beside(work.close)

    @asynccontextmanager
    async def _soon(self, patience_s: float) -> AsyncIterator[None]:
        try:
            with anyio.fail_after(patience_s):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Busy from error
        try:
            yield
        finally:
            self._turn.release()

    async def _beside(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._thread)


async def while_here(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work, and stop it where the client leaves; what it raises is raised."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_with_client, receive, tasks.cancel_scope)
            await work()
            tasks.cancel_scope.cancel()
    except ExceptionGroup as group:  # which would hide the error from those who tell errors
        raise group.exceptions[0] from None


async def _end_with_client(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
