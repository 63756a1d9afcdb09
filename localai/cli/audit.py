"""`ai audit`: who decided what, and proof that nobody rewrote it."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli import exits
from localai.cli.call import Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import ago, note, print_fields, print_line, print_table
from localai.core.audit import Filter
from localai.core.canonical import canonical
from localai.core.clock import seconds
from localai.core.records import json_text

if TYPE_CHECKING:
    from localai.core.audit import Entry
    from localai.core.chain import Verification
    from localai.core.records import Page

app = noun("Read and prove the audit.")
By = Annotated[str | None, typer.Option(metavar="USER", help="Done by this user.")]
Action = Annotated[str | None, typer.Option(help="As in: approval, approval.approved, key.")]
OfTool = Annotated[str | None, typer.Option(help="About this tool.")]
Since = Annotated[str | None, typer.Option(metavar="D", help="Not older than this: 7d.")]
Until = Annotated[str | None, typer.Option(metavar="D", help="Older than this: 1d.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    actor: By = None,
    action: Action = None,
    tool: OfTool = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List what happened, newest first."""
    call = Call(ctx, json=json, quiet=quiet)
    about = _about(call, actor, action, tool, since, until)
    page = call.app.admin.audit_page(call.actor, limit=limit, cursor=cursor, about=about)
    call.show(page, _table, ids=[entry.seq for entry in page.items])


@app.command()
def show(
    ctx: typer.Context, seq: Annotated[int, typer.Argument(metavar="SEQ")], *, json: Json = False
) -> None:
    """Show one entry in full."""
    call = Call(ctx, json=json)
    call.show(call.app.admin.audit_entry(call.actor, seq), _entry)


@app.command()
def verify(ctx: typer.Context, *, json: Json = False) -> None:
    """Prove that no entry was changed, removed or added; exit 5 if one was."""
    call = Call(ctx, json=json)
    found = call.app.admin.verify_audit(call.actor)
    call.show(found, _verified)
    raise typer.Exit(0 if found.is_whole else exits.CODES["conflict"])


@app.command()
def export(
    ctx: typer.Context,
    *,
    actor: By = None,
    action: Action = None,
    tool: OfTool = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Print entries as JSON Lines, oldest first."""
    call = Call(ctx)
    for entry in call.app.admin.export_audit(
        call.actor, _about(call, actor, action, tool, since, until)
    ):
        print(json_text(entry))


def _about(
    call: Call,
    actor: str | None,
    action: str | None,
    tool: str | None,
    since: str | None,
    until: str | None,
) -> "Filter":
    now = call.app.clock.now_us()
    times = (None if span is None else now - seconds(span) * 1_000_000 for span in (since, until))
    return Filter(actor, action, tool, *times)


def _table(page: "Page[Entry]") -> None:
    rows = ((each.seq, ago(each.at), each.actor, each.event, each.subject) for each in page.items)
    print_table(("SEQ", "WHEN", "WHO", "WHAT", "SUBJECT"), rows, empty="nothing recorded yet")


def _entry(entry: "Entry") -> None:
    fields = {"seq": entry.seq, "at": entry.at, "actor": entry.actor, "event": entry.event}
    details = canonical(dict(entry.details)).decode()
    print_fields({**fields, "subject": entry.subject, "details": details})


def _verified(found: "Verification") -> None:
    if found.is_whole:
        print_line(f"whole: {found.entries} entries, each chained to the one before, end anchored")
    for problem in found.problems:
        print_line(f"NOT WHOLE: {problem}")
    note(f"this cannot know: {'; '.join(found.unknowable)}")
