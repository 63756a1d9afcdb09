"""The tools that ship: one file a family."""

from collections.abc import Sequence

from localai.agent.builtin import (
    browser,
    conversations,
    documents,
    edit,
    files,
    models,
    search,
    web,
)
from localai.agent.builtin.git import Git
from localai.agent.builtin.rooms import Rooms
from localai.agent.builtin.shell import Programs
from localai.agent.sandbox.tiers import Sandbox
from localai.agent.tools import Registry, Tool

_OF_ROOMS = (web, browser, documents, conversations, models)


def registry(sandbox: Sandbox | None = None) -> Registry:
    """Every tool that needs no other room."""
    return Registry(shipped(sandbox))


def shipped(sandbox: Sandbox | None = None, rooms: Rooms | None = None) -> Sequence[Tool]:
    """Every tool that ships, in the order in which models are told of them.

    Programs run in the sandbox, else in the best one that is here; without `rooms` there are
    those tools that need none.
    """
    programs = Programs(sandbox or Sandbox())
    of_rooms = [tool for each in _OF_ROOMS for tool in each.tools(rooms)] if rooms else []
    alone = (*files.TOOLS, *programs.tools, *edit.TOOLS, *search.TOOLS, *Git(programs).tools)
    return (*alone, *of_rooms)
