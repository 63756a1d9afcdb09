"""Puts together what sends, from what a home has."""

import ssl
from collections.abc import Callable

from localai.core import settings as keys
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.secrets import Secrets
from localai.core.settings import Settings
from localai.notify.announcer import Announcer
from localai.notify.channels import Channels
from localai.notify.drain import Drain
from localai.notify.message import Templates
from localai.notify.outbox import Outbox
from localai.notify.plan import Plan
from localai.notify.service import Notify
from localai.rbac.permissions import Actor


def build(  # noqa: PLR0913 - what the room stands on
    settings: Settings,
    secrets: Secrets,
    database: Database,
    clock: Clock,
    directories: Directories,
    *,
    plan: Plan,
    announcer: Announcer,
    require: Callable[[Actor, str], None],
    sweep: Callable[[], object],
    tls: ssl.SSLContext | None = None,
) -> Notify:
    """The room of one home; `sweep` writes down requests whose time is over."""
    outbox = Outbox(database, clock, plan.when)
    channels = Channels(settings, secrets, clock, tls)
    templates = Templates(directories.config / "templates", settings[keys.NOTIFY_LANGUAGE])
    drain = Drain(
        outbox,
        channels,
        plan,
        templates,
        clock,
        announcer.lock,
        batch_s=settings[keys.NOTIFY_BATCH],
        sweep=sweep,
    )
    file, hand_on = directories.config / "notifications.toml", announcer.hand_on
    return Notify(database, outbox, drain, channels, plan, templates, require, file, hand_on)
