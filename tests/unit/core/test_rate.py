"""Rates, as they are written in settings."""

import pytest

from localai.core.errors import Invalid
from localai.core.rate import Rate, Throttle, rate


@pytest.mark.parametrize(
    ("text", "found"),
    [("60/1m", Rate(60, 60)), ("5/30", Rate(5, 30)), ("1/1d", Rate(1, 86_400))],
)
def test_a_rate_is_calls_and_a_time(text: str, found: Rate) -> None:
    """As many at once, as many again in that time."""
    assert rate(text) == found


@pytest.mark.parametrize("text", ["", "60", "/1m", "60/", "0/1m", "5/0", "-1/1m", "²/1m", "1.5/1m"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """With how to write one."""
    with pytest.raises(Invalid):
        rate(text)


def test_a_rate_has_words() -> None:
    """They stand in refusals."""
    assert Rate(4, 60).words == "4 times in 60 s"


def test_a_throttle_lets_a_rate_pass_and_counts_the_rest() -> None:
    """What was held back is told once, by the next that passes."""
    throttle = Throttle(Rate(2, 10))
    assert [throttle.passes(5) for _ in range(5)] == [0, 0, None, None, None]
    assert [throttle.passes(10_000_004), throttle.passes(10_000_005)] == [None, 4]
    assert [throttle.passes(10_000_006) for _ in range(2)] == [0, None]
