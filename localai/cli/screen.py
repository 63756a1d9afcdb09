"""Consoles and tables: what needs rich, which a command that shows neither does not load."""

import os
import sys
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from localai.cli.console import GAP, LAST, cell
from localai.core.escape import visible

_WIDE = 200  # a pipe has no width: a table that nobody wraps can be cut by columns


def stdout() -> Console:
    """A console for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """A console for prompts, progress and warnings."""
    return _console(stderr=True)


def print_dim(text: str) -> None:
    """A part of a line on stderr, escaped already, that matters less than the rest."""
    stderr().print(Text(text, "dim"), end="", soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table to print; every cell is escaped."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, len(GAP), 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(visible(cell(value))) for value in row))
    return made


def folds(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bool:
    """Tell whether the screen is too narrow for a table: an id in pieces cannot be copied."""
    texts = [columns, *([visible(cell(value)) for value in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    fixed = sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
    return fixed + min(widths[-1], LAST) > stdout().width


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    forced = os.environ.get("CLICOLOR_FORCE", "0") != "0" or None
    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(
        stderr=stderr,
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=forced,
        width=width,
        soft_wrap=False,
    )
