"""Documents made up from numbers: words as frequent as Zipf has it, English and Korean.

English words are those of the shipped model's own vocabulary, so that it knows them; Korean ones
are made of syllables and carry josa.
"""

import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from tokenizers import Tokenizer

from localai.rag.embed import SHIPPED_FOLDER

PASSAGES_A_FILE = 50
_KOREAN_WORDS = 20_000
_JOSA = ["은", "는", "이", "가", "을", "를", "에", "에서", "으로", "와", "과", "의", "도"]


class Words:
    """Words of one language, the first the most frequent; a number stands for a seed."""

    def __init__(self, words: list[str], seed: int) -> None:
        self._words = words
        self._weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
        self._dice = random.Random(seed)

    def some(self, number: int) -> str:
        """So many words."""
        return " ".join(self._dice.choices(self._words, cum_weights=self._weights, k=number))

    def passage(self, length: int) -> str:
        """Sentences of about so many characters."""
        text = ""
        while len(text) < length:
            text += f"{self.some(12).capitalize()}. "
        return text[:-1]


def english(seed: int) -> Words:
    """What the shipped model knows as whole words."""
    known = Tokenizer.from_file(str(SHIPPED_FOLDER / "tokenizer.json")).get_vocab()
    words = [word for word in sorted(known, key=known.__getitem__) if word.isascii()]
    return Words([word for word in words if word.isalpha() and len(word) > 1], seed)


def korean(seed: int) -> Words:
    """Two or three syllables, and a josa behind every other."""
    dice = random.Random(seed)

    def word() -> str:
        stem = "".join(chr(dice.randrange(0xAC00, 0xD7A4)) for _ in range(dice.choice((2, 2, 3))))
        return stem + dice.choice(_JOSA) if dice.random() < 0.5 else stem

    return Words([word() for _ in range(_KOREAN_WORDS)], seed)


def write(folder: Path, passages: int, *, is_mixed: bool = True) -> Path:
    """A folder of so many passages, every other file Korean if it is mixed."""
    folder.mkdir(parents=True)
    languages = [(english(1), 900), (korean(1), 540)] if is_mixed else [(english(1), 900)]
    for number in range(passages // PASSAGES_A_FILE):
        words, length = languages[number % len(languages)]
        text = "\n\n".join(words.passage(length) for _ in range(PASSAGES_A_FILE))
        (folder / f"{number:05}.md").write_text(text, encoding="utf-8")
    return folder


def questions(number: int) -> Iterator[str]:
    """Six words each, in turn English and Korean."""
    languages = (english(2), korean(1))
    for each in range(number):
        yield languages[each % 2].some(6)
