"""What a process saw of files before, so that those nobody touched are not read again."""

import time
from dataclasses import dataclass
from pathlib import Path

from localai.rag.sources import Refused

# A file changed twice within one tick of the file system's clock looks the same after both.
_TICK_NS = 2_000_000_000


@dataclass(frozen=True)
class _Stamp:
    """A file's state as its folder tells it, in nanoseconds, bytes and numbers of the system."""

    modified: int
    changed: int
    size: int
    file: int


class Seen:
    """The files of one collection, over several index runs of one process."""

    def __init__(self) -> None:
        self._directory = ""
        self._before: dict[Path, _Stamp] = {}
        self._now: dict[Path, _Stamp] = {}
        self._refused: dict[str, Refused] = {}

    def begin(self, directory: str) -> None:
        """Begin a run; the collection's directory is another one after it was made anew."""
        if directory != self._directory:
            self._directory = directory
            self._before = {}
            self._refused = {}
        self._now = {}

    def end(self) -> None:
        """What this run saw counts for the next; a run that fails never comes here."""
        self._before = self._now
        now = {str(path) for path in self._now}
        self._refused = {key: self._refused[key] for key in self._refused if key in now}

    def is_untouched(self, path: Path) -> bool:
        """Whether the file is as it was in the last run that came to its end."""
        try:
            found = path.stat()
        except OSError:
            return False
        stamp = _Stamp(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        if max(stamp.modified, stamp.changed) < time.time_ns() - _TICK_NS:
            self._now[path] = stamp
        return self._before.get(path) == stamp

    def refuse(self, refused: Refused) -> None:
        """Remember why there is nothing to take from a file."""
        self._refused[refused.key] = refused

    def refused(self, key: str) -> Refused | None:
        """Why there was nothing to take from an untouched file."""
        return self._refused.get(key)
