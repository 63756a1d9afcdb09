"""A conversation at the terminal: line editing, history, Ctrl-C stops the answer alone."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from localai.cli.console import note
from localai.cli.exits import report
from localai.core.errors import LocalaiError
from localai.core.files import write_private

try:
    import readline
except ImportError:  # a Python that was built without it still talks, line by line
    readline = None  # type: ignore[assignment]

_KEPT = 1000


class Repl:
    """Reads lines, or blocks between triple quotes, and hands each to `turn`."""

    def __init__(self, history: Path) -> None:
        self._history = history

    def run(self, turn: Callable[[str], None]) -> None:
        """Talk until Ctrl-D, `/exit` or `/quit`."""
        self._load()
        note('Ctrl-C stops an answer, Ctrl-D leaves; """ begins and ends several lines.')
        try:
            while (text := self._read()) is not None:
                if text.strip():
                    self._turn(turn, text)
        finally:
            self._save()

    def _turn(self, turn: Callable[[str], None], text: str) -> None:
        try:
            turn(text)
        except KeyboardInterrupt:
            note("[stopped; what was said is kept]")
        except LocalaiError as error:
            report(error, [])  # one mistake does not end a conversation

    def _read(self) -> str | None:
        try:
            line = input("> ")
            if line.strip() in {"/exit", "/quit"}:
                return None
            return line if not line.startswith('"""') else self._block(line[3:])
        except EOFError:
            note("")
            return None
        except KeyboardInterrupt:
            note("")
            return ""

    def _block(self, first: str) -> str:
        lines = [first]
        while not lines[-1].endswith('"""') or len(lines) == 1:
            lines.append(input(". "))
        return "\n".join(lines).removesuffix('"""')

    def _load(self) -> None:
        if readline is None:
            return
        readline.set_history_length(_KEPT)
        with contextlib.suppress(OSError):
            readline.read_history_file(self._history)

    def _save(self) -> None:
        if readline is None:
            return
        kept = range(1, readline.get_current_history_length() + 1)
        lines = [readline.get_history_item(number) for number in kept]
        write_private(self._history, "".join(f"{line}\n" for line in lines[-_KEPT:]).encode())
