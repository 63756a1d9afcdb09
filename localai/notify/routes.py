"""Which channels are told of which events, and when; pure over what is configured.

Without a notify.toml, every channel that is set up is told of everything. With one, a channel is
told what a route gives it:

    [[route]]
    events = ["requested", "escalated"]
    risks = ["high", "critical"]
    channels = ["mail"]

What a route leaves out, it does not restrict.
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localai.core.clock import Hours
from localai.core.errors import Invalid
from localai.notify.outbox import Planned
from localai.notify.records import CHANNELS, EVENTS, RISKS

_SECOND = 1_000_000
_BELL_S = 300
_NAMES = {"events": EVENTS, "risks": RISKS, "channels": CHANNELS}
# Machines sleep at no time, and a bell is heard by those who are there.
_QUIET = frozenset({"mail", "slack", "apprise"})
_OF_STATES = {
    "approval.requested": "requested",
    "approval.approved": "approved",
    "approval.rejected": "rejected",
    "approval.expired": "timeout",
}


@dataclass(frozen=True)
class Route:
    """Events of these kinds and risks go to these channels."""

    events: Collection[str] = EVENTS
    risks: Collection[str] = RISKS
    channels: Collection[str] = CHANNELS

    def leads_to(self, channel: str, event: str, risk: str) -> bool:
        """Tell whether the channel is told of it."""
        return channel in self.channels and event in self.events and risk in self.risks


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
        for channel in self._channels(event, risk):
            # A bell that rings later than this rings for nobody.
            until = now_us + _BELL_S * _SECOND if channel == "terminal" else None
            yield Planned(event, channel, now_us, until)
        if event == "requested" and self.escalate_s is not None:
            late = now_us + self.escalate_s * _SECOND
            for channel in self._channels("escalated", risk):
                yield Planned("escalated", channel, late, told["expires_us"])

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


def read(file: Path) -> tuple[Route, ...]:
    """The routes of notify.toml, or the one of a home without it; Invalid names what is wrong."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return (Route(),)
    except (OSError, ValueError, RecursionError) as error:
        raise Invalid(f"{file} cannot be read", hint="mend it by hand, or remove it") from error
    listed = document.get("route", [])
    if set(document) - {"route"} or not isinstance(listed, list):
        raise Invalid(f"{file} holds something else than [[route]] tables", hint=_HINT)
    return tuple(_route(file, number, each) for number, each in enumerate(listed, 1))


def _route(file: Path, number: int, given: object) -> Route:
    where = f"{file}: route {number}"
    if not isinstance(given, dict):
        raise Invalid(f"{where} is no table", hint=_HINT)
    if unknown := sorted(given.keys() - _NAMES.keys()):
        raise Invalid(f"{where} has no {unknown[0]}: it takes {', '.join(_NAMES)}", hint=_HINT)
    for name, values in given.items():
        if not isinstance(values, list) or not values:
            raise Invalid(f"{where}: {name} is no list of names", hint=_HINT)
        if wrong := [each for each in values if each not in _NAMES[name]]:
            message = f"{where}: {wrong[0]!r} is none of {', '.join(_NAMES[name])}"
            raise Invalid(message, hint=_HINT)
    return Route(**{name: tuple(values) for name, values in given.items()})


_HINT = "see docs/ops/notifications.md"
