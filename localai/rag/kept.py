"""What one question opened, kept open for the next one for as long as nobody waits for it."""

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")
Lent = tuple[T, Callable[[], bool]]
Opening = Callable[[], AbstractContextManager[Lent[T]]]

# Opening 50,000 passages takes 0.3 seconds, and searching them 5 milliseconds.
KEPT_S = 2.0
_LOOK_S = 0.05
# Longer than those who wait for a lock sleep between two tries.
_PAUSE_S = 0.03


class Kept(Generic[T]):
    """A thing that takes long to open; opened when it is first lent, closed when others want it.

    With the thing comes a function that says whether anybody waits for it. What nobody asks for
    is closed after `kept_s` seconds.
    """

    def __init__(self, opening: Opening[T], kept_s: float = KEPT_S) -> None:
        self._opening = opening
        self._kept_s = kept_s
        self._turn = threading.RLock()
        self._held: AbstractContextManager[Lent[T]] | None = None
        self._thing: T
        self._is_wanted: Callable[[], bool]
        self._over: threading.Event | None = None
        self._used = 0.0
        self._closed = 0.0

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
            self._used = time.monotonic()
            if is_kept and not self._is_wanted():
                self._watch()
            else:
                self.close()

    @contextmanager
    def shut(self) -> Iterator[None]:
        """While this is entered the thing is closed, and nobody here opens it."""
        with self._turn:
            self.close()
            self._pause()
            try:
                yield
            finally:
                self._closed = time.monotonic()

    def close(self) -> None:
        """Close the thing if it is open; whoever waits for it gets in."""
        with self._turn:
            if self._over is not None:
                self._over.set()
                self._over = None
                atexit.unregister(self.close)
            held, self._held = self._held, None
            if held is not None:
                held.__exit__(None, None, None)
                self._closed = time.monotonic()

    def _open(self) -> None:
        if self._held is not None:
            return
        self._pause()
        held = self._opening()
        self._thing, self._is_wanted = held.__enter__()
        self._held = held

    def _pause(self) -> None:
        time.sleep(max(0.0, self._closed + _PAUSE_S - time.monotonic()))

    def _watch(self) -> None:
        if self._over is None:
            self._over = threading.Event()
            threading.Thread(target=self._wait, args=[self._over], daemon=True).start()
            # Cut off inside the engine when Python ends, the thread would take the process along.
            atexit.register(self.close)

    def _wait(self, over: threading.Event) -> None:
        while not over.wait(_LOOK_S):
            with self._turn:
                is_idle = time.monotonic() >= self._used + self._kept_s
                if not over.is_set() and (is_idle or self._is_wanted()):
                    self.close()
