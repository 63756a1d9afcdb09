"""kill -9 at random points of enqueuing and sending: none lost, at most one duplicate a crash.

Two crashes may meet the same notice, which then comes three times.
"""

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from approvals_home import build
from integration import notify_worker as worker
from mail_server import mail_server

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

KILLS = 100 if os.environ.get("PROVE") == "1" else 5
SEED = int(os.environ.get("PROVE_SEED") or random.SystemRandom().randrange(2**32))
NOTICES = 4  # a process

_TESTS = Path(__file__).parents[1]


def _start(home: Path, port: int, first: int, count: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{_TESTS}{os.pathsep}{_TESTS.parent}"}
    command = [sys.executable, worker.__file__, str(home), *map(str, (port, first, count))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _killed(child: subprocess.Popen[str], after_s: float) -> list[int]:
    """Let it work for a moment once it has enqueued its first; returns what it had enqueued."""
    assert child.stdout is not None
    first = child.stdout.readline()
    timer = threading.Timer(after_s, child.kill)
    timer.start()
    said = [first, *child.stdout]
    child.wait()
    timer.cancel()
    child.stdout.close()
    return [int(line) for line in said if line.strip().isdigit()]


def test_a_kill_at_any_moment_loses_no_notice_and_doubles_at_most_one(tmp_path: Path) -> None:
    """And what comes again has the Message-ID of its first."""
    print(f"PROVE_SEED={SEED}")
    dice = random.Random(SEED)
    folder = tmp_path / "home"
    build(folder).database.close()
    enqueued: list[int] = []
    crashes = 0
    with mail_server() as post:
        for turn in range(KILLS):
            child = _start(folder, post.port, turn * NOTICES, NOTICES)
            enqueued += _killed(child, dice.uniform(0, 0.25))
            crashes += child.returncode == -9
        last = _start(folder, post.port, KILLS * NOTICES, 1)
        enqueued += _killed(last, 300)
        assert last.returncode == 0
        taken = [mail.parsed for mail in post.taken]

    ids = [str(mail["Message-ID"]) for mail in taken]
    told = Counter(str(mail["Subject"]).rpartition("(")[2].rstrip(")") for mail in taken)
    assert {f"{number:016x}" for number in enqueued} <= told.keys()
    duplicates = len(taken) - len(told)
    assert duplicates <= crashes
    assert len(set(ids)) == len(told), "a duplicate has the id of its first"
    home = build(folder)
    with home.database.read() as connection:
        states = set(connection.exec_driver_sql("SELECT state FROM notifications").scalars())
    home.database.close()
    assert states == {"sent"}
    assert crashes >= KILLS // 2
    print(f"{crashes} crashes, {len(taken)} mails of {len(told)} notices, {duplicates} again")
