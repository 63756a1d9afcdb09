"""Places in the file system that were meant: files, folders and patterns."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from localai.core.errors import NotFound, Unavailable
from localai.rag.catalog import File
from localai.rag.sources import Lead, Refused, Source, Untouched, read, shown
from localai.rag.walk import fitting, walk

_WILD: Final = re.compile(r"[*?\[]")


# What is known of a file without reading it; None where it is to be read.
Look = Callable[[Path], Untouched | Refused | None]


def is_wild(path: Path) -> bool:
    """Whether the path may be meant as a pattern."""
    return _WILD.search(str(path)) is not None


@dataclass(frozen=True)
class Tree:
    """A file, or all that is under a folder; names are relative to `base`."""

    path: Path
    root: Path
    base: Path
    is_trusted: bool
    look: Look

    @classmethod
    def of(cls, path: Path, roots: set[str], look: Look, *, is_trusted: bool) -> "Tree":
        """What was named, with names as the roots above it have them."""
        root = _named_above(path, roots)
        return cls(path, root, _base(root), is_trusted, look)

    def find(self, exclude: Sequence[str]) -> list[Lead]:
        """The files that are there now."""
        found = walk(self.path, exclude) if self.path.exists() else ()
        return [self.lead(each) for each in found]

    def lead(self, found: Path | Refused) -> Lead:
        """What reads a file of it, or says why not."""
        return (lambda: found) if isinstance(found, Refused) else partial(self._read, found)

    def holds(self, key: str) -> bool:
        """Whether a file is meant, be it there or not."""
        return is_under(key, str(self.path))

    def shown(self, key: str) -> str:
        """What people call the file."""
        return shown(Path(key), self.base)

    def _read(self, path: Path) -> Source | Refused | Untouched:
        found = self.look(path) or read(path, self.base)
        if not isinstance(found, Source):
            return found
        return replace(found, root=str(self.root), is_trusted=self.is_trusted)


class Trees:
    """Trees that lie beside each other."""

    def __init__(self, trees: Iterable[Tree]) -> None:
        self._trees = {str(tree.path): tree for tree in trees}

    def find(self, exclude: Sequence[str]) -> list[Lead]:
        """The files that are there now."""
        return [lead for tree in self._trees.values() for lead in tree.find(exclude)]

    def holds(self, key: str) -> bool:
        """Whether a file is meant, be it there or not."""
        return self._around(key) is not None

    def shown(self, key: str) -> str:
        """What people call the file."""
        tree = self._around(key)
        return tree.shown(key) if tree else key

    def _around(self, key: str) -> Tree | None:
        # Shells name thousands of files one by one, so not every tree is asked.
        above = (str(each) for each in (key, *Path(key).parents))
        return next((self._trees[each] for each in above if each in self._trees), None)


@dataclass(frozen=True)
class Pattern:
    """The files under a folder that a pattern fits: `notes/**/*.md`."""

    path: Path
    tree: Tree
    fits: Callable[[Path], bool]

    @classmethod
    def of(cls, path: Path, roots: set[str], look: Look, *, is_trusted: bool) -> "Pattern":
        """The pattern, and the folder before the first part that is none."""
        top = next(up for up in path.parents if up.exists() or not is_wild(up))
        line = f"/{path.relative_to(top)}".replace(" ", r"\ ")
        tree = Tree.of(top, roots, look, is_trusted=is_trusted)
        return cls(path, tree, fitting(line))

    def find(self, exclude: Sequence[str]) -> list[Lead]:
        """The files that are there now."""
        top = self.tree.path
        found = walk(top, exclude) if top.is_dir() else ()
        return [self.tree.lead(each) for each in found if self._concerns(each)]

    def holds(self, key: str) -> bool:
        """Whether a file is meant, be it there or not."""
        return self.tree.holds(key) and self._fits(key)

    def shown(self, key: str) -> str:
        """What people call the file."""
        return self.tree.shown(key)

    def _concerns(self, found: Path | Refused) -> bool:
        if isinstance(found, Refused):
            return found.is_error or self._fits(found.key)
        return self._fits(str(found))

    def _fits(self, key: str) -> bool:
        return self.fits(Path(key).relative_to(self.tree.path))


@dataclass(frozen=True)
class Original:
    """A file that was indexed before, where it was; what is no path cannot be read again."""

    file: File

    def find(self, exclude: Sequence[str]) -> list[Lead]:  # noqa: ARG002 - it was taken in once
        """The file, or that it is gone."""
        path, root = Path(self.file.path), Path(self.file.root)
        tree = Tree(path, root, _base(root), self.file.is_trusted, lambda _: None)
        if path.is_absolute() and path.is_file() and not path.is_symlink():
            return [tree.lead(path)]
        return [tree.lead(Refused(self.file.path, "gone", is_error=not path.is_absolute()))]

    def holds(self, key: str) -> bool:
        """Whether it is this file."""
        return key == self.file.path

    def shown(self, key: str) -> str:  # noqa: ARG002 - it has one name
        """What people call it."""
        return self.file.source


def must_exist(path: Path) -> None:
    """Raise NotFound for a path where nothing is, Unavailable for one that makes no sense."""
    if not resolved(path).exists():
        message = f"there is no file or folder {path}"
        raise NotFound(message, hint="name one that is there")


def resolved(path: Path) -> Path:
    """The path from the root, with every link followed; Unavailable where it makes no sense."""
    try:
        found = path.expanduser().resolve()
        found.exists()
        str(found).encode()
    except (OSError, RuntimeError, ValueError) as error:
        message = f"{shown(path, path.parent)} cannot be read"
        raise Unavailable(message, hint="check its name and who may read it") from error
    return found


def _base(root: Path) -> Path:
    return root.parent if root.is_file() else root


def _named_above(path: Path, roots: set[str]) -> Path:
    """The outermost folder above the path that was indexed before, or the path itself."""
    return next((each for each in reversed([path, *path.parents]) if str(each) in roots), path)


def is_under(key: str, top: str) -> bool:
    """Whether the key is that of a file at or under the path; nothing is under other keys."""
    return key == top or (top.startswith("/") and key.startswith(f"{top.rstrip('/')}/"))
