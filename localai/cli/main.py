"""`ai`: the root of the command tree. A noun's file is imported when the noun is typed."""

import atexit
import gc
import sys

# What imports allocate stays: looking for garbage meanwhile costs a tenth of the start.
gc.set_threshold(200_000, 20, 100)
# At the end the system takes all memory back at once: looking for garbage first costs 100 ms.
atexit.register(gc.freeze)

from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Annotated, Any  # noqa: E402

import typer  # noqa: E402
from typer.core import TyperGroup  # noqa: E402
from typer.main import get_command  # noqa: E402

from localai.cli import exits, values  # noqa: E402
from localai.cli.call import Root  # noqa: E402

# Each noun and its help, written here so that listing them imports none of them.
NOUNS = {
    "init": "Make this home: folders, database, keys, operator; safe to repeat.",
    "doctor": "Check this machine, home and environment by doing what they are for.",
    "demo": "Show the whole product on one small example, offline.",
    "chat": "Ask a model; without PROMPT on a terminal, open a conversation.",
    "sessions": "Conversations that were held.",
    "models": "Language models on this machine.",
    "rag": "Index your documents and ask them.",
    "approvals": "What waits for a person.",
    "approve": "Approve requests; on a terminal each is shown whole first.",
    "reject": "Reject requests; whoever asked reads the reason.",
    "tools": "What an agent can do here.",
    "policy": "Which calls run, wait or are refused.",
    "users": "Who may use this home.",
    "roles": "What users may do.",
    "keys": "API keys: who calls from elsewhere.",
    "serve": "Serve this home over HTTP until Ctrl-C.",
    "ps": "Show the process that serves this home, and the model that it has loaded.",
    "stop": "End the process that serves this home, when what is under way is answered.",
    "mcp": "Tools for other programs, and theirs for us, by the Model Context Protocol.",
    "audit": "Read and prove the audit.",
    "logs": "Show what this home's processes did, newest last.",
    "notify": "What people are told: mail, Slack, webhooks.",
    "metrics": "Figures for Prometheus, or how this home stands without it.",
    "dashboards": "What Grafana and Prometheus load to watch this.",
    "config": "See and change settings.",
    "secrets": "Store secrets outside of settings.",
}


class Nouns(TyperGroup):
    """The root group: knows the nouns by name, and each noun's file by its import."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        """The nouns, in the order of a first day."""
        return list(NOUNS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # vendored click's type
        """The command of one noun, or None."""
        if cmd_name not in NOUNS:
            return None
        command = get_command(import_module(f"localai.cli.{cmd_name}").app)
        gc.freeze()  # what is loaded by now stays, and is not looked through again
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """The nouns and their lines, without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(NOUNS.items()))


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
    acting_as: Annotated[
        str | None,
        typer.Option("--as", metavar="USER", help="Try another user's permissions (operator)."),
    ] = None,
    debug: Annotated[  # noqa: ARG001 - read at the door, where errors are told
        bool, typer.Option("--debug", help="Add the traceback to errors.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback says it and leaves
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Local AI from the terminal: chat, documents, and tools that wait for your approval."""
    ctx.obj = Root(home, workspace, tuple(set_ or ()), acting_as)


def main() -> None:
    """Run the command line and leave with its exit code."""
    command = get_command(app)
    values.install()
    sys.exit(exits.guard(lambda: command.main(prog_name="ai", standalone_mode=False), sys.argv))
