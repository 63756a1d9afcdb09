"""What an answer cost, as figures."""

import pytest
from measured import Kept

from localai.core import metrics
from localai.infer.cost import counted
from localai.infer.engine import Usage


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_an_answer_is_counted_in_tokens_and_seconds(kept: Kept) -> None:
    """What was still in memory was not read anew."""
    counted(kept, "m", 1000)(Usage(300, 100, 201, 500.0, 50.0))
    assert kept.of(metrics.TOKENS) == {
        ("m", "prompt"): 200,
        ("m", "cached"): 100,
        ("m", "generated"): 201,
    }
    assert kept.of(metrics.ENGINE_SECONDS) == {("m", "prefill"): 0.5, ("m", "decode"): 4.0}
    assert kept.values == {
        (metrics.FIRST_TOKEN.name, "m"): [0.5],
        (metrics.INTER_TOKEN.name, "m"): [0.02],
        (metrics.CONTEXT_USED.name, "m"): [0.501],
    }


def test_one_token_has_no_time_between_two(kept: Kept) -> None:
    """And where nobody knows how large the context is, no share of it is known."""
    counted(kept, "m", 0)(Usage(3, 0, 1, 5.0, 0.0))
    assert kept.values.keys() == {(metrics.FIRST_TOKEN.name, "m")}
    assert kept.of(metrics.ENGINE_SECONDS) == {("m", "prefill"): 0.005}


def test_an_answer_without_a_token_counts_as_nothing(kept: Kept) -> None:
    """It was given up while its prompt was read."""
    counted(kept, "m", 10)(Usage(3, 0, 0, 0.0, 0.0))
    assert (kept.counts, kept.values) == ({}, {})


def test_a_server_that_says_nonsense_makes_no_negative_counts(kept: Kept) -> None:
    """More of the prompt in memory than there is of it."""
    counted(kept, "m", 10)(Usage(3, 9, 0, 1.0, -7.0))
    assert kept.of(metrics.TOKENS) == {
        ("m", "prompt"): 0,
        ("m", "cached"): 3,
        ("m", "generated"): 0,
    }
