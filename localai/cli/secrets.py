"""`ai secrets`: values that never appear in argv, settings or logs."""

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import AT_HAND, Call, Cursor, Json, Limit, Quiet, is_terminal, noun
from localai.cli.console import note, print_table

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.core.secrets import Secret

app = noun("Store secrets outside of settings.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="As in: smtp-password")]


@app.command("set")
def set_(ctx: typer.Context, name: Name) -> None:
    """Keep a secret; its value comes from a prompt or from standard input."""
    call = Call(ctx)
    value = getpass.getpass(f"{name}: ") if is_terminal() else sys.stdin.readline().rstrip("\n")
    call.app.admin.put_secret(call.actor, name, value)
    note(f"kept: {name}")


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = AT_HAND,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the secrets that can be set, and where each one's value is."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.admin.list_secrets(call.actor)
    call.show_part(page, _table, limit=limit, cursor=cursor)


@app.command()
def rm(ctx: typer.Context, name: Name) -> None:
    """Forget a stored secret."""
    call = Call(ctx)
    call.app.admin.remove_secret(call.actor, name)
    note(f"forgotten: {name}")


def _table(page: "Page[Secret]") -> None:
    rows = ((each.name, each.source or "not set", each.use) for each in page.items)
    print_table(("NAME", "VALUE IN", "USE"), rows, empty="no secrets")
