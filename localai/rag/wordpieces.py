"""The tokenizer of the model that ships, which remembers words: they come again and again.

Four fifths of embedding were spent on cutting words that had been cut before.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# BERT cuts at these whatever stands beside them, so words may be cut one by one.
_WORD = re.compile(r"[^ \t\n\r]+")


@dataclass(frozen=True)
class Encoded:
    """A text as fastembed wants it: token ids as long as the batch's longest, and which count."""

    ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]


class Wordpieces:
    """Stands before a tokenizer of BERT's kind that adds no token of its own to a text."""

    def __init__(self, tokenizer: Any) -> None:
        self._longest = tokenizer.truncation["max_length"]
        self._padding = tokenizer.padding["pad_id"]
        self._tokenizer = tokenizer
        self._ids = lru_cache(maxsize=1 << 16)(self._cut)

    def encode_batch(self, texts: Sequence[str]) -> list[Encoded]:
        """What the tokenizer itself gives, as arrays."""
        rows = [self._row(text) for text in texts]
        ids = np.full((len(rows), max(map(len, rows), default=0)), self._padding, dtype=np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return [Encoded(*pair) for pair in zip(ids, mask, strict=True)]

    def _row(self, text: str) -> NDArray[np.int64]:
        joined = b"".join(map(self._ids, _WORD.findall(text)))
        return np.frombuffer(joined, dtype=np.int64)[: self._longest]

    def _cut(self, word: str) -> bytes:
        return np.array(self._tokenizer.encode(word).ids, dtype=np.int64).tobytes()
