"""Chat or code: which of the two models a question is for. Pure.

Words and shapes that speak for code add to a score, those that only look so take from it; a
question whose score reaches `ENOUGH` goes to the model for code. They stand in routes.toml.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal

Role = Literal["chat", "code"]

ENOUGH: Final = 1.5
_MOST: Final = 4_000  # characters that are looked at: a long paste tells early what it is


@dataclass(frozen=True)
class Reason:
    """What was found in the question, and how much it counts."""

    found: str
    weight: float

    def __str__(self) -> str:
        return f"{self.found} {self.weight:+g}" if self.weight else self.found


@dataclass(frozen=True)
class Route:
    """The model to take, and why; the reasons that count most come first."""

    role: Role
    score: float = 0.0
    reasons: tuple[Reason, ...] = ()

    def __str__(self) -> str:
        found = ", ".join(map(str, self.reasons))
        return (
            f"{self.role}, {self.score:g} of {ENOUGH:g} for code: {found or 'nothing says either'}"
        )


def route(question: str, before: Role = "chat") -> Route:
    """Choose by what the question says; one that says nothing goes where the last one went."""
    found: dict[str, Reason] = {}
    for reason in _reasons(question[:_MOST]):
        found.setdefault(reason.found.casefold(), reason)
    reasons = tuple(sorted(found.values(), key=lambda each: -abs(each.weight)))
    score = round(sum(reason.weight for reason in reasons), 1)
    if not reasons:
        return Route(before, score, ())
    return Route("code" if score >= ENOUGH else "chat", score, reasons)


def _reasons(question: str) -> Iterator[Reason]:
    shapes, words = _signals()
    for name, weight, pattern in shapes:
        if pattern.search(question):
            yield Reason(name, weight)
    for weight, pattern in words:
        for match in pattern.finditer(question):
            yield Reason(" ".join(match[0].split()), weight)


_Shape = tuple[str, float, re.Pattern[str]]
_Words = tuple[float, re.Pattern[str]]


@cache
def _signals() -> tuple[list[_Shape], list[_Words]]:
    stored = tomllib.loads(files("localai.infer").joinpath("routes.toml").read_text("utf-8"))
    shapes = [
        (each["name"], float(each["weight"]), re.compile(each["pattern"], re.MULTILINE))
        for each in stored["shapes"]
    ]
    words = [(float(each["weight"]), _any_of(each)) for each in stored["words"]]
    return shapes, words


def _any_of(words: dict[str, Sequence[str]]) -> re.Pattern[str]:
    """Words that stand alone, and Korean ones, to which particles stick, wherever they are."""
    whole, inside = "|".join(words["whole"]), "|".join(words["inside"])
    return re.compile(rf"(?<![\w.])(?:{whole})(?![A-Za-z0-9_])|{inside}", re.IGNORECASE)
