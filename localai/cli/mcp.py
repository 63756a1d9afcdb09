"""`ai mcp`: the Model Context Protocol, between localai and other programs."""

from typing import Annotated

import typer

from localai.cli.call import Call, is_terminal, noun
from localai.cli.console import note
from localai.core.clock import seconds
from localai.core.errors import Invalid

app = noun("Tools for other programs, by the Model Context Protocol.")
_HOST, _PORT = "127.0.0.1", 8021


@app.callback()
def _root() -> None:
    pass


@app.command()
def serve(
    ctx: typer.Context,
    *,
    http: Annotated[
        bool, typer.Option("--http", help="At a port, for who has an API key.")
    ] = False,
    host: Annotated[str | None, typer.Option(help=f"With --http: where; else {_HOST}.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help=f"With --http; else {_PORT}.")
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="D", help="How long a call waits for a decision, 50s at most.")
    ] = "20s",
) -> None:
    """Lend tools, documents and prompts to a program that starts this, or at a port.

    What is risky waits for a person: `ai approve ID` in a terminal of this machine.
    """
    call = Call(ctx)
    if not http and (host is not None or port is not None):
        raise Invalid("--host and --port go with --http", hint="ai mcp serve --http --port N")
    if not http and is_terminal():
        note("a program is to start this and talk to it; Ctrl-C ends it")
    address = (host or _HOST, _PORT if port is None else port) if http else None
    call.app.serve_mcp(wait_s=seconds(wait), address=address, announce=note)
