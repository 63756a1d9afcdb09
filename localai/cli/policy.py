"""`ai policy`: which calls run, which wait for a person, which are refused."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Json, Quiet, noun
from localai.cli.console import ago, print_fields, print_line, print_table

if TYPE_CHECKING:
    from localai.approvals.policies import RuleInfo
    from localai.core.records import Page

app = noun("Which calls run, wait or are refused.")


@app.command("list")
def list_(ctx: typer.Context, *, json: Json = False, quiet: Quiet = False) -> None:
    """List the rules: of policy.toml, of approvals for a while, and of the mode."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.policies.list(call.actor)
    call.show(page, _table, ids=[rule.name for rule in page.items])


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


def _table(page: "Page[RuleInfo]") -> None:
    rows = ((each.name, each.effect, ago(each.expires_at), each.source) for each in page.items)
    print_table(("RULE", "EFFECT", "EXPIRES", "FROM"), rows, empty="no rules")


def _rule(rule: "RuleInfo") -> None:
    for line in rule.words:
        print_line(line)
    print_line(f"from       {rule.source}")
