"""Walks through the files at or below a place, by handles alone, so that no link leads it away.

What is hidden, what a .gitignore names and what programs unpack is passed over in silence, and so
is what belongs to localai itself. What may hold credentials is named and not opened.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Final, Literal

from localai.agent.builtin import beneath
from localai.agent.builtin.beneath import Place
from localai.agent.builtin.sensitive import is_credential
from localai.agent.tools import Context
from localai.core.errors import Invalid
from localai.rag.walk import IGNORE, Ignored, is_ignored, is_passed_over

MOST_ENTRIES: Final = 100_000  # of a folder
_DEEPEST: Final = 64
_MOST_IGNORE: Final = 1 << 20

Why = Literal["credential", "link", "unreadable", "special"]


@dataclass(frozen=True)
class Leaf:
    """A regular file: its path from the workspace, its name and the open folder that holds it.

    The handle is closed when the next one is asked for.
    """

    path: str
    name: str
    handle: int


@dataclass(frozen=True)
class Passed:
    """What was not walked into, and why."""

    path: str
    why: Why


def walk(context: Context, place: Place) -> Iterator[Leaf | Passed]:
    """Every file at or below the place, in a stable order; OSError where the place is none."""
    path = PurePosixPath(*place.steps)
    if is_credential(str(path)):
        yield Passed(str(path), "credential")
        return
    try:
        with beneath.directory(context, place) as handle:
            yield from _Walk(context, place).below(handle, path, _above(context, place))
    except NotADirectoryError:
        with beneath.parent(context, place) as (handle, name):
            yield Leaf(str(path), name, handle)


def _above(context: Context, place: Place) -> tuple[Ignored, ...]:
    """What is ignored in the folders above; nothing where the very place is, since it was named."""
    found: tuple[Ignored, ...] = ()
    for depth in range(len(place.steps)):
        steps = place.steps[:depth]
        with beneath.directory(context, Place(place.root, steps)) as handle:
            found = (*found, *_ignored(handle, PurePosixPath(*steps)))
    named = PurePosixPath(*place.steps)
    above = [named, *named.parents][:-1]
    return () if any(is_ignored(each, found, is_folder=True) for each in above) else found


def _ignored(handle: int, folder: PurePosixPath) -> Iterator[Ignored]:
    """What the .gitignore of an open folder names, if there is one."""
    with suppress(OSError, Invalid), beneath.opened(IGNORE, handle) as file:
        text = beneath.read(file, _MOST_IGNORE).decode("utf-8", "replace")
        yield Ignored.of(folder, text)


class _Walk:
    def __init__(self, context: Context, place: Place) -> None:
        self._context = context
        self._root = place.root
        self._kept = beneath.identities(context)

    def below(
        self, handle: int, folder: PurePosixPath, ignored: Sequence[Ignored]
    ) -> Iterator[Leaf | Passed]:
        """What lies in an open folder and below it."""
        ignored = (*ignored, *_ignored(handle, folder))
        with os.scandir(handle) as listing:
            entries = sorted(islice(listing, MOST_ENTRIES), key=lambda entry: entry.name)
        for entry in entries:
            path = folder / entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if beneath.is_protected(self._context, self._root / path):
                continue
            if is_credential(str(path)):
                yield Passed(str(path), "credential")
            elif is_passed_over(entry.name) or is_ignored(path, ignored, is_folder=is_folder):
                continue
            elif is_folder:
                yield from self._folder(handle, path, ignored)
            elif entry.is_symlink():
                yield Passed(str(path), "link")
            elif entry.is_file(follow_symlinks=False):
                yield Leaf(str(path), entry.name, handle)
            else:
                yield Passed(str(path), "special")

    def _folder(
        self, handle: int, path: PurePosixPath, ignored: Sequence[Ignored]
    ) -> Iterator[Leaf | Passed]:
        if len(path.parts) > _DEEPEST:
            yield Passed(str(path), "unreadable")
            return
        try:
            below = beneath.entered(path.name, handle)
        except OSError:  # a link by now, or nobody may look
            yield Passed(str(path), "unreadable")
            return
        try:
            if beneath.identity_of(below) not in self._kept:
                yield from self.below(below, path, ignored)
        finally:
            os.close(below)
