"""`ai init`: makes this home."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Json, noun
from localai.cli.console import print_fields, print_line

if TYPE_CHECKING:
    from localai.app import Home

app = noun()


@app.command()
def init(
    ctx: typer.Context,
    *,
    profile: Annotated[
        str | None, typer.Option(metavar="dev|staging|prod", help="Which defaults hold.")
    ] = None,
    json: Json = False,
) -> None:
    """Make this home: folders, database, keys, operator; safe to repeat."""
    call = Call(ctx, json=json)
    call.show(call.app.initialise(profile), _made)


def _made(home: "Home") -> None:
    print_line(f"{'made' if home.is_new else 'already made'}: {home.home}")
    print_fields(
        {
            "operator": f"{home.operator} ({', '.join(home.roles)})",
            "profile": home.profile,
            "database": home.database,
            "keys": home.keys,
        }
    )
    print_line("next: ai doctor, or ai demo")
