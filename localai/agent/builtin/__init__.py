"""The tools that ship: one file a family."""

from localai.agent.builtin import files, shell
from localai.agent.tools import Registry


def registry() -> Registry:
    """Every tool that ships."""
    return Registry((*files.TOOLS, *shell.TOOLS))
