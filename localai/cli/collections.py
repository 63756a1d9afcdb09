"""`ai rag collections`: what is indexed."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.ask import confirm
from localai.cli.call import Call, Json, Quiet, Yes, noun
from localai.cli.console import ago, note, print_fields, print_table
from localai.cli.progress import progress

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.rag.records import Collection, IndexReport

app = noun("What is indexed.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="As in `ai rag collections list`.")]


@app.command("list")
def list_(ctx: typer.Context, *, json: Json = False, quiet: Quiet = False) -> None:
    """List the collections."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.rag.collections(call.actor)
    call.show(page, _table, ids=[each.name for each in page.items])


@app.command()
def show(ctx: typer.Context, name: Name, *, json: Json = False) -> None:
    """Show one collection."""
    call = Call(ctx, json=json)
    call.show(call.app.rag.show(call.actor, name), lambda found: print_fields(vars(found)))


@app.command()
def rebuild(ctx: typer.Context, name: Name, *, json: Json = False) -> None:
    """Make a collection anew from its files with today's model; it answers meanwhile."""
    call = Call(ctx, json=json)
    with progress("rebuilding") as shown:
        report = call.app.rag.rebuild(call.actor, name, shown)
    call.show(report, _rebuilt)


@app.command()
def rm(ctx: typer.Context, name: Name, *, yes: Yes = False) -> None:
    """Remove a collection's index; the documents stay."""
    call = Call(ctx)
    found = call.app.rag.show(call.actor, name)
    if confirm(f"Remove the index of {found.files} files, {found.name}?", yes=yes):
        call.app.rag.remove(call.actor, name)
        note(f"removed: {name}")


def _rebuilt(report: "IndexReport") -> None:
    files = report.added + report.updated + report.unchanged
    note(f"rebuilt: {report.collection}, {files} files in {report.seconds:.1f} s")
    for each in report.skipped:
        note(f"left out {each.source}: {each.reason}")


def _table(page: "Page[Collection]") -> None:
    rows = (
        (each.name, each.files, each.chunks, each.model, each.trust, ago(each.updated_at))
        for each in page.items
    )
    columns = ("NAME", "FILES", "PASSAGES", "MODEL", "TRUST", "UPDATED")
    print_table(columns, rows, empty="nothing is indexed yet: ai rag index PATH")
