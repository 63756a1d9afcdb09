"""Whether passages can hold the answer to an English question at all; pure.

Measured with the shipped model, whose vectors these are: none of Cranfield's 225 questions is
taken for unanswerable over its own documents, and 162 are over other ones. Korean questions are
never judged, because there words alone would decide: 11 of 92 were judged wrongly.
"""

from collections.abc import Iterable, Sequence

from localai.rag.sparse import query_terms, tokens

SILENCE = "The documents do not say."

_LEAST_SHARE = 0.25
# Cranfield's questions have a cosine of 0.46 and more with a passage that answers.
_LEAST_LIKENESS = 0.25


def is_beside(question: str, texts: Sequence[str]) -> bool:
    """Whether every text shares less than a quarter of the question's terms."""
    asked = set(query_terms(question))
    return all(len(asked & set(tokens(text))) < _LEAST_SHARE * len(asked) for text in texts)


def is_unlike(question: Sequence[float], texts: Iterable[Sequence[float] | None]) -> bool:
    """Whether every text's vector points elsewhere; all of them by the shipped model."""
    return all(
        sum(a * b for a, b in zip(question, text, strict=True)) < _LEAST_LIKENESS
        for text in texts
        if text is not None
    )
