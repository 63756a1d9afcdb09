"""What rooms count and time with, whatever keeps the figures."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Final, Protocol

from localai.core.errors import LocalaiError, Unavailable
from localai.core.metrics import OPERATION_DURATION, OPERATIONS, Metric


class Measures(Protocol):
    """Takes figures while work goes on: never waits for a disk, and raises nothing."""

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Count one, or more."""

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value to a histogram."""


class Unmeasured:
    """Keeps nothing: for rooms that stand alone."""

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Forget it."""

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Forget it."""


UNMEASURED: Final = Unmeasured()


@contextmanager
def timed(measures: Measures, metric: Metric, *labels: str) -> Iterator[None]:
    """Observe how many seconds it took, also where it raised."""
    started = perf_counter()
    try:
        yield
    finally:
        measures.observe(metric, perf_counter() - started, *labels)


@contextmanager
def operation(measures: Measures, name: str) -> Iterator[None]:
    """Count what a person asked for, by whether it was done, and how long it took.

    What raised Unavailable or a bug failed. What somebody interrupted was well until then. What
    was refused (Invalid, Denied, NotFound and the like) was never begun, and is not counted.
    """
    started = perf_counter()
    try:
        yield
    except BaseException as error:
        _ended(measures, name, started, _result(error))
        raise
    _ended(measures, name, started, "ok")


@contextmanager
def failing(measures: Measures, name: str) -> Iterator[None]:
    """Count an operation only where it fails before it can begin."""
    started = perf_counter()
    try:
        yield
    except Exception as error:
        _ended(measures, name, started, _result(error))
        raise


def _ended(measures: Measures, name: str, started: float, result: str | None) -> None:
    if result is not None:
        measures.count(OPERATIONS, name, result)
        measures.observe(OPERATION_DURATION, perf_counter() - started, name)


def _result(error: BaseException) -> str | None:
    if not isinstance(error, Exception):
        return "ok"
    is_refusal = isinstance(error, LocalaiError) and type(error) is not LocalaiError
    return None if is_refusal and not isinstance(error, Unavailable) else "failed"
