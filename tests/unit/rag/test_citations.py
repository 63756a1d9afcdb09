"""Which of a model's citations count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.rag.citations import Citations, cited, numbers

PIECES = st.lists(
    st.sampled_from(
        ["It boils", " ", " [", "[", "]", "[1]", "[3]", "[1, 9]", "2", ",", "`", "``", "```", "\n"]
    ),
    max_size=30,
)


@pytest.mark.parametrize(
    ("written", "kept", "removed"),
    [
        ("It boils [1].", "It boils [1].", 0),
        ("It boils [1][2].", "It boils [1][2].", 0),
        ("It boils [3].", "It boils.", 1),
        ("It boils[0] there.", "It boils there.", 1),
        ("It boils [1, 7].", "It boils [1].", 1),
        ("It boils [2, 1].", "It boils [2, 1].", 0),
        ("It boils [5, 1, 7].", "It boils [1].", 2),
        (
            "Take `names[7]` and\n```\nx = [9]\n```",
            "Take `names[7]` and\n```\nx = [9]\n```",
            0,
        ),
        ("```\nopen [9]", "```\nopen [9]", 0),
        ("Nothing here.", "Nothing here.", 0),
        (f"Not a number [{'9' * 5000}].", f"Not a number [{'9' * 5000}].", 0),
    ],
)
def test_only_citations_of_passages_that_are_there_stay(
    written: str, kept: str, removed: int
) -> None:
    """A model makes numbers up; code is not a citation."""
    assert cited(written, 2) == (kept, removed)


@given(PIECES)
def test_what_is_shown_while_it_is_written_is_what_is_kept(pieces: list[str]) -> None:
    """Nothing that was shown has to be taken back, wherever the answer is cut into pieces."""
    citations = Citations(2)
    shown = "".join(map(citations.feed, pieces)) + citations.finish()
    assert (shown, citations.removed) == cited("".join(pieces), 2)
    assert citations.text == shown


def test_words_are_shown_at_once() -> None:
    """Only what may become a citation, or code, waits."""
    citations = Citations(1)
    assert [citations.feed(piece) for piece in ("It", " boils", " [", "1", "]", ".")] == [
        "It",
        " boils",
        "",
        "",
        " [1]",
        ".",
    ]


def test_the_passages_that_an_answer_cites_are_known() -> None:
    """Those in code are none."""
    assert numbers("One [1]. Two [2, 4]. `x[3]`") == {1, 2, 4}
