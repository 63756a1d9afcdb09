"""A few places for what takes long: who finds none is told to come again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from localai.api.errors import Busy


class Seats:
    """So many at once, and nobody waits in line; for one event loop."""

    def __init__(self, most: int) -> None:
        self._free = most

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Take a place until this ends; Busy where there is none."""
        if self._free <= 0:
            raise Busy
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
