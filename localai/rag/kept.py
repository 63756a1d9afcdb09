"""What one question opened, kept open for the next, but never so long that others wait for it."""

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

# Opening 50,000 passages takes 0.1 seconds and searching them 5 milliseconds; what is open is
# locked, so both together end within half a second.
KEPT_S = 0.35
# Longer than those who wait for a lock sleep between two tries.
_PAUSE_S = 0.03


class Kept(Generic[T]):
    """A thing that takes long to open; opened when it is first lent, closed soon after."""

    def __init__(self, opening: Callable[[], AbstractContextManager[T]]) -> None:
        self._opening = opening
        self._turn = threading.RLock()
        self._held: AbstractContextManager[T] | None = None
        self._thing: T
        self._until = 0.0
        self._closed = 0.0
        self._timer: threading.Timer | None = None

    @contextmanager
    def lent(self, *, is_kept: bool) -> Iterator[T]:
        """The thing; where `is_kept`, it stays open for whoever asks for it within a moment."""
        with self._turn:
            self._open()
            try:
                yield self._thing
            except BaseException:
                self.close()
                raise
            if is_kept and time.monotonic() < self._until:
                self._close_later()
            else:
                self.close()

    def close(self) -> None:
        """Close the thing if it is open; whoever waits for it gets in."""
        with self._turn:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                atexit.unregister(self.close)
            held, self._held = self._held, None
            if held is not None:
                held.__exit__(None, None, None)
                self._closed = time.monotonic()

    def _open(self) -> None:
        if self._held is not None:
            return
        time.sleep(max(0.0, self._closed + _PAUSE_S - time.monotonic()))
        held = self._opening()
        self._thing = held.__enter__()
        self._held = held
        self._until = time.monotonic() + KEPT_S

    def _close_later(self) -> None:
        if self._timer is not None:
            return
        self._timer = threading.Timer(self._until - time.monotonic(), self.close)
        self._timer.daemon = True
        self._timer.start()
        # A thread that is cut off inside the engine when Python ends would take the process along.
        atexit.register(self.close)
