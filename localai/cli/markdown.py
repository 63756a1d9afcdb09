"""An answer as Markdown, while it is generated.

A finished block (a paragraph, a list, a fenced code block) is printed once and scrolls away;
only the block in progress is redrawn, so a long answer never flickers.
"""

from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment

from localai.cli.screen import stdout
from localai.core.escape import visible


class MarkdownAnswer:
    """Renders Markdown block by block; for terminals."""

    def __init__(self) -> None:
        self._console = stdout()
        self._tail = ""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Print the last block for good."""
        self.rest()

    def add(self, text: str) -> None:
        """Show a piece."""
        self._tail += visible(text, lines=True)
        end = finished(self._tail)
        if end:
            self._stop()
            self._print(self._tail[:end])
            self._tail = self._tail[end:]
        if self._live is None:
            self._live = Live(console=self._console, transient=True, refresh_per_second=12)
            self._live.start()
        self._live.update(Newest(_markdown(self._tail)))

    def rest(self) -> None:
        """Print what is there for good; what redraws itself would wipe out a question."""
        self._stop()
        self._print(self._tail)
        self._tail = ""

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, block: str) -> None:
        if block.strip():
            self._console.print(_markdown(block))
            self._console.print()


class Newest:
    """The last lines of a block that is taller than the screen: the ones being written."""

    def __init__(self, block: Markdown) -> None:
        self._block = block

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what fits."""
        lines = console.render_lines(self._block, options.update(height=None), pad=False)
        for line in lines[-max(console.height - 1, 1) :]:
            yield from line
            yield Segment.line()


def finished(text: str) -> int:
    """Where the last finished Markdown block of the text ends; 0 if none has."""
    end = 0
    position = 0
    fence = ""
    for line in text.splitlines(keepends=True):
        position += len(line)
        if not line.endswith("\n"):
            break
        stripped = line.strip()
        if fence:
            fence = "" if stripped.startswith(fence) and not stripped.strip("`~") else fence
            end = end if fence else position
        elif stripped.startswith(("```", "~~~")):
            fence = stripped[:3]
        elif not stripped:
            end = position
    return end


def _markdown(text: str) -> Markdown:
    # hyperlinks=False: a link shows where it leads instead of hiding it.
    return Markdown(text, hyperlinks=False, code_theme="ansi_dark")
