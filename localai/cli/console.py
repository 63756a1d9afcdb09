"""What people see: tables and text on stdout, the rest on stderr. Markup is never interpreted.

Every string from outside passes through core.escape.visible before it is printed.
"""

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TextIO

from localai.core.escape import visible
from localai.core.records import json_text

# RFC 3986 has no other characters; nothing in it can end the escape sequence around it.
_ADDRESS = re.compile(r"(?:https?|file)://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,2000}")
LAST = 16  # cells that the last column of a table needs: it may fold, the others may not
GAP = "  "


def print_json(record: object) -> None:
    """One JSON document on stdout; characters that a terminal would obey are escaped."""
    print(json_text(record, indent=2 if sys.stdout.isatty() else None))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table on stdout; `empty` is said on stderr when there is nothing to show."""
    listed = list(rows)
    if not listed:
        note(empty)
        return
    from localai.cli import screen

    if screen.folds(columns, listed):
        for row in listed:
            print_fields(dict(zip(columns, row, strict=True)))
            print_line("")
        return
    screen.stdout().print(screen.table(columns, listed))


def print_fields(fields: Mapping[str, object]) -> None:
    """Names and values on stdout, one pair a line; values keep their line breaks."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        first, *rest = _folded(value, width + len(GAP))
        print_line(f"{name:{width}}  {first}")
        for line in rest:
            print_line(f"{'':{width}}  {line}")


def _folded(value: object, margin: int) -> Sequence[str]:
    """The lines of a value; on a terminal a long list is broken between its elements."""
    text = visible(cell(value), lines=True)
    if isinstance(value, list | tuple) and sys.stdout.isatty():
        from localai.cli import screen

        width = max(screen.stdout().width - margin, LAST)
        return textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    return text.split("\n")


def print_line(line: str, *, lines: bool = False, flush: bool = False) -> None:
    """One line on stdout, escaped; with `lines`, a text that keeps its line breaks."""
    print(visible(line, lines=lines), flush=flush)


def linked(text: str, uri: str, *, stream: TextIO | None = None) -> str:
    """The text, escaped, and on a terminal as a link (OSC 8) that opens the address."""
    is_shown = (stream or sys.stdout).isatty() and os.environ.get("TERM") != "dumb"
    if not is_shown or not _ADDRESS.fullmatch(uri):
        return visible(text)
    return f"\x1b]8;;{uri}\x1b\\{visible(text)}\x1b]8;;\x1b\\"


def note(line: str) -> None:
    """One line on stderr, escaped."""
    print(visible(line), file=sys.stderr)


def ago(moment: str | None) -> str:
    """A moment as people say it: `3 min ago`, `in 2 h`."""
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    size, unit = next(
        (abs(seconds) / length, name)
        for length, name in ((86400, "d"), (3600, "h"), (60, "min"), (0.001, "s"))
        if abs(seconds) >= length or name == "s"
    )
    amount = f"{size if unit != 's' else abs(seconds):.0f} {unit}"
    return f"in {amount}" if seconds < 0 else f"{amount} ago"


def cell(value: object) -> str:
    """A value as a table has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
