"""One step of an approval in a process of its own, a fault at one of its calls, and a judge.

The process is a fork, so that nothing is imported again, and strace is attached to it. It stops
at the calls that name a path of the home or use a file that was opened from one.
"""

import logging
import os
import re
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from approvals_home import Home, action, build

from localai.approvals.records import Approval, Grant
from localai.approvals.tables import approvals
from localai.core import audit, tally
from localai.core.errors import Conflict, LocalaiError

STEPS = ("request", "decide", "claim", "finish")
# A step leads from the state at its place to the next one, and leaves the event at its place.
_STATES = ("none", "pending", "approved", "executing", "succeeded")
_EVENTS = ("requested", "approved", "claimed", "succeeded")
_SECOND_CLAIM = {"executing": "it is never run again", "succeeded": "it has run"}

_PATHS = (
    *("", "data", "keys", "data/localai.lock"),
    *(f"data/localai.db{end}" for end in ("", "-wal", "-shm", "-journal")),
    *(f"keys/{name}" for name in ("lock", "store", "secrets.key", "secrets.json", "audit.anchor")),
)
_GATE = "inject=?access,?faccessat,?faccessat2:error=ENOENT"
_AN_HOUR, _A_MINUTE = 3600, 60


class Fault(NamedTuple):
    """What strace does, in its words, at the n-th call of that name within a step."""

    step: str
    call: str
    nth: int
    what: str


class Outcome(NamedTuple):
    """What the step told before its end, and the verdict: `done`, or what is wrong."""

    fault: Fault
    is_hit: bool
    told: str
    verdict: str


def begin() -> None:
    """Make this process fit to fork at any time: it starts no thread."""
    tally._SECONDS = _AN_HOUR  # what is counted is written at the end


def prepare(bases: Path) -> None:
    """Make a home for each step to begin in; the last step claims first, in its own process."""
    home = _open(bases / "made")
    for base, step in (("request", ""), ("decide", "request"), ("claim", "decide"), ("finish", "")):
        _take(home, step)
        _close(home)
        shutil.copytree(bases / "made", bases / base)


def calls_of(bases: Path, folder: Path, step: str) -> list[str]:
    """The names of the calls that an undisturbed run of the step makes, in their order."""
    home = folder / step
    shutil.copytree(bases / step, home)
    calls, _ = _trace(home, step)
    return [call.partition("(")[0] for call in calls]


def strike(bases: Path, folder: Path, how: str, fault: Fault) -> Outcome:
    """Take the step with the fault in a copy of its home, then judge what is left."""
    home = folder / "-".join(map(str, fault))
    shutil.copytree(bases / fault.step, home)
    inject = f"inject={fault.call}:{fault.what}:when={fault.nth}"
    calls, status = _trace(home, fault.step, "-e", inject, how=how)
    if status not in {0, signal.SIGKILL}:
        _write(home / "told", f"broke: it ended with {status}")
    is_hit = status == signal.SIGKILL or any("(INJECTED)" in call for call in calls)
    told = _read(home / "told")
    with _telling(home / "verdict"):
        assert "broke: " not in told, told
        left = _open(home)
        try:
            _judge(left, fault.step, told)
        finally:
            _close(left)
    outcome = Outcome(fault, is_hit, told, _read(home / "verdict"))
    shutil.rmtree(home)
    return outcome


def _trace(folder: Path, step: str, *options: str, how: str = "") -> tuple[list[str], int]:
    """Take the step in a fork under strace: its calls, and what `wait` tells of its end."""
    pid = os.fork()
    if not pid:
        _work(folder, step, how)
    os.waitpid(pid, os.WUNTRACED)  # it stops when it is ready
    paths = [option for path in _PATHS for option in ("-P", str(folder / path))]
    strace = ["strace", "-qq", "-p", str(pid), "-o", str(folder / "calls"), *paths]
    with subprocess.Popen([*strace, "-e", "trace=%file,%desc", "-e", _GATE, *options]):
        os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
    calls = _read(folder / "calls").splitlines()
    return [call for call in calls if not re.match(r"f?access|[+-]", call)], status


