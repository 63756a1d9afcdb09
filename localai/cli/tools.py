"""`ai tools`: what an agent can do on this machine."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.approvals import ran
from localai.cli.call import AT_HAND, Call, Cursor, Json, Limit, Quiet, is_terminal, noun
from localai.cli.console import note, print_fields, print_table
from localai.cli.inline import person
from localai.core.canonical import canonical
from localai.core.clock import seconds

if TYPE_CHECKING:
    from localai.agent.runner import ToolInfo
    from localai.approvals.records import Approval
    from localai.core.records import Page

app = noun("What an agent can do here.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="As in `ai tools list`.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = AT_HAND,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the tools, their risk and the permission each needs."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.runner.tools(call.actor)
    for line in call.app.tools.skipped:
        note(line)
    call.show_part(page, _table, limit=limit, cursor=cursor)


@app.command()
def show(ctx: typer.Context, name: Name, *, json: Json = False) -> None:
    """Show one tool and the arguments it takes."""
    call = Call(ctx, json=json)
    call.show(call.app.runner.tool(call.actor, name), _tool)


@app.command()
def run(
    ctx: typer.Context,
    name: Name,
    *,
    args: Annotated[str, typer.Option(metavar="JSON", help="One object; - reads stdin.")] = "{}",
    wait: Annotated[
        str | None, typer.Option(metavar="D", help="Wait for another terminal's decision.")
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why you ask.")] = None,
    json: Json = False,
) -> None:
    """Run a tool as an agent would: what is risky waits for a person."""
    call = Call(ctx, json=json)
    arguments = sys.stdin.read() if args == "-" else args
    asks = partial(person, call) if wait is None and is_terminal() and not json else None
    gate = call.app.gate(
        call.actor, asks, wait_s=seconds(wait) if wait else 0, announce=waits if wait else None
    )
    outcome = call.app.runner.run(call.actor, name, arguments, gate, reason=reason)
    call.show(outcome, ran)
    raise typer.Exit(0 if outcome.result.ok else 1)


def waits(approval: "Approval") -> None:
    """Say on stderr what is waited for."""
    note(f"waiting for a decision on {approval.id}: ai approve {approval.id}, from any terminal")


def _table(page: "Page[ToolInfo]") -> None:
    rows = (
        (each.name, each.risk, each.permission, each.description.partition("\n")[0])
        for each in page.items
    )
    print_table(("NAME", "RISK", "NEEDS", "WHAT IT DOES"), rows, empty="no tools")


def _tool(tool: "ToolInfo") -> None:
    print_fields({**vars(tool), "parameters": canonical(dict(tool.parameters)).decode()})
