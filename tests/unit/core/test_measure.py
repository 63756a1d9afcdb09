"""Spans around work: what counts as done, as failed, and as never begun."""

from collections.abc import Generator
from contextlib import closing

import pytest
from measured import Kept

from localai.core.errors import (
    Conflict,
    Denied,
    Expired,
    Invalid,
    LocalaiError,
    NotFound,
    Pending,
    Rejected,
    Unavailable,
)
from localai.core.measure import failing, operation, timed
from localai.core.metrics import OPERATION_DURATION, OPERATIONS, TOOL_DURATION

_REFUSED = (Conflict, Denied, Expired, Invalid, NotFound, Pending, Rejected)
_FAILED = (Unavailable, LocalaiError, ValueError, MemoryError)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.mark.parametrize(
    ("error", "result"),
    [
        *((each, None) for each in _REFUSED),
        *((each, "failed") for each in _FAILED),
        *((each, "ok") for each in (KeyboardInterrupt, SystemExit)),
    ],
)
def test_what_raises_is_counted_by_whose_doing_it_was(
    kept: Kept, error: type[BaseException], result: str | None
) -> None:
    """Ours is a failure, an interrupt was well until then, and a refusal was never begun."""
    with pytest.raises(error), operation(kept, "chat"):
        raise error
    assert kept.of(OPERATIONS) == ({("chat", result): 1} if result else {})
    assert kept.times(OPERATION_DURATION) == ({("chat",): 1} if result else {})


def test_a_stream_that_is_closed_midway_was_well(kept: Kept) -> None:
    """Nobody failed: the reader had enough."""

    def stream() -> Generator[int]:
        with operation(kept, "chat"):
            yield from range(9)

    with closing(stream()) as numbers:
        next(numbers)
        assert kept.of(OPERATIONS) == {}
    assert kept.of(OPERATIONS) == {("chat", "ok"): 1}


def test_what_cannot_begin_counts_only_as_a_failure(kept: Kept) -> None:
    """What begins is counted where it ends."""
    with failing(kept, "chat"):
        pass
    for error in (NotFound, KeyboardInterrupt):
        with pytest.raises(error), failing(kept, "chat"):
            raise error
    assert kept.of(OPERATIONS) == {}
    with pytest.raises(Unavailable), failing(kept, "chat"):
        raise Unavailable
    assert kept.of(OPERATIONS) == {("chat", "failed"): 1}
    assert kept.times(OPERATION_DURATION) == {("chat",): 1}


def test_what_raises_took_its_time_too(kept: Kept) -> None:
    """A tool that runs into its limit is the slow one."""
    with pytest.raises(ZeroDivisionError), timed(kept, TOOL_DURATION, "shell"):
        raise ZeroDivisionError
    assert kept.times(TOOL_DURATION) == {("shell",): 1}
