"""The tools that read, list and write files of the workspace."""

import errno
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from localai.agent.builtin import beneath
from localai.agent.builtin.beneath import Place
from localai.agent.builtin.sensitive import is_credential, is_obeyed
from localai.agent.tools import ByItself, Context, Tool, ToolResult
from localai.approvals.action import Facts, FileFact
from localai.core.errors import Conflict, Invalid
from localai.core.escape import visible
from localai.rbac.permissions import Risk

MAX_READ = 65_536
MAX_WRITE = 4 << 20
MAX_LISTED = 1_000

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})
_IN_WORKSPACE = ByItself("in localai itself, which opens nothing outside the workspace")

Path_ = Annotated[str, "a path relative to the workspace"]


def read_file(context: Context, path: Path_) -> ToolResult:
    """Read a text file of the workspace."""
    place = beneath.locate(context, path)
    try:
        with beneath.parent(context, place) as (handle, name), beneath.opened(name, handle) as file:
            size = os.fstat(file).st_size
            data = _read(file, MAX_READ + 1)
    except OSError as error:
        return _failed(path, error)
    shown = data[:MAX_READ]
    if b"\0" in shown:
        return ToolResult(False, f"{path} is not text: {size} bytes", "not text")
    text = shown.decode("utf-8", errors="replace")
    if len(data) > MAX_READ:
        text += f"\n[clipped: the first {MAX_READ} of {size} bytes]"
    return ToolResult(True, text, f"read {len(shown)} of {size} bytes")


def list_files(context: Context, path: Path_ = ".") -> ToolResult:
    """List a directory of the workspace; directories end in a slash."""
    place = beneath.locate(context, path)
    try:
        with beneath.directory(context, place) as handle, os.scandir(handle) as entries:
            lines = sorted(_listed(entry) for entry in entries)
    except OSError as error:
        return _failed(path, error)
    summary = f"{len(lines)} entries"
    if len(lines) > MAX_LISTED:
        lines[MAX_LISTED:] = [f"[clipped: the first {MAX_LISTED} of {len(lines)} entries]"]
    return ToolResult(True, "\n".join(lines) or "(empty)", summary)


def write_file(
    context: Context, path: Path_, content: Annotated[str, "the whole new content"]
) -> ToolResult:
    """Write a text file of the workspace, replacing it if it exists."""
    place, data = beneath.locate(context, path), content.encode()
    try:
        with beneath.parent(context, place, make=True) as (handle, name):
            _replace(handle, name, data, _expected(context.facts, place))
    except OSError as error:
        return _failed(path, error)
    said = f"wrote {len(data)} bytes to {path}"
    return ToolResult(True, said, said)


def _read(file: int, most: int) -> bytes:
    data = b""
    while len(data) < most and (chunk := os.read(file, most - len(data))):
        data += chunk
    return data


def _listed(entry: "os.DirEntry[str]") -> str:
    name = visible(entry.name)
    if entry.is_symlink():
        return f"{name} (link)"
    if entry.is_dir():
        return f"{name}/"
    return f"{name}  {entry.stat(follow_symlinks=False).st_size} bytes"


def _expected(facts: Facts, place: Place) -> FileFact:
    """The file as the person saw it; a place that resolves elsewhere now was not seen."""
    for file in facts.files:
        if file.path == str(place.path):
            return file
    raise Conflict(f"{place.path} is not the file that was approved")


def _replace(handle: int, name: str, data: bytes, expected: FileFact) -> None:
    temporary = f".{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o666, dir_fd=handle)
    try:
        with os.fdopen(file, "wb") as writing:
            writing.write(data)
            writing.flush()
            _keep_owner_and_mode(file, name, handle)
            os.fsync(file)
        _put(handle, temporary, name, expected)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=handle)
    os.fsync(handle)


def _put(handle: int, temporary: str, name: str, expected: FileFact) -> None:
    if not expected.exists:
        _put_new(handle, temporary, name, expected.path)
        return
    try:
        found = beneath.fact_in(handle, name, expected.path)
    except FileNotFoundError:
        found = None
    if found != expected:
        raise _changed(expected.path)
    os.replace(temporary, name, src_dir_fd=handle, dst_dir_fd=handle)


def _put_new(handle: int, temporary: str, name: str, path: str) -> None:
    try:
        # A link is made only where nothing is: what appeared meanwhile stays.
        os.link(temporary, name, src_dir_fd=handle, dst_dir_fd=handle)
    except FileExistsError as error:
        raise _changed(path) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # On a file system without links a moment is left between look and rename.
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=handle, follow_symlinks=False)
            raise _changed(path) from None
        os.replace(temporary, name, src_dir_fd=handle, dst_dir_fd=handle)


def _keep_owner_and_mode(file: int, name: str, handle: int) -> None:
    with suppress(FileNotFoundError):
        found = os.stat(name, dir_fd=handle, follow_symlinks=False)
        with suppress(PermissionError):
            os.fchown(file, found.st_uid, found.st_gid)
        os.fchmod(file, stat.S_IMODE(found.st_mode) & 0o777)


def _changed(path: str) -> Conflict:
    return Conflict(f"{path} changed while it was being written", hint="ask for it again")


def _failed(path: str, error: OSError) -> ToolResult:
    why = error.strerror or str(error)
    return ToolResult(False, f"{path}: {why}", why)


def _file_identity(context: Context, arguments: Mapping[str, Any]) -> Facts:
    return Facts(files=(beneath.identity(beneath.locate(context, arguments.get("path", "."))),))


def _file_content(context: Context, arguments: Mapping[str, Any]) -> Facts:
    size = len(arguments["content"].encode())
    if size > MAX_WRITE:
        raise Invalid(f"the content has {size} bytes; {MAX_WRITE} are the most")
    return Facts(files=(beneath.fact(context, beneath.locate(context, arguments["path"])),))


def _reading_risk(context: Context, arguments: Mapping[str, Any]) -> Risk:
    return Risk.HIGH if any(map(is_credential, _paths(context, arguments))) else Risk.LOW


def _writing_risk(context: Context, arguments: Mapping[str, Any]) -> Risk:
    return Risk.CRITICAL if any(map(is_obeyed, _paths(context, arguments))) else Risk.HIGH


def _paths(context: Context, arguments: Mapping[str, Any]) -> tuple[str, str]:
    """The path as it was given, and where it leads."""
    path = arguments["path"]
    return path, "/".join(beneath.locate(context, path).steps)


TOOLS = (
    Tool(
        name="read_file",
        function=read_file,
        permission="files:read",
        risk=Risk.LOW,
        confinement=_IN_WORKSPACE,
        raised_risk=_reading_risk,
        facts=_file_identity,
    ),
    Tool(
        name="list_files",
        function=list_files,
        permission="files:read",
        risk=Risk.LOW,
        confinement=_IN_WORKSPACE,
        facts=_file_identity,
    ),
    Tool(
        name="write_file",
        function=write_file,
        permission="files:write",
        risk=Risk.HIGH,
        confinement=_IN_WORKSPACE,
        raised_risk=_writing_risk,
        facts=_file_content,
        left_open=("content",),
    ),
)
