"""What a server says of its tools, and how that is held fast; pure.

All of it is a stranger's text. A tool is what it was as long as its pin is the same: the digest
over its name, its description, the schema of its arguments and its annotations.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localai.core.canonical import canonical, digest
from localai.core.errors import Invalid

MOST_TOOLS = 256
_DOMAIN = "localai-mcp-tool-v1"


@dataclass(frozen=True)
class Offer:
    """One tool as a server describes it; `parameters` is a JSON schema, none of it is believed."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    annotations: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The digest of all of it; Invalid where it has no canonical JSON."""
        told = {"name": self.name, "description": self.description}
        more = {"parameters": self.parameters, "annotations": self.annotations}
        return digest(_DOMAIN, told | more)


@dataclass(frozen=True)
class Pinned(Offer):
    """A tool as a person took it; `change` says how it differs since then, if it was seen to."""

    pin: str
    risk: str
    change: str | None = None


@dataclass(frozen=True)
class LeftOut:
    """A tool that cannot be one of ours, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Change:
    """What is different about one tool; `before` or `after` is None where there is no such tool."""

    tool: str
    what: str
    before: Pinned | None
    after: Offer | None


def changes(pinned: Iterable[Pinned], offers: Sequence[Offer]) -> tuple[Change, ...]:
    """How the live offers differ from what was pinned: other, vanished and new tools."""
    before = {tool.name: tool for tool in pinned}
    named = Counter(offer.name for offer in offers)
    after = {offer.name: offer for offer in offers}
    found = [Change(name, "it is new", None, after[name]) for name in after if name not in before]
    for name, tool in before.items():
        if (what := _difference(tool, after.get(name), named[name])) is not None:
            found.append(Change(name, what, tool, after.get(name)))
    return tuple(found)


def _difference(before: Pinned, after: Offer | None, count: int) -> str | None:
    if after is None:
        return "the server does not offer it any more"
    if count > 1:
        return "the server offers two tools of this name"
    if _is_same(before, after):
        return None
    parts = {
        "description": before.description != after.description,
        "arguments": _spelled(before.parameters) != _spelled(after.parameters),
        "annotations": _spelled(before.annotations) != _spelled(after.annotations),
    }
    listed = " and its ".join(part for part, is_other in parts.items() if is_other)
    return f"its {listed or 'pin'} changed"


def _is_same(before: Pinned, after: Offer) -> bool:
    try:
        return before.pin == after.sha256
    except Invalid:
        return False


def _spelled(value: object) -> object:
    try:
        return canonical(value)
    except Invalid:
        return None
