"""`ai ps`: what serves this home, and what it has loaded."""

from typing import TYPE_CHECKING

import typer

from localai.cli.call import Call, Json, Quiet, noun
from localai.cli.console import ago, print_table

if TYPE_CHECKING:
    from localai.app.served import LoadedModel, Process
    from localai.core.records import Page

app = noun()


@app.command()
def ps(ctx: typer.Context, *, json: Json = False, quiet: Quiet = False) -> None:
    """Show the process that serves this home, and the model that it has loaded."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.served.page(call.actor)
    call.show(page, _table, ids=[each.pid for each in page.items])


def _table(page: "Page[Process]") -> None:
    columns = ("PID", "Address", "Since", "Memory", "Commands", "Model", "Unloaded")
    print_table(columns, map(_row, page.items), empty="nothing serves this home: ai serve")


def _row(process: "Process") -> tuple[object, ...]:
    memory = f"{process.memory_bytes / 1e6:,.0f} MB"
    shown = (process.pid, process.address, ago(process.started_at), memory, process.commands)
    if not process.models:
        return (*shown, "none loaded", "")
    model = process.models[0]
    return (*shown, f"{model.name}, {model.context:,} tokens", _unloaded(model))


def _unloaded(model: "LoadedModel") -> str:
    if model.unloads_in_s is None:
        return f"answers, {model.waiting} waiting" if model.waiting else "answers"
    minutes, seconds = divmod(round(model.unloads_in_s), 60)
    return f"in {minutes}m {seconds}s" if minutes else f"in {seconds}s"
