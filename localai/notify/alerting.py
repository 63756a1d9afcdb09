"""Takes alerts of a monitoring system and has them told, each piece of news once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localai.core.db import Database
from localai.core.errors import Unavailable
from localai.notify.alerts import Group, State
from localai.notify.announcer import Announcer
from localai.rbac.permissions import Actor


@dataclass(frozen=True)
class AlertTaken:
    """A group of alerts as it was taken: `channels` will be told, none of what they know."""

    id: str
    status: State
    risk: str
    channels: Sequence[str]


class Alerting:
    """The alerts of one home."""

    def __init__(
        self, database: Database, announcer: Announcer, require: Callable[[Actor, str], None]
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._require = require

    def take(self, actor: Actor, group: Group) -> AlertTaken:
        """Have it told; it is on disk when this returns. Unavailable where nobody can be told."""
        self._require(actor, "notify:write")
        if not self._announcer.has_channels:
            hint = "ai config set notify.smtp.host HOST   and notify.smtp.to ADDRESS"
            raise Unavailable("no channel is set up: nobody would hear of the alert", hint=hint)
        with self._database.transaction() as connection:
            channels = self._announcer.announce_alert(connection, group, actor.user_id)
        return AlertTaken(group.id, group.status, group.risk, channels)
