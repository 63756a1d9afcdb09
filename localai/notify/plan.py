"""Who is told what, and when: pure over the settings and the operator's routes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localai.core import log
from localai.core import settings as keys
from localai.core.clock import Hours
from localai.core.errors import Invalid
from localai.core.settings import Settings
from localai.notify import routes
from localai.notify.events import CHANNELS
from localai.notify.routes import Route

_SECOND = 1_000_000
_BELL_S = 300
# Machines sleep at no time, and a bell is heard by those who are there.
_QUIET = frozenset({"mail", "slack", "apprise"})
_OF_STATES = {
    "approval.requested": "requested",
    "approval.approved": "approved",
    "approval.rejected": "rejected",
    "approval.expired": "timeout",
}


@dataclass(frozen=True)
class Planned:
    """A notice to be: due from `due_us` on, useless after `until_us`."""

    event: str
    channel: str
    due_us: int
    until_us: int | None = None


@dataclass(frozen=True)
class Plan:
    """Who is told what and when: `channels` are those that are set up."""

    channels: Collection[str]
    routes: Sequence[Route] = (Route(),)
    quiet: Hours | None = None
    escalate_s: int | None = None

    def notices(self, change: str, told: Mapping[str, Any], now_us: int) -> Iterator[Planned]:
        """What is to be told of a request's change, as the audit names it."""
        event, risk = _OF_STATES.get(change), told["risk"]
        if event is None:
            return
        yield from self.at_once(event, risk, now_us)
        if event == "requested" and self.escalate_s is not None:
            late = now_us + self.escalate_s * _SECOND
            for channel in self._channels("escalated", risk):
                yield Planned("escalated", channel, late, told["expires_us"])

    def at_once(self, event: str, risk: str, now_us: int) -> Iterator[Planned]:
        """A notice of the event for every channel that hears of it."""
        for channel in self._channels(event, risk):
            # A bell that rings later than this rings for nobody.
            until = now_us + _BELL_S * _SECOND if channel == "terminal" else None
            yield Planned(event, channel, now_us, until)

    def when(self, at_us: int, event: str, risk: str, channel: str) -> int:
        """The moment, or the end of the quiet hours that it is in; what is urgent does not wait."""
        is_urgent = risk == "critical" or event == "escalated"
        if self.quiet is None or is_urgent or channel not in _QUIET:
            return at_us
        return self.quiet.over(at_us)

    def _channels(self, event: str, risk: str) -> list[str]:
        return [
            channel
            for channel in CHANNELS
            if channel in self.channels
            and any(route.leads_to(channel, event, risk) for route in self.routes)
        ]


def decides(change: str) -> bool:
    """Tell whether a change ends the wait for a decision."""
    return change.partition(".")[2] in {"approved", "rejected", "expired", "cancelled"}


def configured(settings: Settings) -> tuple[str, ...]:
    """The names of the channels that are set up; none where notifications are switched off."""
    if not settings[keys.NOTIFY_ENABLED]:
        return ()
    is_set = {
        "mail": bool(settings[keys.NOTIFY_SMTP_HOST]),
        "slack": settings[keys.NOTIFY_SLACK_ENABLED],
        "webhook": bool(settings[keys.NOTIFY_WEBHOOK_URL]),
        "terminal": settings[keys.NOTIFY_TERMINAL],
        "apprise": settings[keys.NOTIFY_APPRISE_ENABLED],
    }
    return tuple(name for name in CHANNELS if is_set[name])


def plan(settings: Settings, file: Path) -> Plan:
    """The plan of these settings and of notifications.toml.

    Where that cannot be read, everybody is told, and the doctor says why.
    """
    try:
        found: tuple[Route, ...] = routes.read(file)
    except Invalid as error:
        log.write("notify.routes", error=error.message)
        found = (Route(),)
    quiet, escalate_s = settings[keys.NOTIFY_QUIET_HOURS], settings[keys.NOTIFY_ESCALATE_AFTER]
    return Plan(configured(settings), found, quiet, escalate_s)
