"""What of a model's citations counts; pure.

A citation is `[1]` or `[1, 2]`, by the numbers of the passages that the model was shown. One of a
passage that was not there is taken out, and counted; what stands in code is no citation.
"""

import re

_CITATION = re.compile(r"[ \t]?\[(\d{1,9}(?:\s?,\s?\d{1,9}){0,7})\]")
_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`)", re.DOTALL)
# What may yet become a citation or code when more of the answer comes.
_OPEN = re.compile(r"(?:`[^`\n]*|[ \t]|[ \t]?\[[\d\s,]{0,99})\Z")  # the longest has 93


class Citations:
    """An answer over `passages` passages, while it is written and when it is whole."""

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self._written = ""
        self._shown = 0
        self.removed = 0

    def feed(self, piece: str) -> str:
        """Take a piece of the answer; returns what can be shown by now."""
        self._written += piece
        open_ = _OPEN.search(_CODE.split(self._written)[-1])
        settled = self._written.removesuffix(open_[0]) if open_ else self._written
        return self._new(cited(settled, self._passages)[0])

    def finish(self) -> str:
        """What is still to be shown when the answer is over."""
        text, self.removed = cited(self._written, self._passages)
        return self._new(text)

    @property
    def text(self) -> str:
        """The answer without citations of passages that are not there."""
        return cited(self._written, self._passages)[0]

    def _new(self, text: str) -> str:
        new = text[self._shown :]
        self._shown += len(new)
        return new


def numbers(answer: str) -> set[int]:
    """The passages that an answer cites."""
    prose = _CODE.split(answer)[::2]
    found = (match[1] for part in prose for match in _CITATION.finditer(part))
    return {int(number) for group in found for number in group.split(",")}


def cited(answer: str, passages: int) -> tuple[str, int]:
    """The answer without citations of passages that are not there, and how many those were."""
    removed = 0

    def kept(found: re.Match[str]) -> str:
        nonlocal removed
        numbers = [int(number) for number in found[1].split(",")]
        real = [number for number in numbers if 1 <= number <= passages]
        if real == numbers:
            return found[0]
        removed += len(numbers) - len(real)
        return f" [{', '.join(map(str, real))}]" if real else ""

    parts = _CODE.split(answer)
    parts[::2] = [_CITATION.sub(kept, part) for part in parts[::2]]
    return "".join(parts), removed
