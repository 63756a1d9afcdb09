"""How often something may happen."""

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


def rate(text: str) -> Rate:
    """Read a rate such as `60/1m`; Invalid for anything else, and for one that allows nothing."""
    calls, slash, span = text.partition("/")
    if not (slash and calls.isascii() and calls.isdigit() and len(calls) <= _DIGITS):
        raise Invalid(f"{text!r} is not a rate", hint="write it as 60/1m")
    found = Rate(int(calls), seconds(span))
    if not (found.calls and found.seconds):
        raise Invalid(f"{text!r} allows nothing", hint="write it as 60/1m")
    return found
