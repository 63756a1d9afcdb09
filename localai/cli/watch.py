"""Stays with a list of requests: redrawn on a terminal, a line for each change in a pipe."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.live import Live

from localai.cli.console import print_line
from localai.cli.screen import stdout
from localai.core.records import json_text

if TYPE_CHECKING:
    from localai.approvals.records import Approval
    from localai.core.records import Page

_SECONDS = 1.0


def watching(
    look: Callable[[], "Page[Approval]"],
    draw: Callable[["Page[Approval]"], RenderableType],
    is_json: bool,
) -> None:
    """Look every second until Ctrl-C; the terminal's bell rings for each new pending request."""
    changes = Changes()
    if is_json or not sys.stdout.isatty():
        while True:
            for each in changes.of(look()):
                told = f"{each.status} {each.id} {each.risk} {each.tool_name} {each.user_id}"
                print(json_text(each), flush=True) if is_json else print_line(told, flush=True)
            time.sleep(_SECONDS)
    console = stdout()
    page = look()
    changes.of(page)
    with Live(draw(page), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(_SECONDS)
            page = look()
            if any(each.status == "pending" for each in changes.of(page)):
                console.bell()
            live.update(draw(page), refresh=True)


class Changes:
    """What was not in the last look, or had another status."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def of(self, page: "Page[Approval]") -> "list[Approval]":
        """The new and the changed ones, oldest first."""
        changed = [each for each in page.items if self._seen.get(each.id) != each.status]
        self._seen |= {each.id: each.status for each in changed}
        return changed[::-1]
