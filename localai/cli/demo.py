"""`ai demo`: the whole product on one small example."""

from typing import TYPE_CHECKING

import typer
from rich.text import Text

from localai.cli.call import Call, Json, noun
from localai.cli.console import note, print_line
from localai.cli.screen import stdout
from localai.core.escape import visible

if TYPE_CHECKING:
    from localai.demo.show import Demonstration, Step

app = noun()


@app.command()
def demo(ctx: typer.Context, *, json: Json = False) -> None:
    """Show the whole product on one small example, offline.

    It happens in a home of its own that is gone afterwards.
    """
    from localai.demo.show import demonstrate  # every room, for this command alone

    call = Call(ctx, json=json)
    shown = demonstrate((lambda _: None) if json else _step)
    call.show(shown, _end)
    raise typer.Exit(0 if shown.ok else 1)


def _step(step: "Step") -> None:
    console = stdout()
    console.print(Text(visible(step.title), "bold"))
    console.print(Text(f"$ {visible(step.command)}", "cyan"))
    for line in step.lines:
        print_line(f"  {line}")
    print_line("")


def _end(shown: "Demonstration") -> None:
    print_line(f"That took {shown.seconds:.1f} s and touched no network. Nothing of it is kept.")
    note("The starter did that, a tiny model that ships. A real one: ai models pull qwen2.5-3b")
    note("next: ai init, ai rag index FOLDER, ai doctor")
