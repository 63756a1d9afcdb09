"""The tools that run programs: no shell, a clean environment, in the sandbox that there is."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from localai.agent.builtin import beneath
from localai.agent.builtin.sensitive import Watched
from localai.agent.sandbox.process import Ended
from localai.agent.sandbox.tiers import Command, Sandbox
from localai.agent.tools import Context, Tool, ToolResult
from localai.approvals.action import Facts, FileFact, Program
from localai.core.errors import Invalid, NotFound
from localai.rbac.permissions import Risk

_KEPT = ("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
# Isolated: the workspace is not on the module path, so that no file in it passes for a module.
_PYTHON = ("python3", "-I", "-")


class Programs:
    """Programs in one sandbox, for tools."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def run_command(
        self,
        context: Context,
        argv: Annotated[list[str], "the program and its arguments, one element each; no shell"],
        cwd: Annotated[str, "the directory to run in, relative to the workspace"] = ".",
    ) -> ToolResult:
        """Run a program and return its exit code and output."""
        return self.run(context, argv, beneath.locate(context, cwd).path)

    def run_python(
        self,
        context: Context,
        code: Annotated[str, "the whole program, with the standard library alone"],
    ) -> ToolResult:
        """Run a Python program in the workspace and return its exit code and output."""
        return self.run(context, _PYTHON, _root(context), code.encode())

    def run(
        self, context: Context, argv: Sequence[str], cwd: Path, given: bytes = b""
    ) -> ToolResult:
        """Run a program with its words, what it reads, and what it must not see."""
        ended = self.ended(context, argv, cwd, given=given)
        return ToolResult(ended.is_ok, f"{ended.summary}\n{ended.output}", ended.summary)

    def ended(  # noqa: PLR0913 - what a program starts with
        self,
        context: Context,
        argv: Sequence[str],
        cwd: Path,
        *,
        given: bytes = b"",
        environment: Mapping[str, str] | None = None,
        changes_git: bool = False,
    ) -> Ended:
        """The same, and how it ended; what it changed that others obey is told in its output."""
        known = self.environment(context) | dict(environment or {})
        found = _found(argv[0], cwd, known["PATH"])
        program = context.facts.program.path if context.facts.program else os.path.realpath(found)
        command = Command(program, found, tuple(argv), str(cwd), known, given, changes_git)
        watched = Watched(_root(context))
        ended = self.sandbox.run(command, context.workspace, context.protected)
        return replace(ended, output=ended.output + watched.told)

    def environment(self, context: Context) -> dict[str, str]:
        """What a program gets to know of ours, and of where programs lie that it can see."""
        known = environment()
        if not self.sandbox.is_confined:
            return known
        seen = self.sandbox.view(context.workspace, context.protected)
        folders = known["PATH"].split(os.pathsep)
        shown = [folder for folder in folders if seen.shows(os.path.realpath(folder))]
        return {**known, "PATH": os.pathsep.join(shown)}

    def risk(self, _context: Context, _arguments: Mapping[str, Any]) -> Risk:
        """High in a sandbox; critical where there is none."""
        return Risk.HIGH if self.sandbox.is_confined else Risk.CRITICAL

    def facts(self, context: Context, arguments: Mapping[str, Any]) -> Facts:
        """The program, its environment, and the files that its arguments name."""
        argv = arguments["argv"]
        if not argv or not argv[0]:
            raise Invalid("argv is empty", hint='give the program first: {"argv": ["ls", "-l"]}')
        if any("\0" in element for element in argv):
            raise Invalid("argv holds a NUL character")
        cwd = arguments.get("cwd", ".")
        place = beneath.locate(context, cwd)
        if not os.path.isdir(place.path):  # noqa: PTH112 - Path.is_dir raises for an overlong name
            raise NotFound(f"no directory {cwd} in the workspace")
        stated = self.stated(context, argv[0], place.path)
        return replace(stated, files=(beneath.identity(place), *named_files(argv[1:], place.path)))

    def python_facts(self, context: Context, _arguments: Mapping[str, Any]) -> Facts:
        """The interpreter and its environment."""
        return self.stated(context, _PYTHON[0], _root(context))

    def stated(self, context: Context, name: str, cwd: Path) -> Facts:
        """The program of that name as a tool finds it, and what it gets to know."""
        known = self.environment(context)
        spelled = json.dumps(known, sort_keys=True)
        return Facts(
            program=find_program(name, cwd, known["PATH"]),
            environment_sha256=hashlib.sha256(spelled.encode()).hexdigest(),
        )

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools that run what they are given."""
        return (
            Tool(
                name="run_command",
                function=self.run_command,
                permission="commands:run",
                risk=Risk.HIGH,
                confinement=self.sandbox,
                raised_risk=self.risk,
                facts=self.facts,
            ),
            Tool(
                name="run_python",
                function=self.run_python,
                permission="commands:run",
                risk=Risk.HIGH,
                confinement=self.sandbox,
                raised_risk=self.risk,
                facts=self.python_facts,
            ),
        )


def environment() -> dict[str, str]:
    """What a program gets to know of ours: where programs lie, who and where it is."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # A relative folder would let the workspace choose the program.
    path = os.pathsep.join(folder for folder in folders if folder.startswith("/"))
    return {**kept, "PATH": path, "TERM": "dumb"}


def _root(context: Context) -> Path:
    return Path(os.path.realpath(context.workspace))


def named_files(arguments: Sequence[str], cwd: Path) -> Iterator[FileFact]:
    """The files that the arguments name: a script that changes is another action."""
    for argument in dict.fromkeys(arguments):
        path = os.path.join(cwd, argument)  # noqa: PTH118 - Path raises for an overlong name
        if os.path.isfile(path):  # noqa: PTH113 - as above
            yield _content(Path(path))


def _content(path: Path) -> FileFact:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{path}, which the command names, cannot be read: {error.strerror}"
        raise Invalid(message, hint="name files that you may read") from error
    identity = {"device": str(found.st_dev), "inode": str(found.st_ino)}
    return FileFact(str(path), exists=True, **identity, size=found.st_size, sha256=digest)


def _found(name: str, cwd: Path, path: str) -> str:
    found = shutil.which(str(cwd / name) if "/" in name else name, path=path)
    if found is None:
        raise NotFound(f"no program {name}", hint="give a program on PATH, or a path to one")
    return found


def find_program(name: str, cwd: Path, path: str) -> Program:
    """The file that a command's first word means there; NotFound where there is none."""
    real = os.path.realpath(_found(name, cwd, path))
    try:
        with Path(real).open("rb") as file:
            identity = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"the program {real} cannot be read: {error.strerror}"
        raise Invalid(message, hint="give a program that you may read") from error
    return Program(real, str(identity.st_dev), str(identity.st_ino), digest)