def _work(folder: Path, step: str, how: str) -> NoReturn:
    """Take the step once strace is there, and tell how it and the end of the program went."""
    signal.alarm(_A_MINUTE)
    logging.disable()
    home, grant = None, None
    try:
        if step == "finish":
            home = _open(folder)
            grant = _take(home, "claim")
        _break(how)
        signal.raise_signal(signal.SIGSTOP)
        while os.access(folder, os.F_OK):  # strace denies it
            time.sleep(0.001)
        if how == "told first":
            _write(folder / "told", "done")
        with _telling(folder / "told"):
            home = home or _open(folder)
            _take(home, step, grant)
        with _telling(folder / "told"):
            if home:
                _close(home)
    finally:
        os._exit(0)


def _break(how: str) -> None:
    """Spoil the product in this process, so that the judge has something to find."""
    record = audit.Audit.record

    def record_apart(self: audit.Audit, connection: sa.Connection, *event: Any, **of: Any) -> None:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        record(self, connection, *event, **of)

    if how == "audit apart":
        patch.object(audit.Audit, "record", record_apart).start()
    elif how == "anchor first":
        patch.object(audit, "after_commit", lambda _, action: action()).start()


def _take(home: Home, step: str, grant: Grant | None = None) -> Grant | None:
    """Take the step with the one request of the home; what is claimed runs, and leaves a trace."""
    if step == "request":
        home.open()
    elif step == "decide":
        home.approve(_only(home))
    elif step == "claim":
        grant = home.approvals.claim(home.operator, _only(home).id, action())
        _write(_effects(home), "ran")
    elif grant is not None:
        home.approvals.finish(grant, "it ran", ok=True)
    return grant


def _judge(home: Home, step: str, told: str) -> None:
    """Fail unless the home is whole, fits what was told, and can go on."""
    with home.database.read() as connection:
        integrity = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        state = connection.scalar(sa.select(approvals.c.state)) or "none"
    assert integrity == ["ok"], integrity
    before, after = STEPS.index(step), STEPS.index(step) + 1
    place = _STATES.index(state)
    assert place in {before, after}, f"{step} left it {state}"
    assert place == after or not told.startswith("done"), f"told as done, and it is {state}"
    events = [entry.event for entry in reversed(home.audit.page().items)]
    whole = ["operator.created", *(f"approval.{event}" for event in _EVENTS[:place])]
    assert events == whole, f"{state}, and audited are {events}"
    verified = home.audit.verify()
    assert verified.is_whole, verified.problems
    # The anchor follows its row, so a fault between the two leaves it one behind, never ahead.
    assert (verified.anchored or 0) >= verified.entries - 1, verified
    _go_on(home, state)


def _go_on(home: Home, state: str) -> None:
    """Take the steps that are left; fail if what was claimed could be claimed again."""
    if state in _SECOND_CLAIM:
        with pytest.raises(Conflict, match=_SECOND_CLAIM[state]) as refused:
            _take(home, "claim")
        assert refused.value.hint
    else:
        grant = None
        for step in STEPS[_STATES.index(state) :]:
            grant = _take(home, step, grant)
    approval, times = _only(home), _read(_effects(home)).count("ran")
    end = "unknown" if state == "executing" else "succeeded"
    assert (approval.status, len(approval.votes)) == (end, 1), approval
    assert times == 1 or (times == 0 and end == "unknown"), f"{end}, and it ran {times} times"
    assert home.audit.verify().is_whole


def _open(folder: Path) -> Home:
    return build(folder, timeout_s=_AN_HOUR, grant_s=_AN_HOUR)


def _close(home: Home) -> None:
    home.rbac._tally.close()
    home.database.close()


def _only(home: Home) -> Approval:
    (approval,) = home.approvals.list(home.operator).items
    return approval


def _effects(home: Home) -> Path:
    return home.directories.config / "effects"


@contextmanager
def _telling(file: Path) -> Iterator[None]:
    """Write down how what is done inside has ended."""
    try:
        yield
    except LocalaiError as error:
        said = f"refused: {error}" if error.hint else f"broke: {error!r} says not what to do"
        _write(file, said)
    except BaseException:  # noqa: BLE001 - also what pytest raises, which is no Exception
        _write(file, f"broke: {traceback.format_exc()}")
    else:
        _write(file, "done")


def _write(file: Path, line: str) -> None:
    with file.open("a") as opened:
        opened.write(f"{line}\n")


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
