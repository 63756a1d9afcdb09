"""Whether passages can hold the answer at all; pure.

Measured: of 800 KorQuAD questions whose article is indexed, 0.1% share less than a quarter of
their terms with the best of five passages; of 800 whose article is not, 33%. On Cranfield's 225
questions none does, and 12% over other documents.
"""

from collections.abc import Iterable, Sequence

from localai.rag.language import is_korean
from localai.rag.sparse import tokens

_LEAST_SHARE = 0.25
# Of the shipped model's cosines: 225 questions have 0.46 and more with a passage that answers.
_LEAST_LIKENESS = 0.25


def is_beside(question: str, texts: Sequence[str]) -> bool:
    """Whether every text shares less than a quarter of the question's terms."""
    asked = set(tokens(question))
    return all(len(asked & set(tokens(text))) < _LEAST_SHARE * len(asked) for text in texts)


def is_unlike(question: Sequence[float], texts: Iterable[Sequence[float] | None]) -> bool:
    """Whether every text's vector points elsewhere; all of them by the shipped model."""
    return all(
        sum(a * b for a, b in zip(question, text, strict=True)) < _LEAST_LIKENESS
        for text in texts
        if text is not None
    )


def silence(question: str) -> str:
    """What is answered where the documents do not say, in the language of the question."""
    return "문서에 답이 없습니다." if is_korean(question) else "The documents do not say."
