"""`ai dashboards`: boards, rules and configurations for those who watch localai."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Json, noun
from localai.cli.console import note, print_line
from localai.metrics import shipped

if TYPE_CHECKING:
    from localai.metrics.shipped import Export

app = noun("What Grafana and Prometheus load to watch this.")


@app.callback()
def _dashboards() -> None:
    """What Grafana and Prometheus load to watch this."""


@app.command()
def export(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    *,
    json: Json = False,
) -> None:
    """Write boards, alert rules and configurations to DIR, with a compose file that starts all.

    They hold no secret and containers read them, so everybody may.
    """
    call = Call(ctx, json=json)
    call.show(shipped.export(folder.expanduser().absolute()), _export)


def _export(done: "Export") -> None:
    for name in done.written:
        print_line(f"wrote {name}")
    if done.kept:
        note(f"{len(done.kept)} files were there already")
    note(f"next: cd {shlex.quote(done.folder)}, then read README.md")
