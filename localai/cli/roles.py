"""`ai roles`: what users may do."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import AT_HAND, Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import print_fields, print_table

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.rbac.users import RoleInfo

app = noun("What users may do.")


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = AT_HAND,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the roles."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.users.roles(call.actor)
    call.show_part(page, _table, limit=limit, cursor=cursor)


@app.command()
def show(
    ctx: typer.Context, role: Annotated[str, typer.Argument(metavar="ROLE")], *, json: Json = False
) -> None:
    """Show a role and its permissions."""
    call = Call(ctx, json=json)
    call.show(call.app.users.role(call.actor, role), lambda found: print_fields(vars(found)))


def _table(page: "Page[RoleInfo]") -> None:
    rows = ((each.name, len(each.permissions), each.use) for each in page.items)
    print_table(("ROLE", "PERMISSIONS", "USE"), rows, empty="no roles")
