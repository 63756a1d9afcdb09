"""`ai users`: who may use this home, and who is calling."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import ago, print_fields, print_table

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.rbac.users import User

app = noun("Who may use this home.")
Name = Annotated[str, typer.Argument(metavar="NAME")]


@app.command()
def whoami(ctx: typer.Context, *, json: Json = False) -> None:
    """Say who is calling, how that is known, and what they may do."""
    call = Call(ctx, json=json)
    call.show(call.app.users.whoami(call.actor), lambda found: print_fields(vars(found)))


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List users, oldest first."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.users.list(call.actor, limit=limit, cursor=cursor)
    call.show(page, _table, ids=[user.name for user in page.items])


@app.command()
def show(ctx: typer.Context, name: Name, *, json: Json = False) -> None:
    """Show a user and what they may do."""
    call = Call(ctx, json=json)
    call.show(call.app.users.get(call.actor, name), _user)


@app.command()
def add(
    ctx: typer.Context,
    name: Name,
    *,
    role: Annotated[list[str], typer.Option(help="What they may do; may be given again.")],
    json: Json = False,
) -> None:
    """Add a user."""
    call = Call(ctx, json=json)
    call.show(call.app.users.add(call.actor, name, role), _user)


@app.command()
def set_role(
    ctx: typer.Context,
    name: Name,
    roles: Annotated[list[str], typer.Argument(metavar="ROLE")],
    *,
    json: Json = False,
) -> None:
    """Give a user these roles and no others."""
    call = Call(ctx, json=json)
    call.show(call.app.users.set_roles(call.actor, name, roles), _user)


@app.command()
def disable(ctx: typer.Context, name: Name, *, json: Json = False) -> None:
    """Take every permission from a user, from their next call on."""
    call = Call(ctx, json=json)
    call.show(call.app.users.set_disabled(call.actor, name, disabled=True), _user)


@app.command()
def enable(ctx: typer.Context, name: Name, *, json: Json = False) -> None:
    """Give a disabled user their permissions back."""
    call = Call(ctx, json=json)
    call.show(call.app.users.set_disabled(call.actor, name, disabled=False), _user)


def _table(page: "Page[User]") -> None:
    rows = ((each.name, each.roles, _state(each), ago(each.created_at)) for each in page.items)
    print_table(("NAME", "ROLES", "STATE", "SINCE"), rows, empty="no users")


def _state(user: "User") -> str:
    if user.is_disabled:
        return "disabled"
    return "operator" if user.is_operator else ""


def _user(user: "User") -> None:
    print_fields(vars(user))
