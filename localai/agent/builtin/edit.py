"""The tool that changes a piece of a text file and leaves every other byte as it is."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any

from localai.agent.builtin import beneath, diff
from localai.agent.builtin.beneath import Place
from localai.agent.builtin.files import (
    IN_WORKSPACE,
    MAX_DIFF,
    Path_,
    decoded,
    failed,
    paths,
    writing_risk,
)
from localai.agent.builtin.replace import MAX_WRITE, changed, expected, replace
from localai.agent.builtin.sensitive import is_credential
from localai.agent.tools import Context, Tool, ToolResult
from localai.approvals.action import Facts, FileFact
from localai.core.errors import Invalid, NotFound
from localai.core.escape import visible
from localai.rbac.permissions import Risk

_MOST_LINES = 2_000  # that are compared with what was not found
_LONGEST = 120  # characters of a line that is compared and shown


def edit_file(
    context: Context,
    path: Path_,
    old: Annotated[str, "the exact text to replace; it must occur once"],
    new: Annotated[str, "the text to put in its place"],
    all: Annotated[bool, "replace every occurrence"] = False,  # noqa: A002, FBT002 - as models read it
) -> ToolResult:
    """Replace a piece of a text file of the workspace, leaving the rest as it is."""
    place = beneath.locate(context, path)
    seen = expected(context.facts, place)
    fact, before = _text(context, place, path)
    if fact != seen:
        raise changed(path)
    after, count = _edited(before, old, new, is_all=all)
    try:
        with beneath.parent(context, place) as (handle, name):
            replace(handle, name, after.encode(), seen)
    except OSError as error:
        return failed(path, error)
    said = f"replaced {count} {'occurrence' if count == 1 else 'occurrences'} in {path}"
    return ToolResult(True, said, said)


def _facts(context: Context, arguments: Mapping[str, Any]) -> Facts:
    """The file as it stands, and what it will lose and gain; Invalid where it cannot be edited."""
    path, old = arguments["path"], arguments["old"]
    fact, before = _text(context, beneath.locate(context, path), path)
    try:
        after, _ = _edited(before, old, arguments["new"], is_all=arguments.get("all", False))
    except Invalid as error:
        # Nobody is asked before this is told, so it must not tell what reading would ask for.
        if any(map(is_credential, paths(context, arguments))):
            raise Invalid(f"{path} cannot be edited so") from None
        raise Invalid(f"{path}: {error.message}", hint=error.hint) from error
    made = diff.unified(before, after)
    if len(made) > MAX_DIFF:
        message = f"{path}: {len(made)} characters of changes are more than a person can read"
        raise Invalid(message, hint="edit in smaller pieces, around shorter lines")
    return Facts(files=(fact,), diff=made)


def _text(context: Context, place: Place, path: str) -> tuple[FileFact, str]:
    fact, data = beneath.content(context, place, MAX_WRITE)
    if not fact.exists:
        raise NotFound(f"there is no file {path}", hint="write_file makes one")
    if data is None:
        raise Invalid(f"{path} has {fact.size} bytes; {MAX_WRITE} are the most to edit")
    text = decoded(data)
    if text is None:
        raise Invalid(f"{path} is not text in UTF-8", hint="edit it with a program that knows it")
    return fact, text


def _edited(text: str, old: str, new: str, *, is_all: bool) -> tuple[str, int]:
    """The text after the edit, and how often the old piece was in it; Invalid tells why not."""
    if not old:
        raise Invalid("old is empty", hint="give the text that is to be replaced")
    if _is_crlf(text):
        old, new = _crlf(old), _crlf(new)
    if old == new:
        raise Invalid("old and new are the same")
    count = text.count(old)
    if not count:
        raise Invalid(f"old does not occur in it; {_nearest(text, old)}")
    # Overlapping ones count as well: in "aaa", "aa" may mean two places.
    if not is_all and text.find(old) != text.rfind(old):
        message = f"old occurs {max(count, 2)} times; give more lines around it, or all: true"
        raise Invalid(message)
    gained = len(new.encode()) - len(old.encode())
    if len(text.encode()) + count * gained > MAX_WRITE:
        raise Invalid(f"the file would have more than {MAX_WRITE} bytes")
    return text.replace(old, new), count


def _is_crlf(text: str) -> bool:
    """Whether every line of the text ends as on Windows."""
    return 0 < text.count("\n") == text.count("\r\n")


def _crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _nearest(text: str, old: str) -> str:
    """Which line is most like the first one of what was not found."""
    wanted = next(filter(str.strip, old.split("\n")), "").strip()[:_LONGEST]
    lines = [line.strip()[:_LONGEST] for line in text.split("\n")[:_MOST_LINES]]
    near = difflib.get_close_matches(wanted, lines, n=1)
    if not near:
        return "no line is like it"
    return f'line {lines.index(near[0]) + 1} is the nearest: "{visible(near[0])}"'


TOOLS = (
    Tool(
        name="edit_file",
        function=edit_file,
        permission="files:write",
        risk=Risk.HIGH,
        confinement=IN_WORKSPACE,
        raised_risk=writing_risk,
        facts=_facts,
    ),
)
