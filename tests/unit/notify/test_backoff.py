"""When a message is tried again."""

import random

from hypothesis import given
from hypothesis import strategies as st

from localai.notify.backoff import GIVES_UP_S, next_us, wait_s

SECOND = 1_000_000
DAY = GIVES_UP_S * SECOND


def test_two_quick_waits_then_jitter_that_widens_to_a_quarter_of_an_hour() -> None:
    """Most troubles are over in seconds; the others are waited out without a stampede."""
    longest = [wait_s(tries, max) for tries in range(1, 15)]
    assert longest == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900]
    assert {wait_s(tries, min) for tries in range(3, 15)} == {2}


@given(tries=st.integers(1, 10_000), seed=st.integers())
def test_every_wait_is_between_two_seconds_and_a_quarter_of_an_hour(tries: int, seed: int) -> None:
    """However often it was tried."""
    assert 2 <= wait_s(tries, random.Random(seed).uniform) <= 900


def test_the_last_try_is_at_the_end_of_the_day_and_then_it_is_given_up() -> None:
    """A server that comes back within the day is always found."""
    assert next_us(5, 0, 2.0) == 2 * SECOND + 5
    assert next_us(DAY - SECOND, 0, 900.0) == DAY
    assert next_us(DAY - 1, 0, 3600.0) == DAY
    assert next_us(DAY, 0, 2.0) is None
