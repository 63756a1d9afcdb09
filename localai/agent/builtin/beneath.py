"""Opens what lies beneath the workspace, and nothing else, however the tree is changed meanwhile.

A path is resolved once, symbolic links included, and must end inside. It is then walked from
the workspace down, one directory handle after another, none of them through a link: what was
swapped for a link in between is an error, never another file.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localai.agent.tools import Context
from localai.approvals.action import FileFact
from localai.core.errors import Denied, Invalid

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a named pipe would wait for its other end.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Place:
    """A resolved path: the workspace's real path and the steps below it."""

    root: Path
    steps: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The whole path."""
        return self.root.joinpath(*self.steps)


def locate(context: Context, path: str) -> Place:
    """Resolve a path of the workspace; Denied where it ends outside or in what is protected."""
    if not path or "\0" in path:
        raise Invalid(f"{path!r} is not a path", hint="give a path relative to the workspace")
    if path.startswith("/") or ".." in path.split("/"):
        raise Denied(f"{path} lies outside the workspace", hint="give a path relative to it")
    root = Path(os.path.realpath(context.workspace))
    real = Path(os.path.realpath(root / path))
    if not real.is_relative_to(root):
        raise Denied(f"{path} leads outside the workspace", hint="give a path that stays inside")
    if any(real.is_relative_to(os.path.realpath(kept)) for kept in context.protected):
        raise _untouchable(path)
    return Place(root, real.relative_to(root).parts)


@contextmanager
def directory(context: Context, place: Place, *, make: bool = False) -> Iterator[int]:
    """A handle of the directory at the place; `make` creates what is missing."""
    kept = _identities(context.protected)
    handle = os.open(place.root, _DIRECTORY)
    try:
        for step in place.steps:
            if make:
                _ensure(step, handle)
            below = os.open(step, _DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle = below
            # By identity as well as by name: file systems may fold case or be mounted twice.
            if _identity(os.fstat(handle)) in kept:
                raise _untouchable(str(place.path))
        yield handle
    finally:
        os.close(handle)


@contextmanager
def parent(context: Context, place: Place, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """A handle of the directory that holds the place, and the last step's name."""
    if not place.steps:
        raise Invalid("the workspace itself is not a file")
    above = Place(place.root, place.steps[:-1])
    with directory(context, above, make=make) as handle:
        yield handle, place.steps[-1]


@contextmanager
def opened(name: str, handle: int) -> Iterator[int]:
    """A regular file of the directory, for reading; Invalid for anything else."""
    file = os.open(name, _FILE, dir_fd=handle)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise Invalid(f"{name} is not a regular file")
        yield file
    finally:
        os.close(file)


def fact(context: Context, place: Place) -> FileFact:
    """The file at the place as it stands now."""
    try:
        with parent(context, place) as (handle, name):
            return fact_in(handle, name, str(place.path))
    except FileNotFoundError:
        return FileFact(str(place.path), exists=False)
    except OSError as error:
        raise Invalid(f"{place.path} cannot be read: {error.strerror}") from error


def fact_in(handle: int, name: str, path: str) -> FileFact:
    """The same, where the directory is already open; FileNotFoundError if there is no file."""
    with opened(name, handle) as file:
        found = os.fstat(file)
        return FileFact(
            path=path,
            exists=True,
            device=str(found.st_dev),
            inode=str(found.st_ino),
            size=found.st_size,
            sha256=digest_of(file),
        )


def identity(place: Place) -> FileFact:
    """What stands at the place, a directory perhaps, whatever its content."""
    try:
        found = place.path.lstat()
    except OSError:
        return FileFact(str(place.path), exists=False)
    device, inode = str(found.st_dev), str(found.st_ino)
    return FileFact(str(place.path), exists=True, device=device, inode=inode)


def digest_of(file: int) -> str:
    """SHA-256 in hex of an open file's content."""
    found = hashlib.sha256()
    while chunk := os.read(file, _CHUNK):
        found.update(chunk)
    return found.hexdigest()


def _ensure(name: str, handle: int) -> None:
    try:
        os.mkdir(name, dir_fd=handle)
    except FileExistsError:
        return


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _identities(paths: tuple[Path, ...]) -> set[tuple[int, int]]:
    return {_identity(path.stat()) for path in paths if path.is_dir()}


def _untouchable(path: str) -> Denied:
    return Denied(f"{path} belongs to localai itself; no tool touches it")
