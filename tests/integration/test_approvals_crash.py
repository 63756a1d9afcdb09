"""kill -9 at random moments of asking, deciding, claiming, running: nothing lost or doubled."""

import importlib.util
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from approvals_home import Home, build
from integration import approvals_worker as worker

from localai.core.errors import Conflict

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

IS_FULL = os.environ.get("PROVE") == "1"
KILLS = {"sqlite3": 50 if IS_FULL else 5, "pysqlite3.dbapi2": 50 if IS_FULL else 4}
SEED = int(os.environ.get("PROVE_SEED") or random.SystemRandom().randrange(2**32))

_TESTS = Path(__file__).parents[1]
_LIVE = {"requested": "pending", "claimed": "executing"}


@pytest.fixture(params=[n for n in worker.DRIVERS if importlib.util.find_spec(n.split(".")[0])])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _kill_at_random(home: Path, driver: str, workspace: Path, dice: random.Random) -> None:
    """Start a worker, let it work for a moment that the dice choose, kill it."""
    environment = {**os.environ, "PYTHONPATH": f"{_TESTS}{os.pathsep}{_TESTS.parent}"}
    command = [sys.executable, worker.__file__, str(home), driver, str(workspace)]
    with subprocess.Popen(
        [*command, f"{dice.randrange(2**32):08x}"], stdout=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        try:
            child.wait(dice.uniform(0, 0.2))
        except subprocess.TimeoutExpired:
            child.kill()
    assert child.returncode == -9


def _events(home: Home) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in reversed(home.audit.page(limit=1_000_000).items):
        found.setdefault(entry.subject, []).append(entry.event.removeprefix("approval."))
    return found


def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(
    tmp_path: Path, driver: str
) -> None:
    """States are legal and audited, the chain is whole, and no action ran twice."""
    print(f"PROVE_SEED={SEED}")
    dice = random.Random(f"{SEED}{driver}")
    folder, workspace = tmp_path / "home", tmp_path / "work"
    workspace.mkdir()
    build(folder, driver=worker.driver(driver)).database.close()

    for _ in range(KILLS[driver]):
        _kill_at_random(folder, driver, workspace, dice)

    home = build(folder, driver=worker.driver(driver))
    # By the same driver: two SQLite libraries in one process must not hold one file.
    raw = worker.driver(driver).connect(home.directories.database_file)
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    raw.close()

    verified = home.audit.verify()
    assert verified.is_whole, verified.problems
    # The anchor follows its row, so a kill between the two leaves it one behind, never ahead.
    assert verified.anchored is not None
    assert verified.entries - 1 <= verified.anchored <= verified.entries

    found = {item.id: item for item in home.approvals.list(home.operator, limit=1_000_000).items}
    events = _events(home)
    for approval in found.values():
        last = events[approval.id][-1]
        assert approval.status == _LIVE.get(last, last)

    effects = Counter((workspace / "effects").read_text().splitlines())
    assert set(effects.values()) <= {1}
    ran = {"succeeded": 0, "unknown": 0}
    for approval in found.values():
        times = effects[str(approval.arguments["line"])]
        may = {"succeeded": (1,), "unknown": (0, 1)}.get(approval.status, (0,))
        assert times in may, approval
        ran[approval.status] = ran.get(approval.status, 0) + 1
    assert ran["succeeded"] >= KILLS[driver]
    assert len(effects) <= ran["succeeded"] + ran["unknown"]
    assert "executing" not in {approval.status for approval in found.values()}

    running = worker.runner(home, workspace)
    for approval in found.values():
        if approval.status == "unknown":
            with pytest.raises(Conflict, match="never run again"):
                running.resume(home.operator, approval.id)
    assert Counter((workspace / "effects").read_text().splitlines()) == effects
    print(sorted(ran.items()), verified)
    home.database.close()
