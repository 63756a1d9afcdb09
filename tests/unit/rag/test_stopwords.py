"""Which words of a question are looked for."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.rag.stopwords import without_stopwords


@pytest.mark.parametrize(
    ("question", "kept"),
    [
        ("How do I renew the lease?", "renew lease"),
        ("월세는 언제까지 내야 하나요?", "월세는 내야"),
        ("GPU가 없으면 어떻게 해요?", "GPU가 없으면"),
        ("who runs IT at WHO", "runs IT WHO"),
        ("what is this?", "what is this?"),
        ("뭐예요", "뭐예요"),
        ("", ""),
    ],
)
def test_what_only_makes_a_question_is_left_out(question: str, kept: str) -> None:
    """Names in capitals stay, and so does a question that has nothing else."""
    assert without_stopwords(question) == kept


def test_decomposed_hangul_is_known_too() -> None:
    """macOS writes names so, and people paste them."""
    assert without_stopwords(unicodedata.normalize("NFD", "월세는 언제")) == "월세는"


@given(st.text())
def test_a_question_is_never_left_empty(question: str) -> None:
    """What has a word still has one."""
    kept = without_stopwords(question)
    assert bool(kept.strip()) == bool(question.strip())
