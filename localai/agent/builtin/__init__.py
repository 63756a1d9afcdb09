"""The tools that ship: one file a family."""

from collections.abc import Sequence

from localai.agent.builtin import conversations, documents, edit, files, models, search, shell, web
from localai.agent.builtin.rooms import Rooms
from localai.agent.tools import Registry, Tool

_OF_ROOMS = (web, documents, conversations, models)


def registry(rooms: Rooms | None = None) -> Registry:
    """Every tool that ships; without `rooms`, those that need no other room."""
    return Registry(shipped(rooms))


def shipped(rooms: Rooms | None) -> Sequence[Tool]:
    """The same, in the order in which models are told of them."""
    alone = (*files.TOOLS, *shell.TOOLS, *edit.TOOLS, *search.TOOLS)
    return (
        alone if rooms is None else (*alone, *(t for each in _OF_ROOMS for t in each.tools(rooms)))
    )
