"""The log's files: each line is one append by whichever process; rotated at 5 MB, five are kept.

Only who rotates holds a lock. A process that has just opened the file which another one moves
away writes its line there: it is still read, in its place among that process's lines.
"""

import os
from pathlib import Path

from localai.core.files import locked, private_dir

MAX_BYTES = 5_000_000
KEPT = 5

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class LogFile:
    """The file that lines are added to; those before it have the numbers from 1, the newest."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, line: bytes) -> None:
        """Add one line; OSError where that cannot be."""
        handle = self._open()
        try:
            if os.lseek(handle, 0, os.SEEK_END) >= MAX_BYTES:
                os.close(handle)
                handle = -1
                self._rotate()
                handle = self._open()
            os.write(handle, line)
        finally:
            if handle >= 0:
                os.close(handle)

    def _open(self) -> int:
        try:
            return os.open(self._path, _FLAGS, 0o600)
        except FileNotFoundError:
            private_dir(self._path.parent)
            return os.open(self._path, _FLAGS, 0o600)

    def _rotate(self) -> None:
        """Move every file on by one, from the oldest: a kill leaves a gap, which the next fills."""
        with locked(self._path.with_name(f"{self._path.name}.lock")):
            newest, *rest = names(self._path)
            if not newest.exists() or newest.stat().st_size < MAX_BYTES:
                return  # another process was faster
            gap = next((each for each in rest if not each.exists()), rest[-1])
            moved = rest[: rest.index(gap) + 1]
            for older, newer in zip(reversed(moved), reversed([newest, *moved[:-1]]), strict=True):
                newer.replace(older)


def names(path: Path) -> list[Path]:
    """Where the log's files lie, the newest first, whether they are there or not."""
    return [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, KEPT))]
