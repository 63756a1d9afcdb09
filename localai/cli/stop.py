"""`ai stop`: end what serves this home."""

from typing import Annotated

import typer

from localai.cli.call import Call, noun
from localai.cli.console import note

app = noun()


@app.command()
def stop(
    ctx: typer.Context,
    *,
    unload: Annotated[
        bool, typer.Option("--unload", help="Give back the memory of its models, and serve on.")
    ] = False,
) -> None:
    """End the process that serves this home, when what is under way is answered."""
    call = Call(ctx)
    if unload:
        call.app.served.unload(call.actor)
        note("its models are unloaded")
    else:
        note(f"process {call.app.served.stop(call.actor)} has ended")
