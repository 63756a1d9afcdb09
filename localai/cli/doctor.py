"""`ai doctor`: proves that all of it works here."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from localai.cli.call import Call, Json, noun
from localai.cli.console import note, print_line
from localai.cli.screen import stdout
from localai.core.escape import visible

if TYPE_CHECKING:
    from localai.doctor.report import Report

app = noun()
_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


@app.command()
def doctor(
    ctx: typer.Context,
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Mend folders, modes, migrations.")] = False,
    json: Json = False,
) -> None:
    """Check this machine, home and environment by doing what they are for."""
    from localai.doctor.examine import examine  # every engine, for this command alone

    call = Call(ctx, json=json)
    report = examine(call.app, fix=fix)
    call.show(report, _table)
    raise typer.Exit(0 if report.ok else 6)


def _table(report: "Report") -> None:
    console = stdout()
    for check in report.checks:
        status = (f"{check.status:8}", _STYLES[check.status])
        console.print(Text.assemble(status, f" {check.name:10} {visible(check.message)}"))
        if check.hint:
            print_line(f"{'':19} hint: {check.hint}")
    failures = sum(check.status == "failed" for check in report.checks)
    note(f"{failures} failed" if failures else "all that is needed works")
