"""The tools that read, list and write files of the workspace."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

from localai.agent.builtin import beneath, diff
from localai.agent.builtin.beneath import Place
from localai.agent.builtin.replace import MAX_WRITE, expected, replace
from localai.agent.builtin.sensitive import is_credential, is_obeyed
from localai.agent.tools import ByItself, Context, Tool, ToolResult
from localai.approvals.action import Facts
from localai.core.errors import Invalid
from localai.core.escape import visible
from localai.rbac.permissions import Risk

MAX_READ = 65_536
MAX_LISTED = 1_000
MAX_DIFF = 65_536

IN_WORKSPACE = ByItself("in localai itself, which opens nothing outside the workspace")

Path_ = Annotated[str, "a path relative to the workspace"]


def read_file(context: Context, path: Path_) -> ToolResult:
    """Read a text file of the workspace."""
    place = _seen(context, path)
    try:
        with beneath.parent(context, place) as (handle, name), beneath.opened(name, handle) as file:
            size = os.fstat(file).st_size
            data = beneath.read(file, MAX_READ + 1)
    except OSError as error:
        return failed(path, error)
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
        return failed(path, error)
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
            replace(handle, name, data, expected(context.facts, place))
    except OSError as error:
        return failed(path, error)
    said = f"wrote {len(data)} bytes to {path}"
    return ToolResult(True, said, said)


def _seen(context: Context, path: str) -> Place:
    """Where the path leads, which is where it led when the risk of reading it was judged."""
    place = beneath.locate(context, path)
    if context.facts.files:
        expected(context.facts, place)
    return place


def _listed(entry: "os.DirEntry[str]") -> str:
    name = visible(entry.name)
    if entry.is_symlink():
        return f"{name} (link)"
    if entry.is_dir():
        return f"{name}/"
    return f"{name}  {entry.stat(follow_symlinks=False).st_size} bytes"


def failed(path: str, error: OSError) -> ToolResult:
    """What the system says of a path, for the model to read."""
    why = error.strerror or str(error)
    return ToolResult(False, f"{path}: {why}", why)


def identified(context: Context, arguments: Mapping[str, Any]) -> Facts:
    """Which file or folder the path leads to."""
    return Facts(files=(beneath.identity(beneath.locate(context, arguments.get("path", "."))),))


def _file_content(context: Context, arguments: Mapping[str, Any]) -> Facts:
    size = len(arguments["content"].encode())
    if size > MAX_WRITE:
        raise Invalid(f"the content has {size} bytes; {MAX_WRITE} are the most")
    place = beneath.locate(context, arguments["path"])
    fact, before = beneath.content(context, place, MAX_WRITE)
    return Facts(files=(fact,), diff=_diff(before, arguments["content"]))


def _diff(before: bytes | None, after: str) -> str | None:
    """What changes in a file of text; None where there is none, or where it is all new anyway."""
    text = None if before is None else decoded(before)
    if text is None:
        return None
    made = diff.unified(text, after)
    return made if len(made) <= MAX_DIFF else None


def decoded(data: bytes) -> str | None:
    """The text of a file in UTF-8, None for any other."""
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


def _reading_risk(context: Context, arguments: Mapping[str, Any]) -> Risk:
    return Risk.HIGH if any(map(is_credential, paths(context, arguments))) else Risk.LOW


def writing_risk(context: Context, arguments: Mapping[str, Any]) -> Risk:
    """High for any file; critical for one that some program obeys."""
    return Risk.CRITICAL if any(map(is_obeyed, paths(context, arguments))) else Risk.HIGH


def paths(context: Context, arguments: Mapping[str, Any]) -> tuple[str, str]:
    """The path as it was given, and where it leads: by the facts of the call where there are any.

    A link may be made to lead elsewhere at any moment, so one answer counts for facts and risk.
    """
    path = arguments["path"]
    if context.facts.files:
        return path, os.path.relpath(context.facts.files[0].path, context.workspace)
    return path, "/".join(beneath.locate(context, path).steps)


TOOLS = (
    Tool(
        name="read_file",
        function=read_file,
        permission="files:read",
        risk=Risk.LOW,
        confinement=IN_WORKSPACE,
        raised_risk=_reading_risk,
        facts=identified,
    ),
    Tool(
        name="list_files",
        function=list_files,
        permission="files:read",
        risk=Risk.LOW,
        confinement=IN_WORKSPACE,
        facts=identified,
    ),
    Tool(
        name="write_file",
        function=write_file,
        permission="files:write",
        risk=Risk.HIGH,
        confinement=IN_WORKSPACE,
        raised_risk=writing_risk,
        facts=_file_content,
        left_open=("content",),
    ),
)
