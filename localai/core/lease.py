"""Who holds something: boot, process id and start, so that a dead process is recognised.

A lease may be read as dead by mistake (of another container, say): what is claimed with one must
be on the safe side then.
"""

import os
from pathlib import Path

from localai.core.clock import Clock

_PROC = Path("/proc")
_ELSEWHERE = "elsewhere"
_STATE, _STARTED = 0, 19  # in PID/stat, counted after the command's name


def mine(clock: Clock) -> str:
    """The lease of this process."""
    pid = os.getpid()
    return f"{clock.boot_id} {pid} {_start(pid)}"


def elsewhere(name: str) -> str:
    """The lease of somebody whose process is not ours to see: it never reads as dead."""
    return f"{_ELSEWHERE} {name}"


def is_dead(lease: str, clock: Clock) -> bool:
    """Tell whether the process of the lease is gone."""
    if lease.startswith(f"{_ELSEWHERE} "):
        return False
    boot_id, pid, started = lease.rsplit(" ", 2)
    return boot_id != clock.boot_id or _start(int(pid)) != started


def _start(pid: int) -> str | None:
    if not (_PROC / "self/stat").exists():
        return _start_elsewhere(pid)
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else fields[_STARTED]


def _start_elsewhere(pid: int) -> str | None:
    import psutil  # noqa: PLC0415 - 20 ms, and only systems without /proc need it

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
