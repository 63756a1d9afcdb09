"""The sandbox: which tier this machine has, found by trying it, and programs run in it.

Full is bubblewrap: the program has its own file system, processes and no network. Reduced is
Landlock: it is kept to its folders and from sockets, and sees more than it should. None is a
program with the operator's own rights, which is one critical approval a call.
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, Self

from localai.agent.sandbox import bubblewrap, landlock, mounts, seccomp
from localai.agent.sandbox.process import Ended, Limits, descendants, end, tasks, watch
from localai.agent.sandbox.scratch import scratch
from localai.agent.sandbox.view import View, view
from localai.core.errors import Denied, LocalaiError, NotFound, Unavailable

Tier = Literal["full", "reduced", "none"]

GAPS = (
    "it can change .git and what shells and editors obey in the workspace",
    "it can ask which files exist and how big they are, and change the modes of your own",
    "it sees the list of your processes, how each was called, and your connections",
)
# What else is open where the kernel's Landlock is older than this version.
OLDER_GAPS = {
    6: "before Linux 6.12 it can end your other processes",
    3: "before Linux 6.2 it can empty files of yours",
}
WORDS: Mapping[Tier, str] = {
    "full": "full (bubblewrap): no network, no home, nothing of localai; "
    "it can write in the workspace alone, and not in its .git",
    "reduced": "reduced (Landlock, for bubblewrap is not there or does not work): no network, "
    "no home; it can write in the whole workspace, .git included, and sees names outside of it",
    "none": "none: runs unconfined with your own rights",
}

_PATH = "/usr/bin:/usr/local/bin:/bin"
_LANDLOCK = Path(landlock.__file__)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Found:
    """A tier, and why it is no better one."""

    tier: Tier
    why: str = ""


@dataclass(frozen=True)
class Command:
    """A program: its real path, the path it was found at, its words, its folder, what it knows.

    It reads what is `given` on its standard input. The .git of the workspace is only read, unless
    it is git itself that `changes_git`.
    """

    program: str
    found: str
    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    given: bytes = b""
    changes_git: bool = False


class Sandbox:
    """Runs programs in one tier.

    `readable` are folders that programs may read beside the system's, `hidden` what they must not
    see. With `enabled` False, and on a machine that has neither tier, nothing is confined.
    """

    def __init__(
        self,
        *,
        readable: Sequence[Path] = (),
        hidden: Sequence[Path] = (),
        limits: Limits | None = None,
        enabled: bool = True,
        tier: Tier | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._readable = tuple(readable)
        self._hidden = tuple(hidden)
        self._is_enabled = enabled
        self._wanted = tier

    @cached_property
    def found(self) -> Found:
        """The best tier that works here."""
        if not self._is_enabled:
            return Found("none", "sandbox.enabled is false")
        if sys.platform != "linux" or not seccomp.is_known(platform.machine()):
            return Found("none", f"there is no sandbox for {sys.platform} {platform.machine()}")
        why = "" if self._wanted in {None, "full"} else "another tier was asked for"
        why = why or self._obstacle()
        if not why:
            return Found("full")
        if self._wanted == "none":
            return Found("none", why)
        if landlock.version() < 1:
            return Found("none", f"{why}; this kernel has no Landlock")
        return Found("reduced", why)

    @property
    def tier(self) -> Tier:
        """Full, reduced or none."""
        return self.found.tier

    @property
    def words(self) -> str:
        """What holds a program, as a person reads it before approving."""
        return WORDS[self.tier]

    @property
    def is_confined(self) -> bool:
        """Whether anything does."""
        return self.tier != "none"

    @property
    def gaps(self) -> tuple[str, ...]:
        """What the reduced tier leaves open on this kernel."""
        found = landlock.version()
        return (*GAPS, *(gap for version, gap in OLDER_GAPS.items() if found < version))

    def view(
        self, workspace: Path, protected: Sequence[Path] = (), *, changes_git: bool = False
    ) -> View:
        """What a program that works there will see."""
        return view(
            workspace,
            readable=self._readable,
            protected=(*protected, *self._hidden),
            changes_git=changes_git,
        )

    def run(self, command: Command, workspace: Path, protected: Sequence[Path] = ()) -> Ended:
        """Run a program to its end, or to the end of what it may take.

        Raises NotFound where the program lies outside of what it would see, Denied where the
        workspace cannot be given to it, Unavailable where the sandbox could not be made.
        """
        if self.tier == "none":
            return self._bare(command)
        seen = self.view(workspace, protected, changes_git=command.changes_git)
        if not seen.shows(command.program):
            message = f"{command.program} is not seen in the sandbox"
            hint = f"ai config set sandbox.readable {Path(command.program).parent}"
            raise NotFound(message, hint=hint)
        return self._full(command, seen) if self.tier == "full" else self._reduced(command, seen)

    def _full(self, command: Command, seen: View) -> Ended:
        expected = mounts.places(seen)
        with _Pipes() as pipes:
            rules = pipes.filled(self._rules(is_apart=True))
            told, tells = pipes.new()
            waits, go = pipes.new()
            options = bubblewrap.options(
                seen, command.cwd, memory=self.limits.memory, rules=rules, told=tells, go=waits
            )
            # By the name that it was found at, from which some programs learn what to be.
            name = command.found if seen.shows(command.found) else command.program
            called = [_bubblewrap() or "bwrap", *options, "--", name, *command.argv[1:]]
            environment = {**command.environment, "HOME": bubblewrap.HOME, "TMPDIR": "/tmp"}  # noqa: S108
            with _started(called, environment, command.given, (rules, tells, waits)) as process:
                pipes.close(rules, tells, waits)
                inside = _inside(told)
                if inside is None:
                    raise _unmade(process)
                # Where bubblewrap gave up, it says why, and nothing has run.
                with suppress(ProcessLookupError, BrokenPipeError):
                    for name, most in self._resources(is_apart=True).items():
                        resource.prlimit(inside, getattr(resource, name), (most, most))
                    mounts.check(inside, expected, lambda: process.poll() is None)
                    os.write(go, b"+")
                return watch(process, self.limits, partial(descendants, inside))

    def _reduced(self, command: Command, seen: View) -> Ended:
        with scratch() as own, _Pipes() as pipes, tempfile.TemporaryFile() as spec:
            told, tells = pipes.new()
            spec.write(json.dumps(self._spec(seen, own, tells)).encode())
            spec.seek(0)
            called = [sys.executable, "-I", "-S", str(_LANDLOCK), str(spec.fileno())]
            called += [command.program, *command.argv]
            environment = {**command.environment, "HOME": own, "TMPDIR": own}
            passed = (tells, spec.fileno())
            with _started(called, environment, command.given, passed, cwd=command.cwd) as process:
                pipes.close(tells)
                if not os.read(told, 1):
                    raise _unmade(process)
                return watch(process, self.limits, partial(descendants, process.pid))

    def _spec(self, seen: View, own: str, told: int) -> Mapping[str, object]:
        """What landlock.py is to do; Denied where something of ours lies in the workspace."""
        for each in seen.hidden:
            if Path(each).is_relative_to(seen.workspace):
                message = f"{each} is in the workspace, and only bubblewrap can hide it there"
                raise Denied(message, hint="ai doctor, which tells how to install bubblewrap")
        read, listed = seen.around()
        return {
            "seen": [*read, "/proc"],
            "listed": listed,
            "written": [seen.workspace, own, *_DEVICES],
            "filter": self._rules(is_apart=False).hex(),
            "limits": self._resources(is_apart=False),
            "parent": os.getpid(),
            "told": told,
        }

    def _bare(self, command: Command) -> Ended:
        with _started(
            list(command.argv),
            command.environment,
            command.given,
            cwd=command.cwd,
            executable=command.program,
        ) as process:
            look = partial(descendants, process.pid) if sys.platform == "linux" else None
            return watch(process, self.limits, look)

    def _resources(self, *, is_apart: bool) -> dict[str, int]:
        """What the kernel bounds; the number of processes for all but root, whom it does not bind.

        Apart from others a program counts for itself, among them with all that its user has.
        """
        user = os.geteuid()
        others = 0 if is_apart else tasks(user)
        own = {"RLIMIT_NPROC": others + self.limits.processes} if user else {}
        return {**self.limits.resources, **own}

    def _rules(self, *, is_apart: bool) -> bytes:
        return seccomp.program(platform.machine(), is_apart=is_apart)

    def _obstacle(self) -> str:
        """Why there is no full tier here; empty where it works."""
        if _bubblewrap() is None:
            return "bubblewrap is not installed"
        with tempfile.TemporaryDirectory(prefix="localai-") as empty:
            try:
                seen = view(Path(empty))
                shell = os.path.realpath("/bin/sh")
                command = Command(shell, "/bin/sh", ("sh", "-c", ":"), empty, {})
                ended = self._full(command, seen)
            except LocalaiError as error:
                return bubblewrap.obstacle(error.message)
        return "" if ended.is_ok else bubblewrap.obstacle(ended.output)


class _Pipes:
    """Pipes that are closed at the end, whatever happens."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(*self._open)

    def new(self) -> tuple[int, int]:
        """The end to read and the end to write."""
        ends = os.pipe()
        self._open.update(ends)
        return ends

    def filled(self, data: bytes) -> int:
        """The end to read of a pipe that holds a little data, and nothing after it."""
        reads, writes = self.new()
        os.write(writes, data)
        self.close(writes)
        return reads

    def close(self, *ends: int) -> None:
        for each in ends:
            self._open.discard(each)
            os.close(each)


