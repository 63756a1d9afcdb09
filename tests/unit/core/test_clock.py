"""Moments, deadlines and durations."""

import re
import time

import pytest

from localai.core.clock import Clock, Deadline, rfc3339, seconds
from localai.core.errors import Invalid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("7d", 604_800),
        ("1w", 604_800),
        ("36500d", 36_500 * 86_400),
    ],
)
def test_a_duration_is_read_in_its_unit(text: str, expected: int) -> None:
    """A bare number counts seconds."""
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "m", "-5m", "+5m", "5 m", "1.5h", "5M", "5min", "٣m", "\uff15m", "1e3", "1_000", "5\n"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """No sign, fraction, space or other digit is guessed at."""
    with pytest.raises(Invalid, match="is not a duration") as caught:
        seconds(text)
    assert caught.value.hint == "write it as 30s, 5m, 2h or 7d"


@pytest.mark.parametrize("text", ["36501d", "5215w", "999999999w"])
def test_a_duration_beyond_a_century_is_refused(text: str) -> None:
    """A deadline that far away would have no date and no place in the database."""
    with pytest.raises(Invalid, match="longer than a hundred years"):
        seconds(text)


def test_a_deadline_counts_from_both_clocks() -> None:
    """Wall time for people and across boots, monotonic time against a clock set back."""

    class Fixed(Clock):
        boot_id = "boot"

        def now_us(self) -> int:
            return 1_000

        def monotonic_us(self) -> int:
            return 7

    assert Fixed().deadline(2) == Deadline(2_001_000, "boot", 2_000_007)


def test_the_machines_clocks_count_microseconds() -> None:
    """Between two readings of the system's own clocks lies ours."""
    clock = Clock()
    before = time.time_ns() // 1000
    now = clock.now_us()
    assert before <= now <= time.time_ns() // 1000
    assert clock.monotonic_us() <= clock.monotonic_us()


def test_one_boot_has_one_name() -> None:
    """Two clocks of one machine agree on it."""
    assert Clock().boot_id == Clock().boot_id
    assert re.fullmatch(r"[0-9a-f-]{36}|", Clock().boot_id)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_760_000_000_123_999, "2025-10-09T08:53:20.123Z"),
        (None, None),
    ],
)
def test_a_moment_is_written_as_rfc_3339_in_utc(moment: int | None, text: str | None) -> None:
    """Milliseconds, and a Z; nothing stays nothing."""
    assert rfc3339(moment) == text
