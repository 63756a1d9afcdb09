"""What a process answers over its line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Method:
    """The type of what it takes, and what it does with that.

    A generator that it gives is sent part by part, and closed where the caller hangs up; what it
    tells is heard by the person who waits.
    """

    takes: Any
    does: Callable[[Any, Tell], object]
