"""Which files under a folder are documents.

Never follows a symbolic link, so nothing outside the named path is ever taken in.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from localai.rag.sources import Refused, shown

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_NOT_DOCUMENTS = frozenset({"node_modules", "__pycache__"})
_IGNORE = ".gitignore"


def walk(top: Path, exclude: Sequence[str] = ()) -> Iterator[Path | Refused]:
    """Every file at or under `top`, in a stable order.

    Hidden ones are passed over in silence, and so is what a .gitignore under `top` names.
    """
    if top.is_file():
        yield top
        return
    folders: list[tuple[Path, tuple[_Ignored, ...]]] = [(top, ())]
    while folders:
        folder, ignored = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Refused(str(folder), f"cannot be read: {error.strerror}", is_error=True)
            continue
        if any(entry.name == _IGNORE and entry.is_file(follow_symlinks=False) for entry in entries):
            ignored = (*ignored, _Ignored.of(folder))
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
class _Ignored:
    """What the .gitignore of a folder names."""

    folder: Path
    spec: "GitIgnoreSpec"

    @classmethod
    def of(cls, folder: Path) -> "_Ignored":
        try:
            text = (folder / _IGNORE).read_text(encoding="utf-8", errors="replace")
            return cls(folder, _spec(text.splitlines()))
        except (OSError, ValueError):  # one that makes no sense hides nothing
            return cls(folder, _spec([]))

    def says(self, entry: os.DirEntry[str]) -> bool | None:
        """Whether it names the entry; None where it is silent, False where it takes it back."""
        name = Path(entry.path).relative_to(self.folder).as_posix()
        is_folder = entry.is_dir(follow_symlinks=False)
        return self.spec.check_file(f"{name}/" if is_folder else name).include


def _is_wanted(
    entry: os.DirEntry[str], top: Path, exclude: Sequence[str], ignored: Sequence[_Ignored]
) -> bool:
    if entry.name.startswith(".") or entry.name in _NOT_DOCUMENTS:
        return False
    # The nearest .gitignore that has an opinion wins, as git has it.
    said = (each.says(entry) for each in reversed(ignored))
    if next((answer for answer in said if answer is not None), False):
        return False
    return not _is_excluded(Path(entry.path).relative_to(top), exclude)


def _is_excluded(path: Path, patterns: Sequence[str]) -> bool:
    """Match as readers of .gitignore expect: a bare name at any depth, else the whole path."""
    for pattern in patterns:
        wanted = pattern.rstrip("/").removeprefix("./").removeprefix("**/")
        if fnmatchcase(path.as_posix(), wanted):
            return True
        if "/" not in wanted and fnmatchcase(path.name, wanted):
            return True
    return False


def _found(entry: os.DirEntry[str]) -> Path | Refused:
    path = Path(entry.path)
    if "\ufffd" in shown(path, path.parent):
        return Refused(str(path), "a name that is not UTF-8")
    if entry.is_symlink():
        return Refused(str(path), "a symbolic link")
    return path if entry.is_file() else Refused(str(path), "not a regular file")
