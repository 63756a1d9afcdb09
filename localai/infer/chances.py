"""How likely a model found what it said: log-probabilities of drawn tokens, beside the text."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from localai.infer.engine import Chance, Delta


def chance(logits: Any, token: int, tops: int, spell: Callable[[int], bytes]) -> Chance:
    """How likely `token` was by these logits, and the `tops` likeliest ones, of all tokens.

    They are the model's own: before temperature and cuts, and before any form that it is held to.
    """
    scores = np.asarray(logits, dtype=np.float64)
    highest = scores.max()
    whole = highest + np.log(np.exp(scores - highest).sum())
    tops = min(tops, len(scores))
    best = np.argpartition(-scores, tops - 1)[:tops] if tops else scores[:0]
    ordered = sorted(map(int, best), key=lambda each: (-scores[each], each))
    return Chance(
        spell(token),
        float(scores[token] - whole),
        tuple((spell(each), float(scores[each] - whole)) for each in ordered),
    )


class Chances:
    """The tokens that were drawn and not told yet."""

    def __init__(self) -> None:
        self._waiting: list[Chance] = []

    def add(self, drawn: Chance) -> None:
        """A token was drawn."""
        self._waiting.append(drawn)

    def beside(self, deltas: Iterator[Delta]) -> Iterator[Delta]:
        """The same deltas, each text with its tokens; those of thoughts and calls are left out."""
        for delta in deltas:
            if delta.text:
                yield replace(delta, chances=self._of(delta.text.encode()))
                continue
            if delta.thought or delta.tool_call:
                self._waiting.clear()
            yield delta

    def _of(self, text: bytes) -> tuple[Chance, ...]:
        """The tokens that spell the text; those before it were not said, those behind it wait."""
        at = b"".join(each.token for each in self._waiting).find(text)
        if at < 0:  # a token that ends in the middle of a character was told before
            said, self._waiting = self._waiting, []
            return tuple(said)
        said, behind, place = [], [], 0
        for each in self._waiting:
            if place >= at + len(text):
                behind.append(each)
            elif place + len(each.token) > at:
                said.append(each)
            place += len(each.token)
        self._waiting = behind
        return tuple(said)
