"""`ai config`: settings, with the source of each value."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Json, noun
from localai.cli.console import print_line, print_table
from localai.core.errors import Invalid

if TYPE_CHECKING:
    from localai.core.settings import Problem, Setting

app = noun("See and change settings.")
Name = Annotated[str, typer.Argument(metavar="KEY", help="As in: approvals.timeout")]


@app.command()
def show(ctx: typer.Context, *, json: Json = False) -> None:
    """Show every setting, its value and who set it."""
    call = Call(ctx, json=json)
    call.show(call.app.settings.all(), _table)


@app.command()
def get(ctx: typer.Context, key: Name, *, json: Json = False) -> None:
    """Show the value of one setting."""
    call = Call(ctx, json=json)
    call.show(call.app.settings.show(key), lambda setting: print_line(setting.value))


@app.command("set")
def set_(
    ctx: typer.Context, key: Name, value: Annotated[str, typer.Argument(metavar="VALUE")]
) -> None:
    """Write one setting to config.toml; comments and order stay."""
    call = Call(ctx)
    call.app.admin.configure(call.actor, key, value)


@app.command()
def path(ctx: typer.Context) -> None:
    """Say where config.toml lies."""
    print(Call(ctx).app.directories.config_file)


@app.command()
def check(ctx: typer.Context, *, json: Json = False) -> None:
    """Name unknown or wrong settings and LOCALAI_* variables; exit 2 if there are any."""
    call = Call(ctx, json=json)
    problems = call.app.settings.check()
    if not problems or json:
        call.show(problems, lambda _: print("every setting is known and valid"))
    else:
        _problems(problems)
    raise typer.Exit(2 if problems else 0)


@app.command()
def sample(ctx: typer.Context) -> None:
    """Print a config.toml with every setting explained."""
    print(Call(ctx).app.sample_settings(), end="")


def _table(settings: "list[Setting]") -> None:
    rows = ((each.key, each.value, each.source, each.help) for each in settings)
    print_table(("KEY", "VALUE", "FROM", "WHAT IT DOES"), rows, empty="no settings")


def _problems(problems: "list[Problem]") -> None:
    listed = "; ".join(f"{each.where}: {each.message}" for each in problems)
    raise Invalid(listed, hint="ai config show")
