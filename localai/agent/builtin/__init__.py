"""The tools that ship: one file a family."""

from localai.agent.builtin import files
from localai.agent.builtin.git import Git
from localai.agent.builtin.shell import Programs
from localai.agent.sandbox.tiers import Sandbox
from localai.agent.tools import Registry


def registry(sandbox: Sandbox | None = None) -> Registry:
    """Every tool that ships; programs run in the sandbox, else in the best one that is here."""
    programs = Programs(sandbox or Sandbox())
    return Registry((*files.TOOLS, *programs.tools, *Git(programs).tools))
