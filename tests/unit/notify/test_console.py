"""The terminal's bell and notices."""

import io

import pytest
import spoofs
from notify_home import notice, templates

from localai.core.escape import is_hidden
from localai.notify.console import Terminal, ring


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "rung"),
    [
        ({}, "\a"),
        ({"TERM": "xterm-256color"}, "\a"),
        ({"TERM_PROGRAM": "WezTerm"}, "\x1b]9;a, b\x1b\\"),
        ({"TERM": "rxvt-unicode"}, "\x1b]777;notify;localai;a, b\x1b\\\a"),
        ({"VTE_VERSION": "7200"}, "\x1b]777;notify;localai;a, b\x1b\\\a"),
    ],
)
def test_a_terminal_gets_what_it_can_show(environment: dict[str, str], rung: str) -> None:
    """A bell in any case; a semicolon would divide the sequence."""
    assert ring("a; b", environment) == rung


@pytest.mark.parametrize("name", spoofs.ALL)
def test_no_spoof_ends_the_sequence(name: str) -> None:
    """What stands in it was escaped before."""
    message = templates("en").strict("0" * 16, [notice("requested", tool=spoofs.ALL[name])])
    text = ring(message.subject, {"TERM_PROGRAM": "ghostty"})
    inner = text.removeprefix("\x1b]9;").removesuffix("\x1b\\")
    assert not any(map(is_hidden, inner))
    assert len(inner) <= 120


def test_the_terminal_is_rung() -> None:
    """On standard error, if that is one."""
    screen = _Screen()
    terminal = Terminal(screen, {"TERM": "xterm"})
    assert terminal.is_there
    assert terminal.send(templates("en").strict("0" * 16, [notice()])) == "rung"
    assert screen.getvalue() == "\a"
    assert not Terminal(io.StringIO(), {}).is_there
