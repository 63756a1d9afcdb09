"""`ai keys`: API keys, shown once, ended at any time."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import ago, note, print_fields, print_line, print_table
from localai.core.clock import seconds
from localai.rbac.allowance import Allowance, allowance

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.rbac.keys import ApiKey, NewKey

app = noun("API keys: who calls from elsewhere.")
Id = Annotated[str, typer.Argument(metavar="ID", help="At least 4 characters of it.")]


@app.command()
def create(
    ctx: typer.Context,
    *,
    user: Annotated[str, typer.Option(metavar="NAME", help="Whose calls it makes.")],
    expires: Annotated[str, typer.Option(metavar="D", help="As in: 90d.")] = "90d",
    permission: Annotated[
        list[str] | None, typer.Option(help="For this alone; may be given again.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="For these alone, as in: auto,chat,code."),
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(metavar="N", help="Of answers and vectors.")
    ] = None,
    tokens_per_day: Annotated[
        int | None, typer.Option(metavar="N", help="Read and written.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key for a user and show it, once."""
    call = Call(ctx, json=json)
    allowed = allowance(models or (), requests_per_minute, tokens_per_day)
    made = call.app.api_keys.create(
        call.actor,
        user,
        lifetime_s=seconds(expires),
        permissions=permission,
        allowed=allowed,
    )
    call.show(made, _new)


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List keys, oldest first; never a secret."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.api_keys.list(call.actor, limit=limit, cursor=cursor)
    call.show(page, _table, ids=[key.id for key in page.items])


@app.command()
def rotate(
    ctx: typer.Context,
    key: Id,
    *,
    overlap: Annotated[
        str, typer.Option(metavar="D", help="How long the old one still holds.")
    ] = "24h",
    json: Json = False,
) -> None:
    """Make a key in the place of another and show it, once."""
    call = Call(ctx, json=json)
    made = call.app.api_keys.rotate(call.actor, key, overlap_s=seconds(overlap))
    call.show(made, _new)


@app.command()
def revoke(ctx: typer.Context, key: Id, *, json: Json = False) -> None:
    """End a key now."""
    call = Call(ctx, json=json)
    call.show(call.app.api_keys.revoke(call.actor, key), lambda ended: print_fields(vars(ended)))


def _new(made: "NewKey") -> None:
    print_line(made.key)
    note(f"the key {made.id} of {made.user}, until {made.expires_at}; it is not shown again")
    note("hint: export LOCALAI_API_KEY=...   makes `ai` call with it")


def _table(page: "Page[ApiKey]") -> None:
    rows = (
        (each.id, each.user, each.status, ago(each.expires_at), _limits(each))
        for each in page.items
    )
    columns = ("ID", "USER", "STATUS", "EXPIRES", "FOR")
    print_table(columns, rows, empty="no keys yet: ai keys create --user NAME")


def _limits(key: "ApiKey") -> str:
    may = "all that the user may" if key.permissions is None else ", ".join(key.permissions)
    words = Allowance(key.models, key.requests_per_minute, key.tokens_per_day).words
    return f"{may}; {words}" if words else may
