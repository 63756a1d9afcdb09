"""Puts the room together from what a home has."""

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from localai.core import log
from localai.core import settings as keys
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.errors import Invalid
from localai.core.secrets import Secrets
from localai.core.settings import Settings
from localai.notify import routes
from localai.notify.channels import Channels, plan
from localai.notify.drain import Drain
from localai.notify.message import Templates
from localai.notify.outbox import Outbox
from localai.notify.routes import Plan, Route
from localai.notify.service import Notify
from localai.rbac.permissions import Actor


def build(  # noqa: PLR0913 - what the room stands on
    settings: Settings,
    secrets: Secrets,
    database: Database,
    clock: Clock,
    directories: Directories,
    require: Callable[[Actor, str], None],
    sweep: Callable[[], object],
    command: Sequence[str],
    *,
    tls: ssl.SSLContext | None = None,
) -> Notify:
    """The room of one home; `command` sends what is due, in a process of its own."""
    file = directories.config / "notify.toml"
    planned = _plan(settings, file)
    outbox = Outbox(database, clock, planned.when)
    channels = Channels(settings, secrets, clock, tls)
    templates = Templates(directories.config / "templates", settings[keys.NOTIFY_LANGUAGE])
    drain = Drain(
        outbox,
        channels,
        planned,
        templates,
        clock,
        directories.data / "notify.lock",
        batch_s=settings[keys.NOTIFY_BATCH],
        sweep=sweep,
    )
    return Notify(database, outbox, drain, channels, planned, templates, require, file, command)


def _plan(settings: Settings, file: Path) -> Plan:
    """By notify.toml; where that cannot be read, everybody is told, and the doctor says why."""
    try:
        found: tuple[Route, ...] = routes.read(file)
    except Invalid as error:
        log.logger.error("notify.routes", extra={"fields": {"error": error.message}})
        found = (Route(),)
    return plan(settings, found)
