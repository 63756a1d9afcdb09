"""The tool that finds lines in the text files of the workspace."""

import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated

from localai.agent.builtin import beneath, tree
from localai.agent.builtin.files import IN_WORKSPACE, failed, identified
from localai.agent.builtin.pattern import Find, find
from localai.agent.tools import Context, Tool, ToolResult
from localai.core.errors import Invalid
from localai.core.escape import visible
from localai.rag.sources import decoded
from localai.rag.walk import fits
from localai.rbac.permissions import Risk

MAX_FOUND = 200
MAX_FILE = 2_000_000
LONGEST_S = 10.0
MAX_LINE = 10_000  # characters of a line that are looked at
_BEFORE, _SHOWN = 60, 200  # characters of a line: before the match, in all
_NAMED = 20

_WORDS = {
    "large": f"larger than {MAX_FILE // 1_000_000} MB",
    "link": "links",
    "special": "no regular files",
    "unreadable": "not readable",
}


def search_files(
    context: Context,
    pattern: Annotated[str, "a regular expression (RE2); one line has to match it"],
    path: Annotated[str, "a file or directory to search, relative to the workspace"] = ".",
    glob: Annotated[str | None, "only files whose name or path fits, such as *.py"] = None,
    ignore_case: Annotated[bool, "let capitals match small letters"] = False,  # noqa: FBT002 - as models read it
) -> ToolResult:
    """Find lines in the text files of the workspace."""
    matches = find(unicodedata.normalize("NFC", pattern), ignore_case=ignore_case)
    place = beneath.locate(context, path)
    search = _Search(matches, glob, time.monotonic() + LONGEST_S)
    try:
        lines = list(search.lines(context, place))
    except OSError as error:
        return failed(path, error)
    summary = f"{len(lines)} lines in {search.files} files searched"
    text = "\n".join([*(lines or ["no line matches"]), *search.notes])
    return ToolResult(True, text, summary)


class _Search:
    """One search, and what it passed over."""

    def __init__(self, matches: Find, glob: str | None, until: float) -> None:
        self.files = 0
        self._matches = matches
        self._glob = glob
        self._until = until
        self._passed: Counter[str] = Counter()
        self._credentials: list[str] = []
        self._end = ""

    def lines(self, context: Context, place: beneath.Place) -> Iterator[str]:
        """Each line that matches, as `path:line: text`, until there are enough or time is over."""
        found = 0
        for each in tree.walk(context, place):
            if self._is_over():
                return
            if isinstance(each, tree.Passed):
                self._pass(each)
            elif self._glob is None or fits(PurePosixPath(each.path), self._glob):
                for line in self._in(each):
                    if found == MAX_FOUND:
                        self._end = f"the first {MAX_FOUND} lines; there are more"
                        return
                    found += 1
                    yield line

    @property
    def notes(self) -> Iterator[str]:
        """What whoever reads the lines must know of those that are not there."""
        if self._end:
            yield f"[clipped: {self._end}]"
        yield f"[searched {self.files} files]"
        if self._passed:
            counts = sorted(self._passed.items())
            told = (f"{_WORDS.get(why, why)}: {count}" for why, count in counts)
            yield f"[passed over: {', '.join(told)}]"
        if self._credentials:
            named = ", ".join(map(visible, self._credentials[:_NAMED]))
            more = len(self._credentials) - _NAMED
            named += f" and {more} more" if more > 0 else ""
            yield f"[not searched, for they may hold credentials: {named}; read_file asks for them]"

    def _pass(self, passed: tree.Passed) -> None:
        if passed.why == "credential":
            self._credentials.append(passed.path)
        else:
            self._passed[passed.why] += 1

    def _in(self, leaf: tree.Leaf) -> Iterator[str]:
        """The lines of one file that match."""
        text = self._text(leaf)
        for number, line in enumerate(text.split("\n") if text else (), 1):
            if self._is_over():
                return
            if span := self._matches(line[:MAX_LINE]):
                yield f"{visible(leaf.path)}:{number}: {_around(line, span[0])}"

    def _text(self, leaf: tree.Leaf) -> str | None:
        try:
            with beneath.opened(leaf.name, leaf.handle) as file:
                data = beneath.read(file, MAX_FILE + 1)
        except (OSError, Invalid):  # another process took it away, or put a link there
            self._passed["unreadable"] += 1
            return None
        text = None if len(data) > MAX_FILE else decoded(data)
        if text is None:
            self._passed["large" if len(data) > MAX_FILE else "not text"] += 1
        else:
            self.files += 1
        return text

    def _is_over(self) -> bool:
        if time.monotonic() < self._until:
            return False
        self._end = f"stopped after {LONGEST_S:g} seconds"
        return True


def _around(line: str, at: int) -> str:
    """The line, or the part of a long one in which the match begins."""
    start = max(0, at - _BEFORE) if len(line) > _SHOWN else 0
    cut = line[start : start + _SHOWN]
    return f"{'…' if start else ''}{visible(cut)}{'…' if start + _SHOWN < len(line) else ''}"


TOOLS = (
    Tool(
        name="search_files",
        function=search_files,
        permission="files:read",
        risk=Risk.LOW,
        confinement=IN_WORKSPACE,
        facts=identified,
    ),
)
