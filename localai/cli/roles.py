"""`ai roles`: what users may do."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Json, Quiet, noun
from localai.cli.console import print_fields, print_table

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.rbac.users import RoleInfo

app = noun("What users may do.")


@app.command("list")
def list_(ctx: typer.Context, *, json: Json = False, quiet: Quiet = False) -> None:
    """List the roles."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.users.roles(call.actor)
    call.show(page, _table, ids=[role.name for role in page.items])


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
