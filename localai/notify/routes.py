"""Which channels are told of which events: the operator's notifications.toml, read and checked.

Without one, every channel that is set up is told of everything. With one, a channel is told what a
route gives it:

    [[route]]
    events = ["requested", "escalated"]
    risks = ["high", "critical"]
    channels = ["mail"]

What a route leaves out, it does not restrict.
"""

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from localai.core.errors import Invalid
from localai.notify.events import CHANNELS, EVENTS, RISKS

_NAMES = {"events": EVENTS, "risks": RISKS, "channels": CHANNELS}


@dataclass(frozen=True)
class Route:
    """Events of these kinds and risks go to these channels."""

    events: Collection[str] = EVENTS
    risks: Collection[str] = RISKS
    channels: Collection[str] = CHANNELS

    def leads_to(self, channel: str, event: str, risk: str) -> bool:
        """Tell whether the channel is told of it."""
        return channel in self.channels and event in self.events and risk in self.risks


def read(file: Path) -> tuple[Route, ...]:
    """The routes of the file, or the one of a home without it; Invalid names what is wrong."""
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
