"""Shows an answer while it is generated: Markdown on a terminal, plain text in a pipe."""

import sys
from typing import Protocol, Self

from localai.core.escape import visible


class Answer(Protocol):
    """Somewhere to show text that arrives in pieces."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *exc: object) -> None:
        """End; what has come so far stays on the screen."""

    def add(self, text: str) -> None:
        """Show a piece."""

    def rest(self) -> None:
        """Leave the screen to somebody else; the next piece begins anew."""


class PlainAnswer:
    """Writes pieces as they come; for pipes and files."""

    def __enter__(self) -> Self:
        """Begin."""
        self._ends_line = True
        return self

    def __exit__(self, *exc: object) -> None:
        """End the line."""
        self.rest()

    def rest(self) -> None:
        """End the line."""
        if not self._ends_line:
            print(flush=True)
            self._ends_line = True

    def add(self, text: str) -> None:
        """Show a piece."""
        sys.stdout.write(visible(text, lines=True))
        sys.stdout.flush()
        self._ends_line = text.endswith("\n")


class SilentAnswer:
    """Shows nothing; for JSON, which comes at the end."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End."""

    def add(self, text: str) -> None:
        """Show nothing."""

    def rest(self) -> None:
        """Show nothing."""


class Thoughts:
    """Writes what a model thinks to stderr, dim on a terminal."""

    def __init__(self) -> None:
        self._is_open = self._ends_line = False

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exc: object) -> None:
        """End the last line."""
        self.rest()

    def add(self, text: str) -> None:
        """Show a piece."""
        if not self._is_open and not (text := text.lstrip()):
            return
        self._is_open, self._ends_line = True, text.endswith("\n")
        from localai.cli.screen import print_dim

        print_dim(visible(text, lines=True))

    def rest(self) -> None:
        """End the thought."""
        if self._is_open:
            print("" if self._ends_line else "\n", file=sys.stderr)
            self._is_open = False


def answer(*, is_json: bool) -> Answer:
    """The way to show an answer here."""
    if is_json:
        return SilentAnswer()
    if not sys.stdout.isatty():
        return PlainAnswer()
    from localai.cli.markdown import MarkdownAnswer

    return MarkdownAnswer()
