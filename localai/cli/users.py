"""`ai users`: who may use this home, and who is calling."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import ago, note, print_fields, print_line, print_table

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.rbac.users import User

app = noun("Who may use this home.")
totp = noun("One-time codes, which strict mode asks for at critical risk.")
app.add_typer(totp, name="totp")
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


@totp.command()
def new(
    ctx: typer.Context,
    *,
    code: Annotated[
        str | None, typer.Option("--totp", metavar="CODE", help="Of the app that counts now.")
    ] = None,
    json: Json = False,
) -> None:
    """Show your next secret, for an authenticator app; it counts once you confirm it."""
    call = Call(ctx, json=json)
    found = call.app.codes.new(call.actor, code)
    call.show(found, lambda made: print_fields(vars(made)))
    note("give it to your app, then: ai users totp confirm CODE")


@totp.command()
def confirm(ctx: typer.Context, code: Annotated[str, typer.Argument(metavar="CODE")]) -> None:
    """Let the new secret count, by a code that the app shows."""
    call = Call(ctx)
    call.app.codes.confirm(call.actor, code)
    print_line(f"codes of {call.actor.user_id} count from now on")


@totp.command()
def rm(ctx: typer.Context, name: Name) -> None:
    """Let no code of a user count any more."""
    call = Call(ctx)
    call.app.codes.remove(call.actor, name)
    print_line(f"no code of {name} counts any more")


def _table(page: "Page[User]") -> None:
    rows = ((each.name, each.roles, _state(each), ago(each.created_at)) for each in page.items)
    print_table(("NAME", "ROLES", "STATE", "SINCE"), rows, empty="no users")


def _state(user: "User") -> str:
    if user.is_disabled:
        return "disabled"
    return "operator" if user.is_operator else ""


def _user(user: "User") -> None:
    print_fields(vars(user))
