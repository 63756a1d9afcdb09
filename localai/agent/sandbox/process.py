"""Watches a running program: its output, its time, and what it takes of the machine."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_POLL_S = 0.1
_GRACE_S = 2.0
MOST_OUTPUT = 65_536
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """The most that a program may take: seconds, bytes and processes."""

    seconds: int = 120
    memory: int = 2 << 30
    processes: int = 256
    output: int = MOST_OUTPUT
    file: int = 1 << 30
    descriptors: int = 1024

    @property
    def resources(self) -> dict[str, int]:
        """What the kernel bounds for each process, by the names of the module `resource`."""
        return {
            "RLIMIT_CORE": 0,
            "RLIMIT_CPU": self.seconds,
            "RLIMIT_DATA": self.memory,
            "RLIMIT_FSIZE": self.file,
            "RLIMIT_NOFILE": self.descriptors,
        }


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, or why it was stopped, and what it said."""

    code: int
    output: str
    stopped: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether it ended by itself, and well."""
        return self.stopped is None and self.code == 0

    @property
    def summary(self) -> str:
        """One line for the record."""
        if self.stopped:
            return f"stopped: {self.stopped}"
        if self.code >= 0:
            return f"exit code {self.code}"
        names = {each.value: each.name for each in signal.Signals}
        return f"ended by {names.get(-self.code, f'signal {-self.code}')}"


class Output:
    """The beginning and the end of what a program says; the middle is counted, not kept."""

    def __init__(self, most: int = MOST_OUTPUT) -> None:
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


def watch(
    process: "subprocess.Popen[bytes]",
    limits: Limits,
    crowd: Callable[[], "Crowd"] | None = None,
) -> Ended:
    """Wait until the program ends or takes more than it may; nothing of it is left running.

    `crowd` tells what it has become, where somebody is to look at that.
    """
    output = Output(limits.output)
    stopped: str | None = None
    try:
        for spent in _collected(process, output, time.monotonic() + limits.seconds):
            if spent or (crowd and (stopped := _excess(crowd(), limits))):
                stopped = stopped or f"it ran for {limits.seconds} seconds"
                break
    finally:
        # Here too when a person interrupts.
        end(process)
    return Ended(process.returncode, output.text, stopped)


@dataclass(frozen=True)
class Crowd:
    """How many processes a program has become, and the bytes of memory they use together."""

    processes: int
    memory: int


def descendants(pid: int) -> Crowd:
    """The process and all that came from it, as /proc has them; nothing where it has ended."""
    processes = memory = 0
    left = [pid]
    while left:
        each = left.pop()
        with suppress(OSError, ValueError):
            with open(f"/proc/{each}/statm", "rb") as file:  # noqa: PTH123 - pathlib takes longer
                memory += int(file.read().split()[1]) * _PAGE
            processes += 1
            for thread in os.listdir(f"/proc/{each}/task"):  # noqa: PTH208 - as above
                with open(f"/proc/{each}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                    left += map(int, file.read().split())
    return Crowd(processes, memory)


def tasks(user: int) -> int:
    """How many processes and threads a user has, as the kernel counts them for its limit."""
    found = 0
    for each in os.listdir("/proc"):  # noqa: PTH208 - pathlib takes longer
        with suppress(OSError):
            if each.isdigit() and os.stat(f"/proc/{each}").st_uid == user:  # noqa: PTH116 - as above
                found += len(os.listdir(f"/proc/{each}/task"))  # noqa: PTH208 - as above
    return found


def _excess(crowd: Crowd, limits: Limits) -> str | None:
    if crowd.processes > limits.processes:
        return f"it became more than {limits.processes} processes"
    if crowd.memory > limits.memory:
        return f"it used more than {limits.memory >> 20} MB"
    return None


def _collected(process: "subprocess.Popen[bytes]", output: Output, until: float) -> Iterator[bool]:
    """Read until the program ends; yields now and then, True when time is over."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    pipe, looked = process.stdout.fileno(), time.monotonic()
    with selectors.DefaultSelector() as selector, _ending(process.pid) as ending:
        for each in (pipe, *ending):
            selector.register(each, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            ready = {key.fd for key, _ in selector.select(min(left, _POLL_S))}
            if pipe in ready:
                chunk = os.read(pipe, 1 << 16)
                output.add(chunk)
                if not chunk:
                    selector.unregister(pipe)
            elif process.poll() is not None:
                return  # what it left behind may hold the pipe open, and is ended with it
            if time.monotonic() - looked >= _POLL_S:
                looked = time.monotonic()
                yield False
    yield True


@contextmanager
def _ending(pid: int) -> Iterator[Sequence[int]]:
    """What can be read when the process has ended; nothing where the system has no such thing."""
    handles: list[int] = []
    if sys.platform == "linux":
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))
    try:
        yield handles
    finally:
        for each in handles:
            os.close(each)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a program, and wait until it has: politely first, where it still runs."""
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
