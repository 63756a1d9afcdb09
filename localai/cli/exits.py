"""The one catch at the terminal's door: an error becomes text, JSON and an exit code."""

import os
import sys
from collections.abc import Callable

from typer.exceptions import Abort, Exit, TyperException

from localai.cli.console import note, print_json
from localai.core.errors import Invalid, LocalaiError
from localai.core.redact import redact

CODES = {
    "internal": 1,
    "invalid": 2,
    "denied": 3,
    "not_found": 4,
    "conflict": 5,
    "unavailable": 6,
    "pending": 7,
    "rejected": 8,
    "expired": 9,
}
INTERRUPTED = 130
_OURS = {"internal", "unavailable"}  # what whoever typed cannot mend by typing


def guard(run: Callable[[], object], argv: list[str]) -> int:  # noqa: PLR0911 - one a kind
    """Run a command line and return its exit code; whatever it raises is told, never shown raw."""
    try:
        returned = run()
    except Exit as done:
        returned = done.exit_code
    except (KeyboardInterrupt, Abort):
        return _interrupted()
    except BrokenPipeError:
        # The reader has left, as `| head` does; nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except LocalaiError as error:
        return report(error, argv)
    except TyperException as error:
        return report(_usage(error), argv)
    except Exception as error:  # noqa: BLE001 - the last resort of the door
        told = LocalaiError(f"a bug in localai: {type(error).__name__}: {error}")
        told.__cause__ = error
        told.hint = "run it again as `ai --debug ...`, and report what it prints"
        return report(told, argv)
    if returned == INTERRUPTED:  # Typer hands Ctrl-C on as an exit code
        return _interrupted()
    return returned if isinstance(returned, int) else 0


def report(error: LocalaiError, argv: list[str]) -> int:
    """Tell one error on stderr, and as JSON on stdout where JSON was asked for."""
    if "--debug" in argv:
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            note(redact(line))
    _log(error)
    note(redact(f"ai: error: {error.message}"))
    for cause in error.causes:
        if cause not in error.message:
            note(redact(f"  cause: {cause}"))
    if error.hint:
        note(redact(f"hint: {error.hint}"))
    if "--json" in argv:
        print_json({"error": record(error)})
    return CODES[error.category]


def record(error: LocalaiError) -> dict[str, str | None]:
    """An error as JSON shows it."""
    return {"category": error.category, "message": error.message, "hint": error.hint}


def _interrupted() -> int:
    note("ai: interrupted")
    return INTERRUPTED


def _usage(error: TyperException) -> LocalaiError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "ai"
    return Invalid(error.format_message(), hint=f"{command} --help")


def _log(error: LocalaiError) -> None:
    # Only a command that opened the home has a log to write to; the others pay nothing for it.
    log = sys.modules.get("localai.core.log")
    if log is not None and log.logger.handlers:
        event = "command.failed" if error.category in _OURS else "command.refused"
        fields = {
            "category": error.category,
            "message": error.message,
            "causes": error.causes or None,
        }
        bug = error.__cause__ if error.category == "internal" else None
        with log.about(**log.about_of(error)):
            log.write(event, bug, **fields)
