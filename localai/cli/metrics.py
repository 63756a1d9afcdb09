"""`ai metrics`: figures in Prometheus' text format, published, shown, proved."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, noun
from localai.cli.console import note, print_table
from localai.core import settings as keys
from localai.core.errors import Conflict, Invalid

if TYPE_CHECKING:
    from localai.metrics.proof import Proof

PORT = 9464  # where OpenTelemetry's exporters for Prometheus listen

app = noun()


@app.command()
def metrics(
    ctx: typer.Context,
    *,
    textfile: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Into a file, for node exporter.")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Answer scrapes on this machine until Ctrl-C.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help=f"Where; else metrics.port or {PORT}.")
    ] = None,
    top: Annotated[bool, typer.Option("--top", help="How this home stands, live.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare the counts with the audit; exit 5 if one is off."),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="What --top or --verify shows, as JSON; alone: --top.")
    ] = False,
) -> None:
    """Figures for Prometheus, or how this home stands without it."""
    call = Call(ctx, json=json)
    if sum((textfile is not None, serve, top, verify)) > 1:
        raise Invalid("one of --textfile, --serve, --top and --verify at a time")
    if port is not None and not serve:
        raise Invalid("--port is for --serve", hint="ai metrics --serve --port N")
    if json and (serve or textfile is not None):
        raise Invalid("what Prometheus reads is no JSON", hint="ai metrics --top --json")
    if textfile is not None:
        call.app.exposition.write(call.actor, textfile)
    elif serve:
        chosen = port if port is not None else call.app.settings[keys.METRICS_PORT] or PORT
        call.app.exposition.serve(call.actor, chosen, lambda url: note(f"listening at {url}"))
    elif verify:
        _verify(call)
    elif top or json:
        from localai.cli.top import show

        show(call.app.metrics.watch(call.actor), is_json=json)
    else:
        print(call.app.exposition.text(call.actor), end="")


def _verify(call: Call) -> None:
    found = call.app.metrics.prove(call.actor)
    call.show(found, _proof)
    if not found.is_exact:
        raise Conflict("the counts and the audit differ", hint="ai audit verify")


def _proof(found: "Proof") -> None:
    rows = ((each.what, each.counted, each.audited) for each in found.items)
    print_table(("WHAT", "COUNTED", "AUDITED"), rows, empty="")
