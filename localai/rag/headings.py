"""Headings of the light markups: Markdown, reStructuredText, AsciiDoc and Org; pure.

Each is read line by line, in linear time, and only as far as headings need it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from localai.rag.sources import Kind

# A title stands before every chunk below it: one line of a megabyte would be copied thousands
# of times.
MAX_HEADING: Final = 200


@dataclass(frozen=True)
class Heading:
    """A heading's place in the text, its underline included; 1 is the highest level."""

    start: int
    end: int
    level: int
    title: str


@dataclass(frozen=True)
class _Line:
    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def headings(text: str, kind: Kind) -> Iterator[Heading]:
    """The headings of a text of that kind, in order; code and plain text have none."""
    read = _READERS.get(kind)
    return read(_lines(text)) if read else iter(())


def _lines(text: str) -> list[_Line]:
    found, start = [], 0
    for line in text.split("\n"):
        found.append(_Line(start, line))
        start += len(line) + 1
    return found


_HASHES: Final = re.compile(r"(#{1,6})[ \t]+(?=\S)")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_SETEXT: Final = re.compile(r" {0,3}(={2,}|-{2,})[ \t]*")
# What a line of dashes below does not make a heading: lists, quotes, tables, tags, code.
_NO_TITLE: Final = re.compile(r" {4}|[ \t]*(?:$|\t|[-*+>|<#]|\d{1,9}[.)][ \t])")


def _markdown(lines: list[_Line]) -> Iterator[Heading]:
    """Marked by `#`, or underlined, outside fences and the lines about the file at its top."""
    fence = ""
    before: tuple[_Line, _Line] | None = None
    for line in lines[_front_matter(lines) :]:
        above, title = before or (_NOTHING, _NOTHING)
        before = (title, line)
        if mark := _FENCE.match(line.text):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence) and line.text.strip() == mark[1]:
                fence = ""
        elif fence:
            continue
        elif hashes := _HASHES.match(line.text):
            words = line.text[hashes.end() :].strip().rstrip("#").rstrip()
            yield _heading(line, line, len(hashes[1]), words)
        elif (under := _SETEXT.fullmatch(line.text)) and _is_alone(above, title):
            yield _heading(title, line, 1 if under[1][0] == "=" else 2, title.text)
            before = (_NOTHING, _NOTHING)


def _front_matter(lines: list[_Line]) -> int:
    """How many lines at the top are about the file, between two lines of three dashes."""
    if lines[0].text.rstrip() != "---":
        return 0
    ends = (number for number, line in enumerate(lines[1:], 2) if line.text.rstrip() == "---")
    return next(ends, 0)


def _is_alone(above: _Line, title: _Line) -> bool:
    """Whether the title is a paragraph of one line."""
    is_first = not above.text.strip() or _HASHES.match(above.text) is not None
    is_fence = _FENCE.match(title.text) is not None
    return is_first and not is_fence and not _NO_TITLE.match(title.text)


_ADORNMENT: Final = re.compile(r"([!-/:-@\[-`{-~])\1+[ \t]*")
_SHORTEST: Final = 4


def _restructured(lines: list[_Line]) -> Iterator[Heading]:
    """Underlined, or between two lines; a style's level is its place in the order of styles."""
    styles: dict[tuple[str, bool], int] = {}
    number = 0
    while number < len(lines):
        above = lines[number - 1].text if number else ""
        size = _overlined(lines[number : number + 3]) or _underlined(above, lines, number)
        if size:
            under = lines[number + size - 1]
            level = styles.setdefault((under.text[0], size == _OVERLINED), len(styles) + 1)
            yield _heading(lines[number], under, level, lines[number + size - 2].text)
        number += size or 1


_OVERLINED: Final = 3


def _overlined(lines: list[_Line]) -> int:
    """How many lines the heading has that is between two lines here, if there is one."""
    if len(lines) < _OVERLINED:
        return 0
    over, title, under = (line.text.rstrip() for line in lines)
    if over != under or not title or not _ADORNMENT.fullmatch(over):
        return 0
    return _OVERLINED if _is_long(under, title.strip()) else 0


def _underlined(above: str, lines: list[_Line], number: int) -> int:
    """How many lines the underlined heading has that begins here, if there is one."""
    title = lines[number].text.rstrip()
    if above.strip() or not title or title[0].isspace() or number + 1 == len(lines):
        return 0
    under = lines[number + 1].text.rstrip()
    is_one = _ADORNMENT.fullmatch(under) and not _ADORNMENT.fullmatch(title)
    return 2 if is_one and _is_long(under, title) else 0


def _is_long(under: str, title: str) -> bool:
    """As docutils has it: a shorter line is a slip if it is four characters long."""
    return len(under) >= min(len(title), _SHORTEST)


_EQUALS: Final = re.compile(r"(={1,6})[ \t]+(?=\S)")
_DELIMITER: Final = re.compile(r"(-{4,}|\.{4,}|\+{4,}|/{4,})[ \t]*|(`{3,})[^`]*")


def _asciidoc(lines: list[_Line]) -> Iterator[Heading]:
    """Marked by `=`, outside listings, literal blocks and comments."""
    block = ""
    for line in lines:
        if delimiter := _DELIMITER.fullmatch(line.text):
            if not block:
                block = delimiter[1] or delimiter[2]
            elif line.text.rstrip() == block:
                block = ""
        elif not block and (marks := _EQUALS.match(line.text)):
            yield _heading(line, line, len(marks[1]), line.text[marks.end() :])


_STARS: Final = re.compile(r"(\*{1,30})[ \t]+(?=\S)")
_BLOCK: Final = re.compile(r"[ \t]*#\+(begin|end)_(?:src|example|export|comment)\b", re.IGNORECASE)


def _org(lines: list[_Line]) -> Iterator[Heading]:
    """Marked by `*` at the margin, outside blocks of source, examples and comments."""
    is_quoted = False
    for line in lines:
        if block := _BLOCK.match(line.text):
            is_quoted = block[1].lower() == "begin"
        elif not is_quoted and (stars := _STARS.match(line.text)):
            yield _heading(line, line, len(stars[1]), line.text[stars.end() :])


def _heading(first: _Line, last: _Line, level: int, title: str) -> Heading:
    return Heading(first.start, last.end, level, title.strip()[:MAX_HEADING])


_NOTHING: Final = _Line(0, "")
_READERS: Final[dict[Kind, Callable[[list[_Line]], Iterator[Heading]]]] = {
    "markdown": _markdown,
    "rst": _restructured,
    "asciidoc": _asciidoc,
    "org": _org,
}
