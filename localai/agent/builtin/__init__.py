"""The tools that ship: one file a family."""

from localai.agent.builtin import edit, files, search, shell
from localai.agent.tools import Registry


def registry() -> Registry:
    """Every tool that ships."""
    return Registry((*files.TOOLS, *shell.TOOLS, *edit.TOOLS, *search.TOOLS))
