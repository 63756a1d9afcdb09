"""`ai init`: makes this home, and offers a model that knows Korean where Korean is spoken."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.ask import confirm
from localai.cli.call import Call, Json, Yes, is_terminal, noun
from localai.cli.console import note, print_fields, print_line
from localai.cli.progress import progress
from localai.core.errors import LocalaiError
from localai.rag.records import MULTILINGUAL_MODEL

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
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Make this home: folders, database, keys, operator; safe to repeat."""
    call = Call(ctx, json=json)
    call.show(call.app.initialise(profile), _made)
    if _is_korean() and not call.app.has_chosen_embeddings:
        _offer(call, yes=yes)


def _is_korean() -> bool:
    return (os.environ.get("LC_ALL") or os.environ.get("LANG") or "").startswith("ko")


def _offer(call: Call, *, yes: bool) -> None:
    """Ask once whether documents shall be found by their meaning in Korean, too."""
    if not yes and not is_terminal():
        note("the embedding model that ships knows no Korean; one that does is 0.22 GB:")
        _later()
    elif confirm(
        f"Fetch an embedding model that knows Korean ({MULTILINGUAL_MODEL}, 0.22 GB)?", yes=yes
    ):
        _fetch(call)
    else:
        call.app.keep_rag_model(call.actor)


def _fetch(call: Call) -> None:
    try:
        with progress(MULTILINGUAL_MODEL, is_download=True) as report:
            call.app.rag_models.pull(call.actor, MULTILINGUAL_MODEL, report)
    except LocalaiError as error:  # a home without it is a home all the same
        note(f"{error.message}; Korean is found by its words all the same")
        _later()
    else:
        chosen = call.app.use_rag_model(call.actor, MULTILINGUAL_MODEL)
        note(f"embedding model: {chosen.model}")


def _later() -> None:
    note(f"hint: ai rag models pull {MULTILINGUAL_MODEL}")
    note(f"      ai rag models use {MULTILINGUAL_MODEL}")


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
