"""Whether the process that claimed an action is still there."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from approvals_home import TurnableClock

from localai.core import lease
from localai.core.clock import Clock


def test_this_process_is_alive() -> None:
    """Our own lease is not dead."""
    assert not lease.is_dead(lease.mine(Clock()), Clock())


def _lease_of(pid: int) -> str:
    boot, _, _ = lease.mine(Clock()).rsplit(" ", 2)
    return f"{boot} {pid} {lease._start(pid)}"


def test_a_process_that_ended_is_dead() -> None:
    """Its id names nobody, or somebody who started later."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        held = _lease_of(child.pid)
        assert not lease.is_dead(held, Clock())
    assert lease.is_dead(held, Clock())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only /proc shows zombies")
def test_a_process_that_ended_unnoticed_is_dead() -> None:
    """Killed but not yet reaped by its parent is dead enough."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        held = _lease_of(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert lease.is_dead(held, Clock())


def test_the_same_process_id_with_another_start_is_dead() -> None:
    """Process ids are used again."""
    boot, pid, _ = lease.mine(Clock()).rsplit(" ", 2)
    assert lease.is_dead(f"{boot} {pid} 1", Clock())


def test_another_boot_is_dead() -> None:
    """No process outlives its boot."""
    clock = TurnableClock()
    held = lease.mine(clock)
    clock.boot = "next-boot"
    assert lease.is_dead(held, clock)


def test_systems_without_proc_ask_the_process_table() -> None:
    """There the start comes from psutil, and nobody has none."""
    assert lease._start_elsewhere(os.getpid()) == str(psutil.Process().create_time())
    assert lease._start_elsewhere(2**22 + 1) is None


def test_a_boot_without_a_name_is_a_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not name its boot, process id and start decide, from psutil."""
    monkeypatch.setattr(lease, "_PROC", lease._PROC / "nowhere")
    clock = TurnableClock()
    clock.boot = ""
    assert not lease.is_dead(lease.mine(clock), clock)
