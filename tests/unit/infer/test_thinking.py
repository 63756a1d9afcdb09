"""Thoughts and answers, however the text was cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.infer.thinking import Thought, split


def _parted(pieces: list[str], *, is_thinking: bool = False) -> tuple[str, str]:
    found = list(split(pieces, is_thinking=is_thinking))
    assert all(found)
    thoughts = "".join(piece for piece in found if isinstance(piece, Thought))
    return thoughts, "".join(piece for piece in found if not isinstance(piece, Thought))


@pytest.mark.parametrize(
    ("text", "is_thinking", "thought", "said"),
    [
        ("Hello.", False, "", "Hello."),
        ("", False, "", ""),
        ("  Hello <think>x</think>", False, "", "  Hello <think>x</think>"),
        ("<think>\nwell\n</think>\n\nHello.", False, "\nwell\n", "Hello."),
        ("\n<think></think>안녕", False, "", "안녕"),
        ("well</think>Hello", True, "well", "Hello"),
        ("a < b </thin k></think> </think>", True, "a < b </thin k>", "</think>"),
        ("<think>never ends </thi", False, "never ends </thi", ""),
        ("<thi", False, "", "<thi"),
        ("<thing>", False, "", "<thing>"),
    ],
)
def test_a_thought_comes_before_the_answer(
    text: str, is_thinking: bool, thought: str, said: str
) -> None:
    """Whole, letter by letter, and in two pieces cut anywhere."""
    cuts = [[text], list(text), *([text[:n], text[n:]] for n in range(len(text)))]
    for pieces in cuts:
        assert _parted(pieces, is_thinking=is_thinking) == (thought, said)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "th", ">", " ", "가", "</"])))
def test_nothing_is_lost_but_tags_and_blanks_between(pieces: list[str]) -> None:
    """Whatever a model writes."""
    thought, said = _parted(pieces)
    left = "".join(pieces)
    if left.lstrip().startswith("<think>"):
        inside, _, after = left.lstrip().removeprefix("<think>").partition("</think>")
        assert (thought, said) == (inside, after.lstrip())
    else:
        assert (thought, said) == ("", left)


def test_what_a_server_calls_a_thought_is_one() -> None:
    """Between pieces of an answer, too."""
    pieces = [Thought("hm"), "Hel", Thought("so"), "lo"]
    assert list(split(pieces)) == pieces
