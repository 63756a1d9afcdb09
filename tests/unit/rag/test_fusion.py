"""Two rankings into one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.rag.fusion import Candidate, Fusion, fused

HALF = Fusion(meaning=0.5)


def ranking(*, is_read: bool = True, **scores: float) -> list[Candidate]:
    """Candidates by name, best first."""
    best_first = sorted(scores.items(), key=lambda item: -item[1])
    return [Candidate(name, score, is_read) for name, score in best_first]


def test_scores_count_and_not_places() -> None:
    """A passage that has all the words stays ahead of one that is second in both."""
    words = ranking(right=30.0, wrong=9.0)
    found = fused(words, ranking(other=0.9, wrong=0.8, right=0.1), HALF)
    assert [name for name, _ in found] == ["right", "wrong", "other"]
    assert found[0][1] == pytest.approx(1 + 0.5 * 0.5)
    assert found[1][1] == pytest.approx(0.3 + 0.5 * (0.5 + 0.5 * 0.7 / 0.8))


def test_what_the_model_cannot_read_is_neither_praised_nor_blamed() -> None:
    """An English question finds the Korean passage that has its words."""
    korean = ranking(is_read=False, korean=10.0)
    found = fused([*korean, *ranking(near=6.0)], ranking(near=0.5, far=0.1), HALF)
    assert [name for name, _ in found] == ["korean", "near", "far"]
    assert found[0][1] == pytest.approx(1.25)


def test_the_scale_of_a_models_likeness_does_not_matter() -> None:
    """One model's strangers are at 0.1, another's at 0.8."""
    words = ranking(a=5.0, b=4.0)
    low = fused(words, ranking(a=0.1, b=0.2, c=0.3), HALF)
    high = fused(words, ranking(a=0.8, b=0.85, c=0.9), HALF)
    assert [score for _, score in low] == pytest.approx([score for _, score in high])


def test_one_ranking_alone_keeps_its_order() -> None:
    """Where the words are nowhere, or nothing has a direction."""
    for found in (fused(ranking(a=2.0, b=1.0), [], HALF), fused([], ranking(a=2.0, b=1.0), HALF)):
        assert [name for name, _ in found] == ["a", "b"]
    assert fused([], [], HALF) == []


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 100)),
    st.dictionaries(st.sampled_from("abcdef"), st.floats(-1, 1)),
)
def test_every_candidate_comes_once_best_first(
    words: dict[str, float], meaning: dict[str, float]
) -> None:
    """And no score leaves its bounds."""
    found = fused(ranking(**words), ranking(**meaning), HALF)
    names = [name for name, _ in found]
    assert sorted(names) == sorted(words.keys() | meaning.keys())
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1.5 for score in scores)
