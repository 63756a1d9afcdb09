"""The tool that runs a program: no shell, a clean environment, bounded time and output.

Until a sandbox exists the program runs unconfined, and every request says so.
"""

import hashlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from localai.agent.builtin import beneath
from localai.agent.tools import ByItself, Context, Tool, ToolResult
from localai.approvals.action import Facts, FileFact, Program
from localai.core.errors import Invalid, NotFound
from localai.rbac.permissions import Risk

TIMEOUT_S = 120
MAX_OUTPUT = 65_536
UNCONFINED = ByItself("none: runs unconfined with your own rights", is_confined=False)

_KEPT = ("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_POLL_S = 0.1
_GRACE_S = 2.0


class Output:
    """The beginning and the end of what a program says; the middle is counted, not kept."""

    def __init__(self, most: int = MAX_OUTPUT) -> None:
        self._half = most // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Take in more."""
        self._size += len(chunk)
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        del self._tail[: -self._half]

    @property
    def text(self) -> str:
        """What was kept, with a line that says what was left out."""
        missing = self._size - len(self._head) - len(self._tail)
        cut = f"\n[clipped: {missing} of {self._size} bytes]\n".encode() if missing else b""
        return (bytes(self._head) + cut + bytes(self._tail)).decode("utf-8", errors="replace")


def run_command(
    context: Context,
    argv: Annotated[list[str], "the program and its arguments, one element each; no shell"],
    cwd: Annotated[str, "the directory to run in, relative to the workspace"] = ".",
) -> ToolResult:
    """Run a program and return its exit code and output."""
    place = beneath.locate(context, cwd)
    program = context.facts.program or find_program(argv[0], place.path)
    try:
        process = subprocess.Popen(  # noqa: S603 - what a person approved, by its resolved path
            argv,
            executable=program.path,
            cwd=place.path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        why = error.strerror or str(error)
        return ToolResult(False, f"{program.path} cannot be run: {why}", why)
    with process:
        return _watched(process, time.monotonic() + TIMEOUT_S)


def environment() -> dict[str, str]:
    """What the program gets to know of ours: where programs lie, who and where it is."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # A relative folder would let the workspace choose the program.
    path = os.pathsep.join(folder for folder in folders if folder.startswith("/"))
    return {**kept, "PATH": path, "TERM": "dumb"}


def _watched(process: "subprocess.Popen[bytes]", until: float) -> ToolResult:
    output = Output()
    try:
        is_over = _collect(process, output, until)
    finally:
        # Here too when a person interrupts: nothing is left running.
        _end(process)
    text = output.text
    if not is_over:
        summary = f"stopped after {TIMEOUT_S} seconds"
        return ToolResult(False, f"{summary}\n{text}", summary)
    summary = _ending(process.returncode)
    return ToolResult(process.returncode == 0, f"{summary}\n{text}", summary)


def _collect(process: "subprocess.Popen[bytes]", output: Output, until: float) -> bool:
    """Read until the program ends; False if time was over first."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if selector.select(min(left, _POLL_S)):
                if not (chunk := os.read(process.stdout.fileno(), MAX_OUTPUT)):
                    return _has_ended(process, left)
                output.add(chunk)
            elif process.poll() is not None:
                return True  # what it left behind holds the pipe open, and is ended with it
    return False


def _has_ended(process: "subprocess.Popen[bytes]", within: float) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(within)
    return process.returncode is not None


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    # macOS says EPERM for a group whose last process is not reaped yet.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    names = {each.value: each.name for each in signal.Signals}
    return f"ended by {names.get(-code, f'signal {-code}')}"


def _facts(context: Context, arguments: Mapping[str, Any]) -> Facts:
    argv = arguments["argv"]
    if not argv or not argv[0]:
        raise Invalid("argv is empty", hint='give the program first: {"argv": ["ls", "-l"]}')
    if any("\0" in element for element in argv):
        raise Invalid("argv holds a NUL character")
    cwd = arguments.get("cwd", ".")
    place = beneath.locate(context, cwd)
    if not os.path.isdir(place.path):  # noqa: PTH112 - Path.is_dir raises for an overlong name
        raise NotFound(f"no directory {cwd} in the workspace")
    spelled = json.dumps(environment(), sort_keys=True)
    return Facts(
        program=find_program(argv[0], place.path),
        environment_sha256=hashlib.sha256(spelled.encode()).hexdigest(),
        files=(beneath.identity(place), *named_files(argv[1:], place.path)),
    )


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


def find_program(name: str, cwd: Path) -> Program:
    """The file that a command's first word means there; NotFound where there is none."""
    found = shutil.which(str(cwd / name) if "/" in name else name, path=environment()["PATH"])
    if found is None:
        raise NotFound(f"no program {name}", hint="give a program on PATH, or a path to one")
    path = os.path.realpath(found)
    try:
        with Path(path).open("rb") as file:
            identity = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"the program {path} cannot be read: {error.strerror}"
        raise Invalid(message, hint="give a program that you may read") from error
    return Program(path, str(identity.st_dev), str(identity.st_ino), digest)


TOOLS = (
    Tool(
        name="run_command",
        function=run_command,
        permission="commands:run",
        risk=Risk.CRITICAL,
        confinement=UNCONFINED,
        facts=_facts,
    ),
)
