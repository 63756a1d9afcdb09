"""Tools of the operator: what installed packages declare in the entry point group `localai.tools`.

Their code runs in this process, with all its rights, as any package does that is installed beside
localai. One that fails to load takes nothing with it, and none can take the name of another tool.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points

from localai.agent.tools import ByItself, Tool
from localai.core.escape import visible
from localai.rbac.permissions import PERMISSIONS

GROUP = "localai.tools"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class Own:
    """The tools that were loaded, and a line about each one that was left out."""

    tools: tuple[Tool, ...]
    skipped: tuple[str, ...]


def load(taken: Collection[str]) -> Own:
    """What the installed packages bring; names that are `taken` stay with who has them."""
    tools: dict[str, Tool] = {}
    skipped = []
    for entry in sorted(entry_points(group=GROUP), key=_order):
        try:
            brought = [_checked(tool, {*taken, *tools}) for tool in _tools(entry.load())]
            _unlike(tool.name for tool in brought)
        except Exception as error:  # noqa: BLE001 - foreign code fails in any way
            skipped.append(visible(f"{_who(entry)} is left out: {error or type(error).__name__}"))
        else:
            tools |= {tool.name: _told(tool, entry) for tool in brought}
    return Own(tuple(tools.values()), tuple(skipped))


def _order(entry: EntryPoint) -> tuple[str, str]:
    return _package(entry), entry.name


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "unknown"


def _who(entry: EntryPoint) -> str:
    return f"{entry.name} of the package {_package(entry)}"


def _tools(value: Tool | Iterable[Tool] | Callable[[], Tool | Iterable[Tool]]) -> Iterator[Tool]:
    """The tools that an entry point stands for: one, several, or what a function makes."""
    if callable(value):
        value = value()
    if isinstance(value, Tool):
        yield value
    else:
        yield from value


def _checked(tool: Tool, taken: Collection[str]) -> Tool:
    """The tool, once everything in it that others rely on is known to work."""
    if not isinstance(tool, Tool):
        raise TypeError(f"{type(tool).__name__} is not a Tool")
    if not _NAME.fullmatch(tool.name):
        raise ValueError(f"{tool.name!r} is no name: small letters, digits and _ alone")
    if tool.name in taken:
        raise ValueError(f"there is a tool {tool.name} already")
    if tool.permission not in PERMISSIONS:
        raise ValueError(f"{tool.name} needs {tool.permission!r}, which is no permission")
    if not tool.description:
        raise ValueError(f"{tool.name} has no docstring that says what it does")
    _ = tool.schema_sha256, tool.confinement.words, tool.confinement.is_confined
    return tool


def _unlike(names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise ValueError(f"it brings two tools {name}")
        seen.add(name)


def _told(tool: Tool, entry: EntryPoint) -> Tool:
    """The tool, whose requests say whose word its confinement is."""
    words = f"as its package {_package(entry)} says: {tool.confinement.words}"
    return replace(tool, confinement=ByItself(words, tool.confinement.is_confined))
