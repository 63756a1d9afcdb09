"""How a line of the log is shown to people."""

import json

import pytest

from localai.cli.logs import _coloured, _parts
from localai.core.log_reader import Line

LINE = {
    "at": "2026-01-01T12:00:00.000Z",
    "level": "warning",
    "event": "notify.failed",
    "pid": 5,
    "version": "1",
    "error": "no\x1b[2J route\nat all",
    "tries": 3,
    "command": "notify run",
    "approval": "0123456789abcdef",
}


def _line(**more: object) -> Line:
    return Line(json.dumps(LINE | more))


def test_what_belongs_together_comes_first_and_ids_are_short() -> None:
    """Then the fields as they are stored, quoted where a blank or a sign is in them."""
    _, level, event, fields = _parts(_line())
    assert (level, event) == ("warning", "notify.failed")
    assert fields == (
        'approval=01234567  command="notify run"  error="no\\u001b[2J route\\nat all"  tries=3'
    )


def test_of_a_traceback_the_last_line_is_shown() -> None:
    """A line of the log is one line on the screen."""
    fields = _parts(_line(traceback="Traceback:\n  File x\nValueError: bad"))[-1]
    assert fields.endswith('traceback="ValueError: bad"')


def test_a_long_value_is_cut_and_a_foreign_line_too() -> None:
    """And a strange moment or level breaks nothing."""
    assert len(_parts(_line(error="x" * 9_000))[-1]) < 400
    (foreign,) = _parts(Line("y" * 9_000))
    assert foreign.startswith("? yyy")
    assert len(foreign) < 300
    assert _parts(_line(at="soon", level="loud"))[:2] == ("soon", "loud   ")


@pytest.mark.parametrize("line", [_line(), Line("\x1b]0;title\x07 [bold]no markup[/bold]")])
def test_colours_let_nothing_through(line: Line) -> None:
    """What is hostile stays spelled out, and no markup is obeyed."""
    shown = _coloured(line).plain
    assert "\x1b" not in shown
    assert "[bold]" in shown or "notify.failed" in shown
