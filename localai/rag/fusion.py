"""Two rankings into one: what words found and what meaning found; pure.

Scores are added, not places: a passage that has the words far better than the next one stays
ahead, where places alone would make it one place ahead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# What the farthest candidate still gets: being among the nearest hundred says something, too.
_LEAST = 0.5


@dataclass(frozen=True)
class Fusion:
    """How much meaning counts: as the best passage by words gets 1, the nearest gets `meaning`."""

    meaning: float


@dataclass(frozen=True)
class Hit:
    """A stored passage that was found; scores compare within one search only."""

    score: float
    payload: dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A passage as one ranking has it; `is_read` if it has a direction at all."""

    id: str
    score: float
    is_read: bool


def fused(
    by_words: Sequence[Candidate], by_meaning: Sequence[Candidate], fusion: Fusion
) -> list[tuple[str, float]]:
    """The candidates of both rankings, each once with its score, best first.

    A passage that the embedding model cannot read gets what the farthest candidate gets.
    """
    words = _shares(by_words, 0.0)
    farthest = min((each.score for each in by_meaning), default=0.0)
    meaning = _shares(by_meaning, farthest)
    scored = []
    for each in {each.id: each for each in (*by_words, *by_meaning)}.values():
        nearness = 0.0 if each.is_read else _LEAST
        if each.id in meaning:
            nearness = _LEAST + (1 - _LEAST) * meaning[each.id]
        scored.append((each.id, words.get(each.id, 0.0) + fusion.meaning * nearness))
    return sorted(scored, key=lambda pair: -pair[1])


def _shares(ranking: Sequence[Candidate], least: float) -> dict[str, float]:
    """Scores as shares of the way from `least` to the best; all 1 where none is better."""
    span = max((each.score for each in ranking), default=0.0) - least
    return {each.id: (each.score - least) / span if span > 0 else 1.0 for each in ranking}
