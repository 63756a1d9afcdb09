"""From token bytes to deltas."""

import pytest

from localai.infer.answer import Score, deltas, texts
from localai.infer.engine import Delta


def test_a_syllable_split_over_tokens_is_shown_whole() -> None:
    """No replacement character appears, and nothing is late by more than a syllable."""
    data = "안녕".encode()
    pieces = [data[:1], data[1:4], data[4:], b"!"]
    assert list(texts(pieces)) == ["안", "녕", "!"]


def test_half_a_character_at_the_end_is_dropped() -> None:
    """The limit may cut a syllable."""
    assert list(texts([b"ok", "안".encode()[:2]])) == ["ok"]


def test_a_first_space_is_dropped_only_where_asked() -> None:
    """SentencePiece writes it, and it may be all of the first token."""
    assert list(texts([b" a", b" b"], drop_space=True)) == ["a", " b"]
    assert list(texts([b" ", b" b"], drop_space=True)) == [" b"]
    assert list(texts([b" a"])) == [" a"]


def test_calls_are_sought_only_with_tools() -> None:
    """Without tools a model may explain the tags."""
    text = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    score = Score(finish="stop")
    assert next(deltas([text], score, with_tools=False)) == Delta(text)
    (called, last) = deltas([text], score, with_tools=True)
    assert called.tool_call is not None
    assert last.finish == "tool_calls"


def test_a_cut_answer_says_so_even_with_calls() -> None:
    """`length` is the caller's reason to distrust the last call."""
    *_, last = deltas(["x<tool_call>{"], Score(), with_tools=True)
    assert last.finish == "length"


def test_the_rate_leaves_out_the_first_token() -> None:
    """Its time is in `ttft_ms`."""
    score = Score(started=1.0, prompt=9, cached=4, completion=5, first=1.5, last=3.5)
    usage = score.usage()
    assert (usage.ttft_ms, usage.tokens_per_second) == (500.0, 2.0)
    assert (usage.prompt_tokens, usage.cached_tokens) == (9, 4)


@pytest.mark.parametrize("count", [0, 1])
def test_no_rate_without_two_tokens(count: int) -> None:
    """Nothing is divided by no time."""
    score = Score(completion=count)
    for _ in range(count):
        score.tick()
    assert score.usage().tokens_per_second == 0.0
