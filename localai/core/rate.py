"""How often something may happen."""

import threading
from dataclasses import dataclass

from localai.core.clock import seconds
from localai.core.errors import Invalid

_DIGITS = 6


@dataclass(frozen=True)
class Rate:
    """At most `calls` at once, and as many again in each `seconds`."""

    calls: int
    seconds: int

    @property
    def words(self) -> str:
        """As people say it."""
        return f"{self.calls} times in {self.seconds} s"


class Throttle:
    """Lets as much pass in this process as a rate allows, and counts what it holds back."""

    def __init__(self, allowed: Rate) -> None:
        self._allowed = allowed
        self._lock = threading.Lock()
        self._until_us = 0
        self._passed = 0
        self._held = 0

    def passes(self, now_us: int) -> int | None:
        """How much was held back since the last that passed; None where this one is as well.

        `now_us` is of a clock that nobody sets.
        """
        with self._lock:
            if now_us >= self._until_us:
                self._until_us, self._passed = now_us + self._allowed.seconds * 1_000_000, 0
            if self._passed == self._allowed.calls:
                self._held += 1
                return None
            self._passed += 1
            held, self._held = self._held, 0
            return held


def rate(text: str) -> Rate:
    """Read a rate such as `60/1m`; Invalid for anything else, and for one that allows nothing."""
    calls, slash, span = text.partition("/")
    if not (slash and calls.isascii() and calls.isdigit() and len(calls) <= _DIGITS):
        raise Invalid(f"{text!r} is not a rate", hint="write it as 60/1m")
    found = Rate(int(calls), seconds(span))
    if not (found.calls and found.seconds):
        raise Invalid(f"{text!r} allows nothing", hint="write it as 60/1m")
    return found
