"""The tools that read a git repository and commit to it.

git runs in the sandbox, without the hooks, filters and helpers that a repository may name: a
repository is a stranger's as much as its files are.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from localai.agent.builtin import beneath
from localai.agent.builtin.shell import Programs
from localai.agent.sandbox.process import Ended
from localai.agent.tools import Context, Tool, ToolResult
from localai.approvals.action import Facts
from localai.core.errors import Invalid, NotFound
from localai.rbac.permissions import Risk

_MOST_COMMITS = 50
# What a repository's own configuration could make git run.
_PLAIN = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.quotePath": "false",
    "core.sshCommand": "false",
    "commit.gpgSign": "false",
    "gc.auto": "0",
    "protocol.allow": "never",
    "safe.directory": "*",
}
_KNOWN = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_COUNT": str(len(_PLAIN)),
    **{f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(_PLAIN)},
    **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(_PLAIN.values())},
}

Revision = Annotated[str | None, "a commit, branch or range, such as main..HEAD"]


class Git:
    """git in the workspace, which must be the root of a repository."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    def git_status(self, context: Context) -> ToolResult:
        """Tell the branch and which files of the workspace are changed."""
        return self._told(context, "status", "--short", "--branch", "--untracked-files=all")

    def git_log(
        self,
        context: Context,
        count: Annotated[int, "how many commits, the newest first"] = 10,
        path: Annotated[str | None, "only commits that changed this path"] = None,
    ) -> ToolResult:
        """List commits: hash, date, author and subject."""
        if not 0 < count <= _MOST_COMMITS:
            raise Invalid(f"count is not between 1 and {_MOST_COMMITS}")
        form = "--format=%h %ad %an: %s"
        paths = ["--", _relative(context, path)] if path else []
        return self._told(context, "log", f"-{count}", "--date=short", form, *paths)

    def git_diff(
        self,
        context: Context,
        path: Annotated[str | None, "only changes of this path"] = None,
        staged: Annotated[bool, "what is added to the next commit instead of what is not"] = False,  # noqa: FBT002 - a tool's argument
        revision: Revision = None,
    ) -> ToolResult:
        """Show changes as a diff: of the files, of what is staged, or of a revision."""
        if revision is not None and revision.startswith("-"):
            raise Invalid(f"{revision} is not a revision")
        words = ["diff", "--no-ext-diff", "--no-textconv", "--no-color"]
        words += ["--cached"] if staged else []
        words += [revision] if revision else []
        return self._told(context, *words, "--", *([_relative(context, path)] if path else []))

    def git_add(
        self,
        context: Context,
        paths: Annotated[list[str], "files to be in the next commit, changed, new or removed"],
    ) -> ToolResult:
        """Add files to the next commit."""
        if not paths:
            raise Invalid("no path was named")
        named = [_relative(context, path) for path in paths]
        return self._told(context, "add", "--all", "--", *named, changes_git=True)

    def git_commit(
        self, context: Context, message: Annotated[str, "a subject line, then why"]
    ) -> ToolResult:
        """Commit what was added, as the operator; hooks do not run."""
        if not message.strip():
            raise Invalid("the message is empty")
        words = ("commit", "--no-verify", "--file=-")
        return self._told(context, *words, given=message.encode(), changes_git=True)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools about git."""
        reads = (self.git_status, self.git_log, self.git_diff)
        writes = (self.git_add, self.git_commit)
        return (
            *(self._tool(each, "files:read", Risk.LOW) for each in reads),
            *(self._tool(each, "files:write", Risk.MEDIUM) for each in writes),
        )

    def _tool(self, function: Any, permission: str, risk: Risk) -> Tool:
        return Tool(
            name=function.__name__,
            function=function,
            permission=permission,
            risk=risk,
            confinement=self._programs.sandbox,
            raised_risk=self._risk,
            facts=self._facts,
        )

    def _risk(self, _context: Context, _arguments: Mapping[str, Any]) -> Risk:
        # A repository can name filters, which git runs even to tell what has changed.
        return Risk.LOW if self._programs.sandbox.is_confined else Risk.HIGH

    def _facts(self, context: Context, _arguments: Mapping[str, Any]) -> Facts:
        return self._programs.stated(context, "git", _root(context))

    def _told(
        self, context: Context, *words: str, given: bytes = b"", changes_git: bool = False
    ) -> ToolResult:
        ended = self._ended(context, words, given, changes_git=changes_git)
        return ToolResult(ended.is_ok, ended.output or "(nothing)", ended.summary)

    def _ended(
        self, context: Context, words: Sequence[str], given: bytes, *, changes_git: bool
    ) -> Ended:
        root = _root(context)
        if not (root / ".git").is_dir():
            message = f"{root} is not the root of a git repository"
            raise NotFound(message, hint="start ai at its root, or: ai --workspace DIR")
        known = {**_KNOWN, **self._author}
        argv = ["git", *words]
        return self._programs.ended(
            context, argv, root, given=given, environment=known, changes_git=changes_git
        )

    @cached_property
    def _author(self) -> Mapping[str, str]:
        """Who commits, by the operator's own configuration, which the sandbox does not show."""
        name, email = _configured("user.name"), _configured("user.email")
        return {
            variable: value
            for who in ("AUTHOR", "COMMITTER")
            for variable, value in ((f"GIT_{who}_NAME", name), (f"GIT_{who}_EMAIL", email))
            if value
        }


def _configured(name: str) -> str:
    """What the operator's own configuration says; that of no repository is read."""
    try:
        ended = subprocess.run(  # noqa: S603 - fixed words
            ["git", "config", "--global", "--get", name],  # noqa: S607 - as the operator's shell finds it
            cwd="/",
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.strip()


def _root(context: Context) -> Path:
    return Path(os.path.realpath(context.workspace))


def _relative(context: Context, path: str) -> str:
    """The path, checked: it lies in the workspace, and is not taken for a pattern."""
    place = beneath.locate(context, path)
    return f":(literal){'/'.join(place.steps) or '.'}"
