"""The terminal: a bell, and a notice of the desktop where the terminal can show one."""

import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

from localai.notify.records import Message

_MOST: Final = 120
# Terminals that show OSC 9, as iTerm2 brought it, and OSC 777, as urxvt did.
_NINE: Final = frozenset({"iTerm.app", "WezTerm", "ghostty"})


class Terminal:
    """Rings the terminal that standard error is."""

    gathers = False

    def __init__(
        self, stream: TextIO | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._stream = stream or sys.stderr
        self._environment = os.environ if environment is None else environment

    @property
    def is_there(self) -> bool:
        """Whether somebody could hear it."""
        return self._stream.isatty() and self._environment.get("TERM") != "dumb"

    def send(self, message: Message) -> str:
        """Ring, and show the subject where that works."""
        self._stream.write(ring(message.subject, self._environment))
        self._stream.flush()
        return "rung"

    def draft(self, message: Message) -> str:
        """What the terminal shows; the bell cannot be printed."""
        return _plain(message.subject)


def ring(text: str, environment: Mapping[str, str]) -> str:
    """The bell, or the sequence that this terminal shows as a notice; most ring for it, too."""
    if environment.get("TERM_PROGRAM") in _NINE:
        return f"\x1b]9;{_plain(text)}\x1b\\"
    is_known = environment.get("TERM", "").startswith(("rxvt", "foot"))
    if is_known or "VTE_VERSION" in environment:
        return f"\x1b]777;notify;localai;{_plain(text)}\x1b\\\a"
    return "\a"


def _plain(text: str) -> str:
    """The text without what divides the sequence's parts; it has no control characters."""
    return text.replace(";", ",")[:_MOST]
