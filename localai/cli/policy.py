"""`ai policy`: which calls run, which wait for a person, which are refused."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import AT_HAND, Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import ago, note, print_fields, print_line, print_table
from localai.core.clock import seconds

if TYPE_CHECKING:
    from localai.approvals.backtest import Backtest
    from localai.approvals.policies import RuleInfo
    from localai.core.records import Page

app = noun("Which calls run, wait or are refused.")


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = AT_HAND,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the rules: of policy.toml, of approvals for a while, and of the mode."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.policies.list(call.actor)
    call.show_part(page, _table, limit=limit, cursor=cursor)


@app.command()
def show(
    ctx: typer.Context, rule: Annotated[str, typer.Argument(metavar="RULE")], *, json: Json = False
) -> None:
    """Show a rule, whole."""
    call = Call(ctx, json=json)
    call.show(call.app.policies.show(call.actor, rule), _rule)


@app.command()
def check(
    ctx: typer.Context,
    tool: Annotated[str, typer.Argument(metavar="TOOL")],
    *,
    args: Annotated[str, typer.Option(metavar="JSON", help="The tool's arguments.")],
    json: Json = False,
) -> None:
    """Say what would become of a call; nothing runs and nobody is asked."""
    call = Call(ctx, json=json)
    call.show(
        call.app.runner.check(call.actor, tool, args), lambda found: print_fields(vars(found))
    )


@app.command()
def revoke(
    ctx: typer.Context, rule: Annotated[str, typer.Argument(metavar="RULE")], *, json: Json = False
) -> None:
    """Take back a standing rule that an approval has made."""
    call = Call(ctx, json=json)
    taken = call.app.approvals.standing.revoke(call.actor, rule)
    call.show({"name": taken.rule.name}, lambda found: print_line(f"taken back: {found['name']}"))


@app.command()
def backtest(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written as policy.toml is.")],
    *,
    since: Annotated[str, typer.Option(metavar="D", help="Requests not older than this.")] = "30d",
    limit: Limit = 50,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge stored requests by a candidate policy and by the one in force; nothing changes.

    What contradicts a person stands first: rejected and let run, then approved and refused.
    """
    call = Call(ctx, json=json, quiet=quiet)
    start = call.app.clock.now_us() - seconds(since) * 1_000_000
    found = call.app.past.backtest(call.actor, file, since_us=start, limit=limit, cursor=cursor)
    call.show(found, _backtest, ids=[each.id for each in found.items])


def _table(page: "Page[RuleInfo]") -> None:
    rows = ((each.name, each.effect, ago(each.expires_at), each.source) for each in page.items)
    print_table(("RULE", "EFFECT", "EXPIRES", "FROM"), rows, empty="no rules")


def _rule(rule: "RuleInfo") -> None:
    for line in rule.words:
        print_line(line)
    print_line(f"from       {rule.source}")


def _backtest(found: "Backtest") -> None:
    print_line(f"{found.requests} requests since {ago(found.since)}")
    counts = (
        ("allowed", found.now["allow"], found.candidate["allow"]),
        ("asked", found.now["ask"], found.candidate["ask"]),
        ("denied", found.now["deny"], found.candidate["deny"]),
        ("rejected by a person, and allowed", *found.rejected_allowed.values()),
        ("approved by a person, and denied", *found.approved_denied.values()),
    )
    print_table(("REQUESTS", "NOW", "CANDIDATE"), counts, empty="")
    rows = (
        (each.id, each.tool_name, each.status, each.now, each.candidate, each.rule)
        for each in found.items
    )
    print_line("")
    columns = ("ID", "TOOL", "STATUS", "NOW", "CANDIDATE", "BY RULE")
    print_table(columns, rows, empty="no request differs")
    note(f"this cannot know: {'; '.join(found.unknowable)}")
