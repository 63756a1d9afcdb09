"""`ai mcp`: the Model Context Protocol, both ways between localai and other programs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from localai.cli.ask import confirm
from localai.cli.call import AT_HAND, Call, Cursor, Json, Limit, Quiet, Yes, is_terminal, noun
from localai.cli.console import note, print_line, print_table
from localai.core.address import is_address
from localai.core.canonical import canonical
from localai.core.clock import seconds
from localai.core.errors import Invalid

if TYPE_CHECKING:
    from localai.agent.mcp.offers import LeftOut, Offer
    from localai.agent.mcp.servers import Added, Review
    from localai.agent.mcp.stored import Server
    from localai.core.records import Page

app = noun("Tools for other programs, and theirs for us, by the Model Context Protocol.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="As in `ai mcp list`.")]
_DASHES = "localai.dashes"
_HOST, _PORT = "127.0.0.1", 8021


class _AfterDashes(TyperCommand):
    """Remembers whether `--` was typed: without it, options of the server would be ours."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as any command does."""
        ctx.meta[_DASHES] = "--" in args
        return super().parse_args(ctx, args)


@app.command()
def serve(
    ctx: typer.Context,
    *,
    http: Annotated[
        bool, typer.Option("--http", help="At a port, for who has an API key.")
    ] = False,
    host: Annotated[str | None, typer.Option(help=f"With --http: where; else {_HOST}.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help=f"With --http; else {_PORT}.")
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="D", help="How long a call waits for a decision, 50s at most.")
    ] = "20s",
) -> None:
    """Lend tools, documents and prompts to a program that starts this, or at a port.

    What is risky waits for a person: `ai approve ID` in a terminal of this machine.
    """
    call = Call(ctx)
    if not http and (host is not None or port is not None):
        raise Invalid("--host and --port go with --http", hint="ai mcp serve --http --port N")
    if not http and is_terminal():
        note("a program is to start this and talk to it; Ctrl-C ends it")
    address = (host or _HOST, _PORT if port is None else port) if http else None
    call.app.serve_mcp(wait_s=seconds(wait), address=address, announce=note)


@app.command(cls=_AfterDashes)
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its tools become NAME.tool.")],
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="After --; or one address.")
    ],
    *,
    env: Annotated[
        list[str] | None, typer.Option(metavar="VARIABLE", help="Hand this variable on.")
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Take the tools of an MCP server: a program to start, or an address."""
    if not ctx.meta[_DASHES] and not is_address(words[0]):
        raise Invalid("the server's command stands after --", hint=f"ai mcp add {name} -- ...")
    call = Call(ctx, json=json)
    draft = call.app.mcp.draft(call.actor, name, words, env or (), call.app.workspace)
    for line in _warned(draft):
        note(line)
    if confirm(f"Add the MCP server {name}?", yes=yes):
        call.show(call.app.mcp.add(call.actor, draft), _added)


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = AT_HAND,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the servers whose tools are ours; none is connected."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.mcp.list(call.actor)
    call.show_part(page, _table, limit=limit, cursor=cursor)


@app.command()
def show(ctx: typer.Context, name: Name, *, json: Json = False) -> None:
    """Show a server and its tools as they were taken."""
    call = Call(ctx, json=json)
    call.show(call.app.mcp.get(call.actor, name), _server)


@app.command()
def review(ctx: typer.Context, name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Show what is different at a server since its tools were taken, and take them anew."""
    call = Call(ctx, json=json)
    found = call.app.mcp.review(call.actor, name)
    call.show(found, _review)
    # With --json a refusal would be a second document.
    is_due = found.is_needed and (yes or not json)
    if is_due and confirm(f"Take the tools of {name} as they are now?", yes=yes):
        call.app.mcp.accept(call.actor, found)
        note(f"taken: {name}")


@app.command()
def trust(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A server, or SERVER.TOOL.")],
    *,
    risk: Annotated[str, typer.Option(metavar="LEVEL", help="low, medium, high or critical.")],
    json: Json = False,
) -> None:
    """Say how risky a tool is, or every tool of a server; without it each is high."""
    call = Call(ctx, json=json)
    call.show(call.app.mcp.trust(call.actor, name, risk), _server)


@app.command()
def rm(ctx: typer.Context, name: Name, *, yes: Yes = False) -> None:
    """Forget a server and its tools."""
    call = Call(ctx)
    if confirm(f"Forget the MCP server {name} and its tools?", yes=yes):
        call.app.mcp.remove(call.actor, name)
        note(f"forgotten: {name}")


def _warned(server: "Server") -> Iterable[str]:
    yield from _place(server)
    if server.url:
        yield "It answers from another program: what a tool is given goes there."
    else:
        yield "It runs on this machine with your own rights, and localai does not confine it."


def _place(server: "Server") -> Iterable[str]:
    yield f"server     {server.name}"
    if server.url:
        yield f"address    {server.url}"
    for position, word in enumerate(server.command):
        yield f"{'command' if not position else '':10} [{position}] {word}"
    if not server.url:
        yield f"runs in    {server.cwd}"
    if server.env:
        yield f"is given   {', '.join(server.env)}"


def _added(added: "Added") -> None:
    _server(added.server)
    _left_out(added.left_out)
    note(f"added: {added.server.name}, {len(added.server.tools)} tools")


def _server(server: "Server") -> None:
    for line in _place(server):
        print_line(line)
    for tool in server.tools:
        print_line("")
        print_line(f"tool       {server.name}.{tool.name}  {tool.risk}")
        if tool.change:
            print_line(f"refused    {tool.change}: ai mcp review {server.name}")
        _offer(tool)
        print_line(f"pin        {tool.pin}")


def _offer(offer: "Offer") -> None:
    print_line("it says of itself (its own words, checked by nobody):")
    for line in offer.description.split("\n"):
        print_line(f"  | {line}")
    print_line(f"arguments  {_spelled(offer.parameters)}")
    if offer.annotations:
        print_line(f"hints      {_spelled(offer.annotations)} (not believed)")


def _review(found: "Review") -> None:
    for change in found.changes:
        print_line(f"tool       {found.server.name}.{change.tool}: {change.what}")
        if change.before:
            print_line("as it was taken:")
            _offer(change.before)
        if change.after:
            print_line("as it is now:")
            _offer(change.after)
        print_line("")
    for name in found.unmarked:
        print_line(f"tool       {found.server.name}.{name}: it was different, and is as it was")
    _left_out(found.left_out)
    if not found.is_needed:
        note(f"{found.server.name} is as it was taken")


def _left_out(left_out: "Sequence[LeftOut]") -> None:
    for each in left_out:
        note(f"left out   {each.name[:80]}: {each.why}")


def _table(page: "Page[Server]") -> None:
    rows = (
        (each.name, len(each.tools), len(each.changed), each.url or " ".join(each.command))
        for each in page.items
    )
    columns = ("NAME", "TOOLS", "REFUSED", "SERVER")
    print_table(columns, rows, empty="no servers: ai mcp add NAME -- COMMAND")


def _spelled(value: Mapping[str, Any]) -> str:
    return canonical(dict(value)).decode()
