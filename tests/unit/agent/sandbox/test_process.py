"""Watching a program: what it says, how long it runs, what it takes, and that nothing stays."""

import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from localai.agent.sandbox import process
from localai.agent.sandbox.process import Crowd, Ended, Limits, Output, descendants, watch


def _started(script: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _watched(script: str, limits: Limits, crowd: Crowd | None = None) -> Ended:
    with _started(script) as running:
        return watch(running, limits, (lambda: crowd) if crowd else None)


def _is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _wait_until_gone(pid: int) -> None:
    until = time.monotonic() + 20
    while not _is_gone(pid):
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.01)


def test_output_that_just_fits_is_whole() -> None:
    """Nothing is clipped before it must be."""
    output = Output(8)
    output.add(b"abc")
    output.add(b"defgh")
    assert output.text == "abcdefgh"
    output.add(b"i")
    assert output.text == "abcd\n[clipped: 1 of 9 bytes]\nfghi"


def test_time_is_bounded() -> None:
    """What runs too long is stopped, with all that it started; its output is kept."""
    ended = _watched("sleep 300 & echo $!; sleep 300", Limits(seconds=1))
    assert (ended.is_ok, ended.summary) == (False, "stopped: it ran for 1 seconds")
    _wait_until_gone(int(ended.output))


def test_what_ignores_the_polite_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM first, SIGKILL after the grace."""
    monkeypatch.setattr(process, "_GRACE_S", 0.1)
    ended = _watched("trap '' TERM; echo up; while :; do sleep 0.05; done", Limits(seconds=1))
    assert ended.output == "up\n"


def test_a_program_that_closes_its_output_is_still_bounded() -> None:
    """The end of output is not the end of the program."""
    ended = _watched("exec >&- 2>&-; sleep 300", Limits(seconds=1))
    assert ended.stopped == "it ran for 1 seconds"


def test_a_program_that_closes_its_output_is_still_looked_at() -> None:
    """It may grow without a word."""
    crowd = Crowd(9, 0)
    ended = _watched("exec >&- 2>&-; sleep 300", Limits(processes=8), crowd)
    assert ended.stopped == "it became more than 8 processes"


@pytest.mark.parametrize(
    ("crowd", "why"),
    [
        (Crowd(257, 0), "it became more than 256 processes"),
        (Crowd(1, (2 << 30) + 1), "it used more than 2048 MB"),
    ],
)
def test_what_takes_too_much_is_stopped(crowd: Crowd, why: str) -> None:
    """And the reason is told."""
    assert _watched("sleep 300", Limits(), crowd).summary == f"stopped: {why}"


def test_a_flood_does_not_keep_it_from_being_looked_at() -> None:
    """Who always says something is watched as well, and our memory does not grow with it."""
    ended = _watched("yes", Limits(output=100), Crowd(1000, 0))
    assert ended.stopped == "it became more than 256 processes"
    assert "[clipped: " in ended.output
    assert len(ended.output) < 200


def test_what_it_leaves_behind_is_ended() -> None:
    """A background process holds the output open; it neither delays us nor stays."""
    ended = _watched("sleep 300 & echo $!", Limits())
    assert ended.summary == "exit code 0"
    _wait_until_gone(int(ended.output))


def test_an_interrupt_ends_the_program_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while it runs: nothing stays, and the interrupt is ours to feel."""

    def interrupted(*_: object) -> Iterator[bool]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(process, "_collected", interrupted)
    with _started("sleep 300") as running, pytest.raises(KeyboardInterrupt):
        watch(running, Limits())
    _wait_until_gone(running.pid)


def test_descendants_are_counted_with_their_memory() -> None:
    """Children and their children; who has ended counts for nothing."""
    with _started("sleep 300 & (sleep 300; true) & echo; wait") as running:
        assert running.stdout is not None
        running.stdout.readline()
        until = time.monotonic() + 20
        while (found := descendants(running.pid)).processes < 4 and time.monotonic() < until:
            time.sleep(0.01)
        process.end(running)
    assert found.processes == 4
    assert found.memory > 0
    assert descendants(running.pid) == Crowd(0, 0)


def test_signals_to_nobody_are_no_error() -> None:
    """The group may be gone before it is ended."""
    with subprocess.Popen(["true"], start_new_session=True) as ended:
        pass
    process._signal(ended.pid, signal.SIGKILL)


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    """Not as an error of ours."""
    assert Ended(-200, "").summary == "ended by signal 200"
