"""Where a home's line lies: a folder with the socket, and a note of who listens at it."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from localai.core.files import write_private

LONGEST: Final = 100  # bytes that a socket's path may have on every system
_SOCKET: Final = "socket"


@dataclass(frozen=True)
class Listener:
    """Who listens: its process, its version, and what those must know who call."""

    pid: int
    version: str
    key: str


@dataclass(frozen=True)
class Place:
    """The folder of a home's line."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held by the process that listens."""
        return self.folder / "lock"

    @property
    def address(self) -> Path:
        """What it listens at."""
        return self.folder / _SOCKET

    @property
    def _note(self) -> Path:
        return self.folder / "listener.json"

    def write(self, listener: Listener) -> None:
        """Say who listens."""
        write_private(self._note, json.dumps(asdict(listener)).encode())

    def read(self) -> Listener | None:
        """Who listens, or listened and died; None where nobody does."""
        try:
            return Listener(**json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def clear(self) -> None:
        """Nobody listens any more."""
        for file in (self._note, self.address):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def listen(self) -> socket.socket:
        """A socket that listens here, for the owner alone; OSError where that cannot be."""
        self.address.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            with self._reachable() as address:
                listener.bind(address)
            self.address.chmod(0o600)
            listener.listen()
        except OSError:
            listener.close()
            raise
        return listener

    def connect(self) -> socket.socket:
        """A socket that is connected to this place; OSError where nobody listens."""
        caller = socket.socket(socket.AF_UNIX)
        try:
            with self._reachable() as address:
                caller.connect(address)
        except OSError:
            caller.close()
            raise
        return caller

    @contextmanager
    def _reachable(self) -> Iterator[str]:
        """The socket's path, or one as short as the system demands."""
        path = os.fspath(self.address)
        if len(os.fsencode(path)) <= LONGEST:
            yield path
            return
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{handle}/{_SOCKET}"
        finally:
            os.close(handle)
