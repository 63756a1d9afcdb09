"""An error or kill -9 at every file-system call of a step: nothing half done, untrue or doubled."""

import multiprocessing
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from integration import faults_worker as worker
from integration.faults_worker import Fault

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

_FEWEST = 150  # faults a step; most have above 500
_PROCESSES = 4  # more than the cores, because after some faults SQLite waits for ten seconds
_FILLS = {"openat", "write", "pwrite64", "ftruncate", "fsync", "fdatasync"}
_KILL = "signal=KILL"


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    assert shutil.which("strace"), "scripts/debian-packages installs strace"
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_PROCESSES, spawn, worker.begin) as processes:
        yield processes


@pytest.fixture(scope="module")
def bases(pool: Executor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for each step to begin in."""
    folder = tmp_path_factory.mktemp("bases")
    pool.submit(worker.prepare, folder).result()
    return folder


def _kinds(call: str) -> Iterator[str]:
    yield _KILL
    # strace leaves out the call that it lets fail, and what is left open keeps its lock. The
    # kernel closes whatever it reports.
    if call != "close":
        yield "error=EIO"
    if call in _FILLS:
        yield "error=ENOSPC"


def _faults(step: str, calls: Iterable[str]) -> list[Fault]:
    """Every kind of fault at every call."""
    made: Counter[str] = Counter()
    found = []
    for call in calls:
        made[call] += 1
        found += [Fault(step, call, made[call], what) for what in _kinds(call)]
    return found


@pytest.mark.parametrize("step", worker.STEPS)
def test_a_fault_at_any_call_leaves_the_home_true_and_usable(
    pool: Executor, bases: Path, tmp_path: Path, step: str
) -> None:
    """What was told as done is there, state and audit agree, and nothing runs twice."""
    faults = _faults(step, pool.submit(worker.calls_of, bases, tmp_path, step).result())
    outcomes = list(pool.map(partial(worker.strike, bases, tmp_path, ""), faults))
    wrong = [f"{each.fault}: {each.verdict}" for each in outcomes if each.verdict != "done\n"]
    hit = Counter(outcome.fault.what for outcome in outcomes if outcome.is_hit)
    print(step, dict(hit), f"{len(wrong)} violations")
    assert not wrong, "\n".join(wrong)
    assert hit.total() >= _FEWEST


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("audit apart", "approved, and audited are"),
        ("anchor first", "of the newest rows are gone"),
        ("told first", "told as done, and it is pending"),
    ],
)
def test_the_judge_finds_what_a_broken_step_leaves(
    pool: Executor, bases: Path, tmp_path: Path, how: str, found: str
) -> None:
    """Else it could call anything whole."""
    calls = pool.submit(worker.calls_of, bases, tmp_path, "decide").result()
    kills = [fault for fault in _faults("decide", calls) if fault.what == _KILL][::3]
    outcomes = list(pool.map(partial(worker.strike, bases, tmp_path, how), kills))
    caught = [outcome for outcome in outcomes if found in outcome.verdict]
    print(how, f"{len(caught)} of {len(kills)} are violations")
    assert caught
