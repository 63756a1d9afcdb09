"""`ai sessions`: conversations that were held."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.ask import confirm
from localai.cli.call import Call, Cursor, Json, Limit, Quiet, Yes, noun
from localai.cli.console import ago, note, print_line, print_table

if TYPE_CHECKING:
    from localai.agent.history import Session, Transcript
    from localai.core.records import Page

app = noun("Conversations that were held.")
Id = Annotated[str, typer.Argument(metavar="ID", help="At least 4 characters of it.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List conversations, the last used first."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.history.list(call.actor, limit=limit, cursor=cursor)
    call.show(page, _table, ids=[session.id for session in page.items])


@app.command()
def show(ctx: typer.Context, session: Id, *, json: Json = False) -> None:
    """Show all that was said in a conversation."""
    call = Call(ctx, json=json)
    call.show(call.app.history.read(call.actor, session), _transcript)


@app.command()
def rm(ctx: typer.Context, session: Id, *, yes: Yes = False) -> None:
    """Forget a conversation."""
    call = Call(ctx)
    found = call.app.history.read(call.actor, session).session
    if confirm(f"Forget {found.id}, {found.title!r}?", yes=yes):
        call.app.history.remove(call.actor, found.id)
        note(f"forgotten: {found.id}")


def _table(page: "Page[Session]") -> None:
    rows = ((each.id, ago(each.updated_at), each.messages, each.title) for each in page.items)
    print_table(("ID", "LAST USED", "MESSAGES", "TITLE"), rows, empty='none yet: ai chat "..."')


def _transcript(transcript: "Transcript") -> None:
    for turn in transcript.turns:
        who = turn.tool_name or turn.model or turn.role
        waits = f"[waits for a decision: {turn.approval_id}]"
        lines = waits.split("\n") if turn.content is None else turn.content.splitlines()
        lines += [f"[calls {call.name} {call.arguments}]" for call in turn.tool_calls]
        lines += ["[stopped here]"] if turn.is_interrupted else []
        for number, line in enumerate(lines):
            print_line(f"{who + ':' if number == 0 else '':12} {line}")
