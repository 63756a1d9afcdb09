"""Code cut by what it defines: whole functions, methods and classes; pure.

Neighbours that are small share a chunk, because a getter alone says little.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from localai.rag.headings import MAX_HEADING
from localai.rag.sources import Definition

# Definitions within definitions that are cut for themselves.
DEEPEST: Final = 6

Names = tuple[str, ...]
Span = tuple[int, int]


@dataclass(frozen=True)
class _Unit:
    """A piece that is not cut without need; `within` names what it stands in."""

    names: Names
    within: Names
    span: Span


def sections(
    text: str, outline: Sequence[Definition], limit: int, packed: int
) -> Iterator[tuple[Names, Span]]:
    """Names and span of each part, in order: of `limit` characters where definitions allow it.

    Neighbours are packed together up to `packed` characters.
    """
    units = _units(_Unit((), (), (0, len(text))), outline, limit)
    run: list[_Unit] = []
    for unit in units:
        if run and not _fits(run, unit, packed):
            yield _section(run)
            run = []
        run.append(unit)
    if run:
        yield _section(run)


def _units(unit: _Unit, inner: Sequence[Definition], limit: int, depth: int = 0) -> Iterator[_Unit]:
    start, end = unit.span
    if end - start <= limit or not inner or depth == DEEPEST:
        yield unit
        return
    at = 0
    while at < len(inner):
        first, after = inner[at], at + 1
        while after < len(inner) and inner[after].start < first.end:
            after += 1
        span = max(start, first.start), min(end, first.end)
        if span[0] < span[1]:
            if start < span[0]:
                yield _Unit(unit.names, unit.names, (start, span[0]))
            whole = _Unit(first.names, unit.names, span)
            yield from _units(whole, inner[at + 1 : after], limit, depth + 1)
            start = span[1]
        at = after
    if start < end:
        yield _Unit(unit.names, unit.names, (start, end))


def _fits(run: Sequence[_Unit], unit: _Unit, packed: int) -> bool:
    return run[0].within == unit.within and unit.span[1] - run[0].span[0] <= packed


def _section(run: Sequence[_Unit]) -> tuple[Names, Span]:
    """The run as one; several definitions are called by all of their names."""
    span = run[0].span[0], run[-1].span[1]
    if len(run) == 1:
        return run[0].names, span
    within = run[0].within
    own = [unit.names[-1] for unit in run if unit.names != within]
    return (*within, ", ".join(own)[:MAX_HEADING]) if own else within, span
