"""`ai rag collections`: what is indexed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.ask import confirm
from localai.cli.call import AT_HAND, Call, Cursor, Json, Limit, Quiet, Yes, noun
from localai.cli.console import ago, note, print_fields, print_line, print_table
from localai.cli.progress import progress

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.rag.records import Collection, Exported, Imported, IndexReport

app = noun("What is indexed.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="As in `ai rag collections list`.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = AT_HAND,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the collections."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.rag.collections(call.actor)
    call.show_part(page, _table, limit=limit, cursor=cursor)


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
def describe(
    ctx: typer.Context,
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="One line; empty for none.")],
    *,
    json: Json = False,
) -> None:
    """Say what a collection is about."""
    call = Call(ctx, json=json)
    found = call.app.rag.describe(call.actor, name, text)
    call.show(found, lambda found: note(f"{found.name}: {found.description}"))


@app.command()
def export(
    ctx: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    *,
    json: Json = False,
) -> None:
    """Write a collection to a file that another machine can import."""
    call = Call(ctx, json=json)
    with progress("exporting") as shown:
        found = call.app.exchange.export(call.actor, name, file, on_moved=shown)
    call.show(found, _exported)


@app.command()
def snapshot(ctx: typer.Context, name: Name, *, json: Json = False, quiet: Quiet = False) -> None:
    """Write a collection to a file of this home, named by the moment."""
    call = Call(ctx, json=json, quiet=quiet)
    with progress("exporting") as shown:
        found = call.app.exchange.snapshot(call.actor, name, on_moved=shown)
    call.show(found, _exported, ids=[found.file])


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `export` made it.")],
    *,
    name: Annotated[str | None, typer.Option(help="Not the name that it had.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of the collection of that name.")
    ] = False,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="What it says may be relied on.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a collection of a file that `export` or `snapshot` wrote."""
    call = Call(ctx, json=json)
    with progress("importing") as shown:
        found = call.app.exchange.import_(
            call.actor,
            file,
            name=name,
            is_replacing=replace,
            is_trusted=trusted,
            on_moved=shown,
        )
    call.show(found, _imported)


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


def _exported(found: "Exported") -> None:
    print_line(found.file)
    note(f"{found.files} files, {found.chunks} passages, {found.size_bytes:,} bytes")
    for source in found.left_out:
        note(f"left out, because it was being indexed: {source}")


def _imported(found: "Imported") -> None:
    note(f"{found.collection}: {found.files} files, {found.chunks} passages")
    if not found.is_ready:
        note(f"hint: ai rag models pull {found.model}")


def _table(page: "Page[Collection]") -> None:
    rows = (
        (
            each.name,
            each.files,
            each.chunks,
            each.model,
            each.trust,
            ago(each.updated_at),
            each.description,
        )
        for each in page.items
    )
    columns = ("NAME", "FILES", "PASSAGES", "MODEL", "TRUST", "UPDATED", "DESCRIPTION")
    print_table(columns, rows, empty="nothing is indexed yet: ai rag index PATH")
