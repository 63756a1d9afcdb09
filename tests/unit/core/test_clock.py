"""Moments, deadlines and durations."""

import re
import time
from datetime import datetime

import pytest

from localai.core.clock import Clock, Deadline, Hours, moment, rfc3339, seconds
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
    ("at_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_760_000_000_123_999, "2025-10-09T08:53:20.123Z"),
        (None, None),
    ],
)
def test_a_moment_is_written_as_rfc_3339_in_utc(at_us: int | None, text: str | None) -> None:
    """Milliseconds, and a Z; nothing stays nothing."""
    assert rfc3339(at_us) == text


@pytest.mark.parametrize(
    "text",
    ["", "22-7", "22:00", "22:00-07:00-08:00", "25:00-07:00", "a:b-c:d", "22:00+09-07:00"],
)
def test_what_is_no_span_of_hours_is_refused(text: str) -> None:
    """With how one is written."""
    with pytest.raises(Invalid, match="not a span of hours") as caught:
        Hours.read(text)
    assert caught.value.hint == "write it as 22:00-07:00"


def test_hours_go_over_midnight() -> None:
    """What comes within them waits for their end, which may be on the next day."""
    hours = Hours.read("22:00-7:00")
    evening = datetime(2026, 3, 2, 23, 0).astimezone()
    morning = datetime(2026, 3, 3, 7, 0).astimezone()
    us = lambda moment: int(moment.timestamp() * 1_000_000)  # noqa: E731
    assert hours.over(us(evening)) == us(morning)
    assert hours.over(us(morning)) == us(morning)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t09:00:00.000001+09:00", 1),
        ("1969-12-31T23:59:59.5z", -500_000),
        ("2025-10-09T08:53:20.25-00:30", 1_760_001_800_250_000),
    ],
)
def test_a_moment_is_read_as_rfc_3339_has_it(text: str, expected: int) -> None:
    """In every zone, to the microsecond."""
    assert moment(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "2025-10-09",
        "2025-10-09T08:53:20",
        "2025-10-09 08:53:20Z",
        "20251009T085320Z",
        "2025-W41-4T08:53:20Z",
        "2025-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2025-10-09T24:00:00Z",
        "2025-10-09T08:53:20+99:00",
        "２025-10-09T08:53:20Z",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    """Nobody should have to guess the zone."""
    with pytest.raises(Invalid):
        moment(text)
