"""What an answer took, in tokens, also where it was given up before it could say so itself."""

import threading
from collections.abc import Callable, Generator
from typing import TypeVar

from localai.infer.engine import Usage

T = TypeVar("T")


class Meter:
    """Hears engines, and tells whoever asked one how much its answer took.

    An engine tells the cost of an answer in the thread in which its last step was taken, before
    that step returns. So what is read there at once is that answer's and no other's.
    """

    def __init__(self) -> None:
        self._here = threading.local()

    def beside(self, spent: Callable[[Usage], None]) -> Callable[[Usage], None]:
        """What hears the cost of an engine's answers, and passes it on."""

        def both(usage: Usage) -> None:
            self._here.tokens = self._read() + usage.prompt_tokens + usage.completion_tokens
            spent(usage)

        return both

    def metered(self, steps: Generator[T], heard: Callable[[int], None]) -> Generator[T]:
        """The same steps; `heard` is told at their end, whatever it is, how many tokens it took."""
        self._here.tokens = 0
        try:
            for step in steps:
                try:
                    yield step
                finally:
                    self._here.tokens = 0  # the next step may be taken in another thread
        finally:
            steps.close()
            heard(self._read())

    def _read(self) -> int:
        return getattr(self._here, "tokens", 0)
