"""Private files: 0600 in 0700 directories, replaced whole or not at all; and a few for others."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from localai.core.errors import Conflict

# What st_blocks counts, whatever the file system's own blocks are.
_BLOCK = 512


def private_dir(path: Path) -> Path:
    """Make the directory, and its missing parents, for the owner alone."""
    if not path.is_dir():
        private_dir(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, data: bytes) -> None:
    """Replace the file's content atomically, mode 0600; a crash leaves the old or the new."""
    private_dir(path.parent)
    _replace(path, data, 0o600)


def write_shared(path: Path, data: bytes) -> None:
    """As `write_private`, but for everybody to read, folders too: for what holds no secret."""
    missing = [each for each in (path.parent, *path.parent.parents) if not each.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # whatever the umask says
    _replace(path, data, 0o644)


def _replace(path: Path, data: bytes, mode: int) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def allocated(folder: Path) -> int:
    """How many bytes the files at and under the folder take on disk; holes in them take none."""
    total = 0
    folders = [os.fspath(folder)]
    while folders:
        # What is gone meanwhile takes nothing.
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    with suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
    return total


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive advisory lock on the file; other processes wait their turn."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def real(path: str | Path) -> str:
    """The path with every link followed; Conflict where another process changes it meanwhile."""
    try:
        return os.path.realpath(path)
    except OSError as error:  # a link by the first look at it, and none by the second
        message = f"{path} changes while it is looked at"
        raise Conflict(message, hint="try again, once nothing else moves it") from error


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold the lock if nobody else does, without waiting; tells whether it is held."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
