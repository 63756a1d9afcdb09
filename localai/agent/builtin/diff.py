"""Unified diffs of texts, in a bounded time whatever the texts are; pure.

A line ends at a newline and nowhere else, so a carriage return is a part of it that can be seen.
"""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

_AROUND = 3  # lines of context
# Lines before times lines after, up to which it is worked out which of them stayed.
_MOST_COMPARED = 250_000
_NO_NEWLINE = "\\ No newline at the end of the file"

# Where lines were replaced: from, to in the text before, from, to in the text after.
_Change = tuple[int, int, int, int]


def unified(before: str, after: str) -> str:
    """What the text loses and gains, in hunks with line numbers; empty where nothing changes."""
    old, new = _lines(before), _lines(after)
    return "".join(
        f"{line}\n" for hunk in _hunks(_changes(old, new)) for line in _hunk(hunk, old, new)
    )


def _lines(text: str) -> list[str]:
    """The lines, each with its newline, which the last one may lack."""
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop().removesuffix("\n")
    return [*lines, last] if last else lines


def _changes(old: Sequence[str], new: Sequence[str]) -> list[_Change]:
    start = _same(old, new)
    end = _same(old[start:][::-1], new[start:][::-1])
    left, right = old[start : len(old) - end], new[start : len(new) - end]
    if not left and not right:
        return []
    if len(left) * len(right) > _MOST_COMPARED:
        return [(start, start + len(left), start, start + len(right))]
    found = SequenceMatcher(None, left, right).get_opcodes()
    return [
        (start + a, start + b, start + c, start + d)
        for kind, a, b, c, d in found
        if kind != "equal"
    ]


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines are the same from the beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    most = min(len(one), len(other))
    return next((n for n, (left, right) in pairs if left != right), most)


def _hunks(changes: Sequence[_Change]) -> Iterator[list[_Change]]:
    """Changes so near to each other that their context would meet stand together."""
    near: list[_Change] = []
    for change in changes:
        if near and change[0] - near[-1][1] > 2 * _AROUND:
            yield near
            near = []
        near.append(change)
    if near:
        yield near


def _hunk(changes: Sequence[_Change], old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    before = min(_AROUND, changes[0][0])
    after = min(_AROUND, len(old) - changes[-1][1])
    start, other = changes[0][0] - before, changes[0][2] - before
    size = changes[-1][1] + after - start
    gained = changes[-1][3] + after - other
    yield f"@@ -{_range(start, size)} +{_range(other, gained)} @@"
    at = start
    for a, b, c, d in changes:
        yield from _marked(" ", old[at:a])
        yield from _marked("-", old[a:b])
        yield from _marked("+", new[c:d])
        at = b
    yield from _marked(" ", old[at : start + size])


def _range(start: int, size: int) -> str:
    """As `diff -u` counts: from 1, and from the line before where there is none."""
    return f"{start + 1 if size else start},{size}"


def _marked(sign: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield sign + line.removesuffix("\n")
        if not line.endswith("\n"):
            yield _NO_NEWLINE
