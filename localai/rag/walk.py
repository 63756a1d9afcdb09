"""Which files under a folder are documents.

Never follows a symbolic link, so nothing outside the named path is ever taken in.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from localai.rag.sources import Refused, shown

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_NOT_DOCUMENTS = frozenset({"node_modules", "__pycache__"})
IGNORE = ".gitignore"


def walk(top: Path, exclude: Sequence[str] = ()) -> Iterator[Path | Refused]:
    """Every file at or under `top`, in a stable order.

    Hidden ones are passed over in silence, and so is what a .gitignore under `top` names.
    """
    if top.is_file():
        yield top
        return
    folders: list[tuple[Path, tuple[Ignored, ...]]] = [(top, ())]
    while folders:
        folder, ignored = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Refused(str(folder), f"cannot be read: {error.strerror}", is_error=True)
            continue
        if any(entry.name == IGNORE and entry.is_file(follow_symlinks=False) for entry in entries):
            ignored = (*ignored, _ignored_in(folder))
        wanted = [entry for entry in entries if _is_wanted(entry, top, exclude, ignored)]
        yield from (_found(entry) for entry in wanted if not entry.is_dir(follow_symlinks=False))
        inner = [Path(entry.path) for entry in wanted if entry.is_dir(follow_symlinks=False)]
        folders.extend((each, ignored) for each in reversed(inner))


def fitting(line: str) -> Callable[[Path], bool]:
    """Whether a path below a folder fits one line of a .gitignore in that folder."""
    return _spec([line]).match_file


def _spec(lines: Sequence[str]) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - 40 ms that no question pays

    return GitIgnoreSpec.from_lines(lines)


@dataclass(frozen=True)
class Ignored:
    """What the .gitignore of a folder names."""

    folder: PurePath
    spec: "GitIgnoreSpec"

    @classmethod
    def of(cls, folder: PurePath, text: str) -> "Ignored":
        """What this text names in the folder; one that makes no sense hides nothing."""
        try:
            return cls(folder, _spec(text.splitlines()))
        except ValueError:
            return cls(folder, _spec([]))

    def says(self, path: PurePath, *, is_folder: bool) -> bool | None:
        """Whether it names the path; None where it is silent, False where it takes it back."""
        name = path.relative_to(self.folder).as_posix()
        return self.spec.check_file(f"{name}/" if is_folder else name).include


def is_ignored(path: PurePath, ignored: Sequence[Ignored], *, is_folder: bool) -> bool:
    """Whether a path is left out: the nearest .gitignore that has an opinion wins, as in git."""
    said = (each.says(path, is_folder=is_folder) for each in reversed(ignored))
    return next((answer for answer in said if answer is not None), False)


def is_passed_over(name: str) -> bool:
    """Whether what is called so is no document by its name alone: hidden, or made by machines."""
    return name.startswith(".") or name in _NOT_DOCUMENTS


def fits(path: PurePath, pattern: str) -> bool:
    """Match as readers of .gitignore expect: a bare name at any depth, else the whole path."""
    wanted = pattern.rstrip("/").removeprefix("./").removeprefix("**/")
    is_name = "/" not in wanted and fnmatchcase(path.name, wanted)
    return is_name or fnmatchcase(path.as_posix(), wanted)


def _ignored_in(folder: Path) -> Ignored:
    try:
        text = (folder / IGNORE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return Ignored.of(folder, text)


def _is_wanted(
    entry: os.DirEntry[str], top: Path, exclude: Sequence[str], ignored: Sequence[Ignored]
) -> bool:
    if is_passed_over(entry.name):
        return False
    path, is_folder = Path(entry.path), entry.is_dir(follow_symlinks=False)
    if is_ignored(path, ignored, is_folder=is_folder):
        return False
    return not any(fits(path.relative_to(top), pattern) for pattern in exclude)


def _found(entry: os.DirEntry[str]) -> Path | Refused:
    path = Path(entry.path)
    if "\ufffd" in shown(path, path.parent):
        return Refused(str(path), "a name that is not UTF-8")
    if entry.is_symlink():
        return Refused(str(path), "a symbolic link")
    return path if entry.is_file() else Refused(str(path), "not a regular file")
