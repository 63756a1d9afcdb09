"""A progress bar on stderr, for terminals alone."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from localai.cli.screen import stderr


class Step(Protocol):
    """How far some work has come."""

    @property
    def done(self) -> int:
        """Units finished."""

    @property
    def total(self) -> int:
        """Units in all, as far as they are known."""


@contextmanager
def progress(what: str, *, is_download: bool = False) -> Iterator[Callable[[Step], None] | None]:
    """Give a function that shows a step, or None where nobody would see it.

    The units of a download are bytes.
    """
    if not sys.stderr.isatty():
        yield None
        return
    units = (DownloadColumn(), TransferSpeedColumn()) if is_download else (MofNCompleteColumn(),)
    time = TimeRemainingColumn() if is_download else TimeElapsedColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), *units, time)
    with Progress(*columns, console=stderr(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda step: bar.update(task, completed=step.done, total=step.total or None)