@contextmanager
def _started(  # noqa: PLR0913 - what a program starts with
    called: Sequence[str],
    environment: Mapping[str, str],
    given: bytes,
    descriptors: Sequence[int] = (),
    *,
    cwd: str | None = None,
    executable: str | None = None,
) -> "Iterator[subprocess.Popen[bytes]]":
    """The program, in a session of its own; it reads what is given, and its output is ours."""
    with tempfile.TemporaryFile() as reads:
        reads.write(given)
        reads.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - what a person approved, by its path
                called,
                executable=executable,
                cwd=cwd,
                env=environment,
                stdin=reads,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=descriptors,
            )
        except OSError as error:
            raise Unavailable(f"{called[0]} cannot be run: {error.strerror or error}") from error
        with process:
            try:
                yield process
            finally:
                end(process)


def _bubblewrap() -> str | None:
    return shutil.which("bwrap", path=_PATH)


def _inside(told: int) -> int | None:
    """The process that bubblewrap made, by what it tells; None where it made none."""
    text = b""
    while chunk := os.read(told, 4096):
        text += chunk
    return int(json.loads(text)["child-pid"]) if text else None


def _unmade(process: "subprocess.Popen[bytes]") -> Unavailable:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    said = process.stdout.read(4096).decode("utf-8", "replace").strip()
    message = f"the sandbox could not be made: {said or 'it said nothing'}"
    return Unavailable(message, hint="ai doctor")
