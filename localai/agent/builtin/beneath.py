"""Opens what lies beneath the workspace, and nothing else, however the tree is changed meanwhile.

A path is resolved once, symbolic links included, and must end inside. It is then walked from the
top of the file system down, one directory handle after another, none of them through a link: what
was swapped for a link in between is an error, never another file.
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
from localai.core.files import real as real_path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# On Linux a folder above may be passed through without the right to list it.
_PASSED = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
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
    top = context.workspace
    real = Path(real_path(top / path))
    if not real.is_relative_to(top):
        raise Denied(f"{path} leads outside the workspace", hint="give a path that stays inside")
    if is_protected(context, real):
        raise _untouchable(path)
    return Place(top, real.relative_to(top).parts)


def is_protected(context: Context, real: Path) -> bool:
    """Whether a resolved path belongs to localai itself."""
    return any(real.is_relative_to(real_path(kept)) for kept in context.protected)


@contextmanager
def directory(context: Context, place: Place, *, make: bool = False) -> Iterator[int]:
    """A handle of the directory at the place; `make` creates what is missing."""
    kept = identities(context)
    handle = _root(place.root)
    try:
        for step in place.steps:
            if make:
                _ensure(step, handle)
            below = entered(step, handle)
            os.close(handle)
            handle = below
            # By identity as well as by name: file systems may fold case or be mounted twice.
            if identity_of(handle) in kept:
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


def entered(name: str, handle: int) -> int:
    """A handle of a directory in an open one, to be closed; OSError for a link."""
    return os.open(name, _DIRECTORY, dir_fd=handle)


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
    return content(context, place, 0)[0]


def content(context: Context, place: Place, most: int) -> tuple[FileFact, bytes | None]:
    """The file at the place as it stands now, and all that it holds, where that is not too much."""
    path = str(place.path)
    try:
        with parent(context, place) as (handle, name), opened(name, handle) as file:
            data = read(file, most + 1)
            if len(data) > most:
                os.lseek(file, 0, os.SEEK_SET)
                return _fact(file, path, digest_of(file)), None
            return _fact(file, path, hashlib.sha256(data).hexdigest()), data
    except FileNotFoundError:
        return FileFact(path, exists=False), None
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error


def fact_in(handle: int, name: str, path: str) -> FileFact:
    """The same, where the directory is already open; FileNotFoundError if there is no file."""
    with opened(name, handle) as file:
        return _fact(file, path, digest_of(file))


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


def read(file: int, most: int) -> bytes:
    """What an open file holds, so many bytes of it at most."""
    data = bytearray()
    while len(data) < most and (chunk := os.read(file, min(_CHUNK, most - len(data)))):
        data += chunk
    return bytes(data)


def identity_of(handle: int) -> tuple[int, int]:
    """Device and inode of what is open."""
    found = os.fstat(handle)
    return found.st_dev, found.st_ino


def identities(context: Context) -> set[tuple[int, int]]:
    """Device and inode of the folders that belong to localai itself."""
    found = [path.stat() for path in context.protected if path.is_dir()]
    return {(each.st_dev, each.st_ino) for each in found}


def _root(path: Path) -> int:
    """A handle of the workspace, reached from the top of the file system through no link."""
    handle = os.open(path.anchor, _PASSED)
    try:
        for step in path.parts[1:-1]:
            below = os.open(step, _PASSED, dir_fd=handle)
            os.close(handle)
            handle = below
        return os.open(path.name or path.anchor, _DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)


def _fact(file: int, path: str, sha256: str) -> FileFact:
    found = os.fstat(file)
    device, inode = str(found.st_dev), str(found.st_ino)
    return FileFact(path, True, device, inode, found.st_size, sha256)


def _ensure(name: str, handle: int) -> None:
    try:
        os.mkdir(name, dir_fd=handle)
    except FileExistsError:
        return


def _untouchable(path: str) -> Denied:
    return Denied(f"{path} belongs to localai itself; no tool touches it")
