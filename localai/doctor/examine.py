"""Runs every check and gathers what each found; one that raises is one that failed."""

from collections.abc import Callable

from localai.app import App
from localai.core.errors import LocalaiError
from localai.doctor import engines, home, machine, people
from localai.doctor.report import Check, Report, failed

_CHECKS: tuple[Callable[[App], Check], ...] = (
    machine.python,
    machine.sqlite,
    home.files,
    home.operator,
    home.modes,
    home.database,
    home.keys,
    home.audit,
    home.settings,
    home.switches,
    home.policy,
    people.notify,
    machine.disk,
    machine.memory,
    machine.ports,
    machine.sandbox,
    engines.engine,
    engines.gpu,
    engines.server,
    engines.qdrant,
    engines.models,
    engines.documents,
)


def examine(app: App, *, fix: bool = False) -> Report:
    """Every check; with `fix`, folders, modes and migrations are mended first."""
    if fix:
        app.initialise()
        home.close_modes(app)
    checks = tuple(_made(check, app) for check in _CHECKS)
    return Report(all(check.status != "failed" for check in checks), checks)


def _made(check: Callable[[App], Check], app: App) -> Check:
    try:
        return check(app)
    except LocalaiError as error:
        causes = "".join(f" ({cause})" for cause in error.causes)
        return failed(check.__name__, error.message + causes, error.hint or "ai --debug doctor")
    except OSError as error:
        return failed(check.__name__, str(error), "check the folder and the disk")
