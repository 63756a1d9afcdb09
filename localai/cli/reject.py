"""`ai reject`: no, and why."""

from typing import Annotated

import typer

from localai.cli.approvals import brief
from localai.cli.call import Call, Json, noun

app = noun()


@app.command()
def reject(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...")],
    *,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why; the model reads it.")
    ] = None,
    json: Json = False,
) -> None:
    """Reject requests; whoever asked reads the reason."""
    call = Call(ctx, json=json)
    rejecting = call.app.approvals.reject
    call.each(ids, lambda name: rejecting(call.actor, name, reason=reason), brief)
