"""Time as the house counts it: integer microseconds UTC, with a boot id and a monotonic clock.

A wall clock can be set back. A deadline that carries the boot id and a monotonic reading beside
the wall time stays in the past once it has passed.
"""

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from functools import cache, lru_cache
from pathlib import Path

from localai.core.errors import Invalid

_DIGITS = 9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_REMEMBERED = 4096  # the same moments are shown again and again
_LONGEST = 36_500 * 86_400  # beyond a hundred years, moments have no date
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Clock:
    """The machine's clocks; a test hands in a subclass that it can turn."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Microseconds since boot, sleep included where the system counts it."""
        clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return time.clock_gettime_ns(clock) // 1000

    @property
    def boot_id(self) -> str:
        """Names this boot of this machine; empty where the system does not say."""
        return _boot_id()

    def deadline(self, seconds: int) -> "Deadline":
        """The moment `seconds` from now."""
        span = seconds * 1_000_000
        return Deadline(self.now_us() + span, self.boot_id, self.monotonic_us() + span)


@dataclass(frozen=True)
class Deadline:
    """A moment in wall time and, within one boot, in monotonic time."""

    wall_us: int
    boot_id: str
    monotonic_us: int


@dataclass(frozen=True)
class Hours:
    """Hours of a day by the local clock, as 22:00-07:00; they may go over midnight."""

    start: time_of_day
    end: time_of_day

    @classmethod
    def read(cls, text: str) -> "Hours":
        """The hours that the text names; Invalid for anything else."""
        try:
            start, end = map(_time_of_day, text.split("-"))
        except ValueError as error:
            raise Invalid(
                f"{text!r} is not a span of hours", hint="write it as 22:00-07:00"
            ) from error
        return cls(start, end)

    def over(self, at_us: int) -> int:
        """When they are over for what comes at this moment: at once, if it is outside of them."""
        moment = datetime.fromtimestamp(at_us / 1_000_000).astimezone()
        now, (start, end) = moment.time(), (self.start, self.end)
        is_within = start <= now < end if start <= end else now >= start or now < end
        if not is_within:
            return at_us
        day = moment.date() + timedelta(days=now >= end)
        return int(datetime.combine(day, end).astimezone().timestamp() * 1_000_000)


def _time_of_day(text: str) -> time_of_day:
    hours, minutes = text.split(":")
    return time_of_day(int(hours), int(minutes))


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def seconds(text: str) -> int:
    """Read a duration such as `90s`, `5m`, `2h`, `7d`; a bare number counts seconds."""
    number, unit = (text[:-1], text[-1]) if text and text[-1] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdigit()) or len(number) > _DIGITS:
        raise Invalid(f"{text!r} is not a duration", hint="write it as 30s, 5m, 2h or 7d")
    if (span := int(number) * _UNITS[unit]) > _LONGEST:
        raise Invalid(f"{text!r} is longer than a hundred years", hint="write it as 7d or 52w")
    return span


def moment(text: str) -> int:
    """Read a moment as RFC 3339 has it, in microseconds; Invalid for anything else."""
    if found := _MOMENT.fullmatch(text):
        with suppress(ValueError, OverflowError):  # of a day that there is not
            return (datetime.fromisoformat(found[0].upper()) - _EPOCH) // timedelta(microseconds=1)
    raise Invalid(f"{text!r} is not a moment", hint="write it as 2026-11-22T09:30:00Z")


@lru_cache(_REMEMBERED)
def rfc3339(microseconds: int | None) -> str | None:
    """A moment as RFC 3339 in UTC, `None` passing through."""
    if microseconds is None:
        return None
    moment = datetime.fromtimestamp(microseconds / 1_000_000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
