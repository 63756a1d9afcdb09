"""`ai audit`: who decided what, and proof that nobody rewrote it."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli import exits
from localai.cli.call import Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import ago, print_fields, print_line, print_table
from localai.core.canonical import canonical

if TYPE_CHECKING:
    from localai.core.audit import Entry, Verification
    from localai.core.records import Page

app = noun("Read and prove the audit.")


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List what happened, newest first."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.admin.audit_page(call.actor, limit=limit, cursor=cursor)
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
