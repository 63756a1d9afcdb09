"""The end of a line that calls."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from typing import Final, TypeVar

from localai import __version__
from localai.core.errors import (
    Conflict,
    Denied,
    Expired,
    Invalid,
    LocalaiError,
    Lost,
    NotFound,
    Pending,
    Rejected,
    Unavailable,
)
from localai.core.line.frames import (
    Call,
    Failed,
    Over,
    Reply,
    Told,
    Value,
    heard_reply,
    packed,
    say,
    unpacked,
)
from localai.core.line.method import Tell
from localai.core.line.place import Listener, Place

T = TypeVar("T")

_KINDS = (Invalid, Denied, NotFound, Conflict, Unavailable, Pending, Rejected, Expired)
_PATIENCE_S: Final = 5.0  # until a process that was stopped counts as one that is gone
_CLASSES: Final = {kind.category: kind for kind in _KINDS}


class Line:
    """The process that serves a home, as another one calls it; for several threads."""

    def __init__(self, place: Place, listener: Listener) -> None:
        self._place = place
        self.listener = listener
        self._free: list[Connection] = []

    def is_open(self) -> bool:
        """Whether somebody answers at the other end."""
        try:
            self._free.append(self._connected())
        except Lost:
            return False
        return True

    def close(self) -> None:
        """Hang up."""
        while self._free:
            self._free.pop().close()

    def call(
        self, method: str, arguments: object, answer: type[T], tell: Tell = lambda _: None
    ) -> T:
        """The answer; `tell` hears what the person should know meanwhile.

        What went wrong over there is raised here; Lost where nobody is there any more.
        """
        with closing(self.stream(method, arguments, answer, tell)) as parts:
            return next(parts)

    def stream(
        self, method: str, arguments: object, part: type[T], tell: Tell = lambda _: None
    ) -> Generator[T]:
        """The answer part by part, as `call`; one that is closed midway is ended over there."""
        call = _call(method, arguments)
        connection, is_whole = self._connected(), False
        try:
            with _translated():
                say(connection, call)
            while not is_whole:
                with _translated():
                    reply = heard_reply(connection)
                if isinstance(reply, Told):
                    tell(reply.text)
                    continue
                is_whole = isinstance(reply, Value | Over | Failed)
                if is_whole:
                    self._free.append(connection)
                yield from _parts(reply, part)
        finally:
            if not is_whole:
                connection.close()

    def _connected(self) -> Connection:
        """One that waits, if its other end is there still, else a new one."""
        while self._free:
            connection = self._free.pop()
            if not connection.closed and not connection.poll():  # the end of a file is something
                return connection
            connection.close()
        with _translated():
            connection = Connection(self._place.connect().detach())
            say(connection, self.listener.key)
            if not connection.poll(_PATIENCE_S):
                raise TimeoutError
            heard_reply(connection)
            return connection


def find(place: Place) -> Line | None:
    """The line of a home, where a process of this version listens at it."""
    listener = place.read()
    if listener is None or listener.version != __version__:
        return None
    line = Line(place, listener)
    return line if line.is_open() else None


def _call(method: str, arguments: object) -> Call:
    try:
        return Call(method, packed(arguments))
    except (ValueError, OverflowError) as error:  # a number of over 64 bits, half a letter
        raise Lost("`ai serve` cannot be told all of this.") from error


def _parts(reply: Reply, kind: type[T]) -> Generator[T]:
    if isinstance(reply, Failed):
        raise _CLASSES.get(reply.category, LocalaiError)(reply.message, hint=reply.hint)
    if not isinstance(reply, Over | Told):
        yield unpacked(reply.body, kind)


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (EOFError, OSError, ValueError) as error:
        raise Lost(hint="the same again works without it") from error
