"""`ai`: the root of the command tree. A noun's file is imported when the noun is typed."""

import gc
import sys

gc.disable()  # what imports allocate stays; collecting meanwhile costs a tenth of the start

from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Annotated, Any  # noqa: E402

import typer  # noqa: E402
from typer.core import TyperGroup  # noqa: E402
from typer.main import get_command  # noqa: E402

from localai.cli import exits  # noqa: E402
from localai.cli.call import Root  # noqa: E402

NOUNS = (
    "init",
    "doctor",
    "demo",
    "chat",
    "sessions",
    "models",
    "rag",
    "approvals",
    "approve",
    "reject",
    "tools",
    "audit",
    "config",
    "secrets",
)


class Nouns(TyperGroup):
    """The root group: knows the nouns by name, and each noun's file by its import."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # noqa: ARG002 - Typer's signature
        """The nouns, in the order of a first day."""
        return list(NOUNS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # noqa: ARG002  # vendored click's type
        """The command of one noun, or None."""
        if cmd_name not in NOUNS:
            return None
        command = get_command(import_module(f"localai.cli.{cmd_name}").app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=Nouns,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, wanted: bool) -> None:
    if wanted:
        from localai import __version__

        print(f"ai {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    home: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep every file in this directory.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where tools work; else this directory.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting for this command alone."),
    ] = None,
    debug: Annotated[  # noqa: ARG001 - read at the door, where errors are told
        bool, typer.Option("--debug", help="Add the traceback to errors.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Local AI from the terminal: chat, documents, and tools that wait for your approval."""
    ctx.obj = Root(home, workspace, tuple(set_ or ()))


def main() -> None:
    """Run the command line and leave with its exit code."""
    command = get_command(app)
    gc.enable()
    sys.exit(exits.guard(lambda: command.main(prog_name="ai", standalone_mode=False), sys.argv))
