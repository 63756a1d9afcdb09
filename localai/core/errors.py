"""The error tree: one class a category that the user can act on.

    LocalaiError
    ├── Invalid        bad input, wrong usage
    ├── Denied         role or policy says no
    │   └── TooOften   or the rate does; it says when to come back
    ├── NotFound       no such thing
    ├── Conflict       already decided, stale, locked
    ├── Unavailable    no model, no database, no key
    │   └── Lost       or the process that was asked is gone
    ├── Pending        needs a person, and nobody here can answer
    ├── Rejected       a person said no
    └── Expired        nobody answered in time

A class's docstring is its default message; `hint` is what to type next. Foreign exceptions
become one of these once, in the file that wraps the library, with `from`.
"""

from typing import ClassVar


class LocalaiError(Exception):
    """Something went wrong."""

    category: ClassVar[str] = "internal"

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.hint = hint
        super().__init__(self.message)

    @property
    def causes(self) -> list[str]:
        """The messages of the exceptions that led here, nearest first."""
        found = []
        cause = self.__cause__
        while cause is not None:
            found.append(str(cause) or type(cause).__name__)
            cause = cause.__cause__
        return found


class Invalid(LocalaiError):
    """The input is not valid."""

    category = "invalid"


class Denied(LocalaiError):
    """You may not do this."""

    category = "denied"


class TooOften(Denied):
    """You did this too often; `wait_s` says in how many seconds you may again."""

    def __init__(self, message: str, *, wait_s: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.wait_s = wait_s


class NotFound(LocalaiError):
    """There is no such thing."""

    category = "not_found"


class Conflict(LocalaiError):
    """Somebody else was first."""

    category = "conflict"


class Unavailable(LocalaiError):
    """Something that this needs is not there."""

    category = "unavailable"


class Lost(Unavailable):
    """The `ai serve` that this command was attached to is gone."""


class Pending(LocalaiError):
    """It waits for an approval."""

    category = "pending"


class Rejected(LocalaiError):
    """A person said no."""

    category = "rejected"


class Expired(LocalaiError):
    """Nobody answered in time."""

    category = "expired"
