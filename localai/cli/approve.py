"""`ai approve`: yes, to exactly what was shown."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.approvals import brief
from localai.cli.ask import decide_yes
from localai.cli.call import Call, Json, Yes, noun

if TYPE_CHECKING:
    from localai.approvals.records import Approval

app = noun()


@app.command()
def approve(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...")],
    *,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept.")] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Only if the action's digest begins so.")
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Approve requests; on a terminal each is shown whole first."""
    call = Call(ctx, json=json)

    def act(name: str) -> "Approval":
        seen = call.app.approvals.to_decide(call.actor, name, sha256=sha256)
        decide_yes(seen, yes=yes)
        digest = seen.action_sha256
        return call.app.approvals.approve(call.actor, seen.id, reason=reason, seen_sha256=digest)

    call.each(ids, act, brief)
