"""Reads the log: its end first, in blocks, and then what is added, also across rotation.

A line may be torn by a full disk or written by another program: it is handed on as what it is.
"""

import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from localai.core.errors import Invalid, Unavailable
from localai.core.events import LEVELS
from localai.core.log_file import names

MOST_LINE = 1 << 18  # of a longer line only the beginning is read: it is none of ours

_BLOCK = 1 << 16
_LOOKS_S = 0.25


@dataclass(frozen=True)
class Line:
    """One line as it is stored."""

    text: str

    @cached_property
    def entry(self) -> Mapping[str, Any] | None:
        """The line's object; None where it is none of ours."""
        try:
            found = json.loads(self.text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return None
        is_ours = isinstance(found, dict) and all(
            isinstance(found.get(name), str) for name in ("at", "level", "event")
        )
        return found if is_ours else None


@dataclass(frozen=True)
class Wanted:
    """Which lines: those that fit all that is given.

    `since` and `oldest` are RFC 3339 in UTC; before a line that is older than `oldest` nothing is
    looked for, as lines of several processes stand almost in order. Ids fit by how they begin.
    """

    since: str | None = None
    oldest: str | None = None
    level: str | None = None
    approval: str | None = None
    session: str | None = None

    def __post_init__(self) -> None:
        """Invalid for a level that there is not."""
        if self.level is not None and self.level not in LEVELS:
            raise Invalid(f"{self.level!r} is not a level", hint=f"one of {', '.join(LEVELS)}")

    def fits(self, line: Line) -> bool:
        """Whether the line is wanted; one that is not ours, only where nothing is asked of it."""
        if any(each and each not in line.text for each in (self.approval, self.session)):
            return False  # without reading the whole line: most are about others
        entry = line.entry
        if entry is None:
            return not (self.level or self.approval or self.session)
        ids = (("approval", self.approval), ("session", self.session))
        return (
            (self.since is None or entry["at"] >= self.since)
            and (self.level is None or _grade(entry["level"]) >= _grade(self.level))
            and all(not known or str(entry.get(name, "")).startswith(known) for name, known in ids)
        )

    def is_over(self, line: Line) -> bool:
        """Whether nothing wanted is expected before this line."""
        return self.oldest is not None and line.entry is not None and line.entry["at"] < self.oldest


class Tail:
    """The log of one home: `last` reads what is there, `following` what is added from then on.

    Close it when the reading is done.
    """

    def __init__(self, path: Path, wait: Callable[[float], object] = time.sleep) -> None:
        self._path = path
        self._wait = wait
        self._files: list[BinaryIO] = []  # the newest first
        self._place = 0
        self._torn = b""

    def close(self) -> None:
        """Give the files back."""
        while self._files:
            self._files.pop().close()

    def last(self, wanted: Wanted, limit: int | None = None) -> list[Line]:
        """The newest lines that are wanted, the oldest of them first."""
        found: list[Line] = []
        with closing(self._backwards()) as lines:
            for line in lines:
                if len(found) == limit or wanted.is_over(line):
                    break
                if wanted.fits(line):
                    found.append(Line(line.text))  # without what was read of it: there may be many
        return found[::-1]

    def following(self, wanted: Wanted) -> Iterator[Line]:
        """What is added, as it comes; it never ends by itself."""
        while True:
            yield from filter(wanted.fits, self._added())
            self._wait(_LOOKS_S)

    def _backwards(self) -> Generator[Line]:
        """Every line, the newest first; a newest one without an end waits for the rest of it."""
        self.close()
        self._files = _opened(self._path)
        for file in self._files:
            end = os.fstat(file.fileno()).st_size
            pieces = _pieces(file, end)
            torn = next(pieces)
            if file is self._files[0]:
                self._place, self._torn = end, torn
            else:
                yield from _lines([torn])
            yield from _lines(pieces)

    def _added(self) -> Iterator[Line]:
        known = self._files[0] if self._files else None
        if known is not None:
            yield from self._rest(known)
        newer = _opened(self._path, known)
        if newer and known is not None:
            # Whoever had the file open when it was moved away may still write a line there.
            self._wait(_LOOKS_S)
            yield from self._rest(known)
        for file in reversed(newer):
            yield from _lines([self._torn])
            self._files.insert(0, file)
            self._place, self._torn = 0, b""
            yield from self._rest(file)
        while len(self._files) > 1:
            self._files.pop().close()

    def _rest(self, file: BinaryIO) -> Iterator[Line]:
        """What was added to the file; from its beginning, where it was made shorter."""
        if os.fstat(file.fileno()).st_size < self._place:
            self._place, self._torn = 0, b""
        file.seek(self._place)
        while block := _read(file, _BLOCK):
            self._place += len(block)
            *ended, torn = (self._torn + block).split(b"\n")
            self._torn = torn[:MOST_LINE]
            yield from _lines(ended)


def _opened(path: Path, known: BinaryIO | None = None) -> list[BinaryIO]:
    """The files, the newest first, as far as they are newer than the one that is known.

    Opened in that order, none is missed when they are moved meanwhile; one may be met twice.
    """
    end = _identity(known) if known is not None else None
    found: dict[tuple[int, int], tuple[Path, BinaryIO]] = {}
    for place in names(path):
        if (file := _open(place)) is None:
            continue
        if (identity := _identity(file)) in {end, *found}:
            file.close()
        else:
            found[identity] = place, file
        if identity == end:
            return [file for _, file in found.values()]
    # Where the one that is known was removed, those with numbers were read before it.
    for place, file in found.values():
        if known is not None and place != path:
            file.close()
    return [file for place, file in found.values() if not file.closed]


def _open(place: Path) -> BinaryIO | None:
    try:
        return place.open("rb", buffering=0) if place.is_file() else None
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"the log cannot be read: {error.strerror}: {place}"
        raise Unavailable(message, hint="ai doctor") from error


def _identity(file: BinaryIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino


def _pieces(file: BinaryIO, end: int) -> Iterator[bytes]:
    """What stands between line ends, the last first; that one has no end, and may be empty."""
    place, rest = end, b""
    while place > 0:
        size = min(_BLOCK, place)
        place -= size
        file.seek(place)
        first, *others = (_read(file, size) + rest).split(b"\n")
        yield from reversed(others)
        rest = first[:MOST_LINE]
    yield rest


def _read(file: BinaryIO, size: int) -> bytes:
    return file.read(size)


def _lines(pieces: Iterable[bytes]) -> Iterator[Line]:
    texts = (piece[:MOST_LINE].decode(errors="backslashreplace") for piece in pieces)
    return (Line(text) for text in texts if text.strip())


def _grade(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
