"""`ai metrics --top`: objectives and figures, drawn anew every second on a terminal."""

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from localai.cli.console import print_json
from localai.cli.screen import stdout
from localai.core.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from localai.metrics.overview import Overview

_SECONDS = 1.0
_BAR = 20  # cells
# Figures of what people allow, and of what they are told.
_PEOPLE = ("approval", "permission", "notification", "tool")
_LOW = 0.25  # of a budget
_FULL = 0.9  # of a resource


def show(look: "Callable[[], Overview]", *, is_json: bool) -> None:
    """Until Ctrl-C on a terminal, once elsewhere."""
    if is_json:
        print_json(look())
        return
    console = stdout()
    if not sys.stdout.isatty():
        console.print(draw(look()))
        return
    with Live(draw(look()), console=console, auto_refresh=False, screen=True) as live:
        while True:
            time.sleep(_SECONDS)
            live.update(draw(look()), refresh=True)


def draw(found: "Overview") -> Group:
    """The whole view."""
    people = [name for name in found.lately if name.startswith(_PEOPLE)]
    others = [name for name in found.lately if name not in people]
    left = Group(_figures(found, others), "", _now(found))
    return Group(_objectives(found), "", Columns((left, _figures(found, people)), padding=(1, 4)))


def _objectives(found: "Overview") -> Table:
    table = _table("OBJECTIVE", "TARGET", "KEPT", "BUDGET LEFT", "", "SPENT NOW")
    for each in found.objectives:
        left = each.budget_left
        table.add_row(
            each.title,
            f"{each.target:.0%}",
            f"{_share(each.good_share, 1)} of {each.events:,}" if each.events else "-",
            ProgressBar(1, max(left or 0, 0), width=_BAR, complete_style=_budget_style(left)),
            Text(_share(left), _budget_style(left)),
            "" if each.burn is None else f"{each.burn:.1f} x",
        )
    return table


def _figures(found: "Overview", names: Sequence[str]) -> Table:
    table = _table("SINCE", _clock(found.lately_since), _day(found.window_since))
    for name in names:
        lately, window = found.lately[name], found.window[name]
        table.add_row(_words(name), _value(name, lately), _value(name, window))
    return table


def _now(found: "Overview") -> Table:
    table = _table("NOW", "")
    for name, value in found.now.items():
        style = "red" if name.startswith(("in_use", "gpu_memory")) and value > _FULL else ""
        table.add_row(_words(name), Text(_value(name, value), style))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _budget_style(left: float | None) -> str:
    if left is None:
        return "dim"
    return "red" if left <= 0 else "yellow" if left < _LOW else "green"


def _words(name: str) -> str:
    return visible(name.removesuffix("_seconds").replace("_", " "))


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name.endswith("_seconds"):
        return _seconds(value)
    if name.startswith(("in_use", "gpu")):
        return _share(value)
    return f"{value:,.1f}" if name.endswith("per_second") else f"{value:,.0f}"


def _seconds(value: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} s" if value >= 1 or not value else f"{value * 1000:.0f} ms"


def _share(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}%}"


def _clock(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%H:%M}"


def _day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%d %b}"
