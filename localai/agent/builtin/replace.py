"""Puts new content in the place of a file: all of it or none, and only where nothing has changed.

What a person approved names the file as it stood then. It is looked at once more just before the
new content takes its name; what is another file by then, or has another content, stays.
"""

import errno
import os
import secrets
import stat
from contextlib import suppress

from localai.agent.builtin import beneath
from localai.agent.builtin.beneath import Place
from localai.approvals.action import Facts, FileFact
from localai.core.errors import Conflict

MAX_WRITE = 4 << 20

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})


def expected(facts: Facts, place: Place) -> FileFact:
    """The file as the person saw it; a place that resolves elsewhere now was not seen."""
    for file in facts.files:
        if file.path == str(place.path):
            return file
    raise Conflict(f"{place.path} is not the file that was approved")


def replace(handle: int, name: str, data: bytes, expected: FileFact) -> None:
    """Write the file of an open directory anew; Conflict where it is not the expected one."""
    temporary = f".{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o666, dir_fd=handle)
    try:
        with os.fdopen(file, "wb") as writing:
            writing.write(data)
            writing.flush()
            _keep_owner_and_mode(file, name, handle)
            os.fsync(file)
        put(handle, temporary, name, expected)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=handle)
    os.fsync(handle)


def put(handle: int, temporary: str, name: str, expected: FileFact) -> None:
    """Give a finished file its name, where that still is what was expected."""
    if not expected.exists:
        _put_new(handle, temporary, name, expected.path)
        return
    try:
        found = beneath.fact_in(handle, name, expected.path)
    except FileNotFoundError:
        found = None
    if found != expected:
        raise changed(expected.path)
    os.replace(temporary, name, src_dir_fd=handle, dst_dir_fd=handle)


def changed(path: str) -> Conflict:
    """The file is another one than was seen."""
    return Conflict(f"{path} changed while it was being written", hint="ask for it again")


def _put_new(handle: int, temporary: str, name: str, path: str) -> None:
    try:
        # A link is made only where nothing is: what appeared meanwhile stays.
        os.link(temporary, name, src_dir_fd=handle, dst_dir_fd=handle)
    except FileExistsError as error:
        raise changed(path) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # On a file system without links a moment is left between look and rename.
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=handle, follow_symlinks=False)
            raise changed(path) from None
        os.replace(temporary, name, src_dir_fd=handle, dst_dir_fd=handle)


def _keep_owner_and_mode(file: int, name: str, handle: int) -> None:
    with suppress(FileNotFoundError), beneath.opened(name, handle) as old:
        found = os.fstat(old)
        with suppress(PermissionError):
            os.fchown(file, found.st_uid, found.st_gid)
        os.fchmod(file, stat.S_IMODE(found.st_mode) & 0o777)
