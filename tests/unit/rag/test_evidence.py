"""Whether passages can hold the answer at all."""

import pytest

from localai.rag.evidence import is_beside, is_unlike

PASSAGE = "The boiler in the cellar is serviced by Sumin every October."


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        ("Who services the boiler?", False),
        ("boiler", False),
        ("Which birds migrate over deserts?", True),
        ("autumn", True),
    ],
)
def test_a_text_that_shares_too_few_words_is_beside_the_question(
    question: str, *, verdict: bool
) -> None:
    """A quarter of the question's terms is the least that an answer was seen to have."""
    assert is_beside(question, [PASSAGE]) == verdict


def test_one_text_that_shares_enough_is_enough() -> None:
    """The others may be about anything."""
    assert not is_beside("Who services the boiler?", ["Owls sleep by day.", PASSAGE])


def test_texts_without_direction_say_nothing_against() -> None:
    """They count neither way; none of them near is unlike."""
    assert is_unlike([1.0, 0.0], [None, [0.1, 0.9]])
    assert not is_unlike([1.0, 0.0], [None, [0.8, 0.6]])
