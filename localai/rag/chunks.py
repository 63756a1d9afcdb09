"""Text to chunks: heading, then paragraph, then sentence packing; pure.

A chunk is always one slice of the text, so its lines are exact. Measured on rejoined KorQuAD
articles: a title before each chunk finds more answers than overlap does, and 400 to 600
characters of Korean find more than 1,200.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from localai.rag.headings import Heading, headings
from localai.rag.language import is_korean
from localai.rag.outline import sections
from localai.rag.sources import Definition, Kind, Source

MAX_LATIN = 1000
MAX_KOREAN = 600
# Small definitions share a chunk up to this; at 1,000 a function is found first less often.
PACKED = 500

# As scanners and cameras name files: it says nothing, and embedding models read it all the same.
_NUMBER = re.compile(r"[\W\d_]*(\.\w+)?")
_NEWLINE = re.compile(r"\n")

Span = tuple[int, int]
# A pattern to cut at, and the characters that must not follow the cut.
Seam = tuple[re.Pattern[str], str]

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_SENTENCE_END = re.compile(r"(?<=[.!?\u2026])\s+|(?<=[\u3002\uff01\uff1f])")
_SPACE = re.compile(r"\s+")
_PROSE: tuple[Seam, ...] = ((_BLANK_LINES, ""), (_SENTENCE_END, ""), (_NEWLINE, ""), (_SPACE, ""))
_CODE: tuple[Seam, ...] = (
    (_BLANK_LINES, " \t)]}"),  # before a definition at the left margin
    (_BLANK_LINES, ""),
    (_NEWLINE, ""),
    (_SPACE, ""),
)


@dataclass(frozen=True)
class Chunk:
    """A piece of a text; lines are 1-based, both ends included; `title` is its heading path.

    Within a document, `place` says where it is, and lines count from the part's first.
    """

    text: str
    start_line: int
    end_line: int
    title: str
    place: str = ""

    @property
    def indexed(self) -> str:
        """What is embedded and indexed: the title, unless it is a mere number, then the text."""
        return self.text if _NUMBER.fullmatch(self.title) else f"{self.title}\n{self.text}"


def cut(source: Source) -> list[Chunk]:
    """Cut a file, or every part of a document, into chunks, in order."""
    name = source.title or source.name
    if not source.parts:
        return chunk(source.text, source.kind, name, source.outline)
    return [
        replace(piece, place=part.place)
        for part in source.parts
        for piece in chunk(part.text, part.kind, part.title or name)
    ]


def chunk(text: str, kind: Kind, name: str, outline: Sequence[Definition] = ()) -> list[Chunk]:
    """Cut the text of the file `name` into chunks, in order; a blank text has none."""
    newlines = [match.start() for match in _NEWLINE.finditer(text)]
    seams = _CODE if kind == "code" else _PROSE
    found = []
    parts = sections(text, outline, MAX_LATIN, PACKED) if outline else _sections(text, kind)
    for path, section in parts:
        title = " \u203a ".join((name, *path))
        limit = MAX_KOREAN if is_korean(text[slice(*section)]) else MAX_LATIN
        for start, end in _joined(_packed(text, section, limit, seams), limit):
            first = bisect_right(newlines, start - 1) + 1
            last = bisect_right(newlines, end - 2) + 1
            found.append(Chunk(text[start:end], first, last, title))
    return found


def _sections(text: str, kind: Kind) -> Iterator[tuple[tuple[str, ...], Span]]:
    """Heading path and span of each part that a heading opens, and of what precedes them."""
    found = list(headings(text, kind))
    yield (), (0, found[0].start if found else len(text))
    path: list[Heading] = []
    for heading, after in pairwise([*found, Heading(len(text), len(text), 0, "")]):
        path = [*(above for above in path if above.level < heading.level), heading]
        # A heading with nothing but deeper headings below it lives on in their titles.
        if text[heading.end : after.start].strip() or after.level <= heading.level:
            yield tuple(each.title for each in path), (heading.start, after.start)


def _packed(text: str, span: Span, limit: int, seams: tuple[Seam, ...]) -> Iterator[Span]:
    """Spans of at most `limit` characters that leave out blanks only, cut at the best seams."""
    start, end = _trimmed(text, span)
    if end - start <= limit:
        if start < end:
            yield start, end
        return
    if not seams:
        yield from ((at, min(at + limit, end)) for at in range(start, end, limit))
        return
    opened, filled = start, start
    for first, last in _parts(text, (start, end), seams[0]):
        if last - opened > limit:
            yield from _packed(text, (opened, filled), limit, seams[1:])
            opened = first
        filled = last
    yield from _packed(text, (opened, filled), limit, seams[1:])


def _joined(spans: Iterator[Span], limit: int) -> Iterator[Span]:
    """The spans, where the rest of a long part and the part after it fit together as one."""
    opened: Span | None = None
    for start, end in spans:
        if opened and end - opened[0] > limit:
            yield opened
            opened = None
        opened = (opened[0] if opened else start, end)
    if opened:
        yield opened


def _parts(text: str, span: Span, seam: Seam) -> Iterator[Span]:
    pattern, not_before = seam
    at, end = span
    for match in pattern.finditer(text, *span):
        following = text[match.end() : match.end() + 1]
        if following and following in not_before:
            continue
        if at < match.start():
            yield at, match.start()
        at = match.end()
    if at < end:
        yield at, end


def _trimmed(text: str, span: Span) -> Span:
    """The span without its blank ends; the first line keeps its indent."""
    start, end = span
    piece = text[start:end]
    indented = len(piece) - len(piece.lstrip())
    end -= len(piece) - len(piece.rstrip())
    return min(end, start + piece.rfind("\n", 0, indented) + 1), end
