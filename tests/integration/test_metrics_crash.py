"""kill -9 at random in commands that change state: every count is still that of the audit."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from terminal import Ai

from localai.app import App
from localai.metrics.proof import Proof

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

COMMANDS = 200 if os.environ.get("PROVE") == "1" else 6
SEED = int(os.environ.get("PROVE_SEED") or random.SystemRandom().randrange(2**32))
ARGUMENTS = '{"path": "a.txt", "content": "x"}'


@contextmanager
def _home(ai: Ai) -> Iterator[App]:
    app = App(ai.home, workspace=ai.workspace)
    yield app
    app.close()


def _command(ai: Ai, dice: random.Random) -> tuple[str, ...]:
    """One that fits what there is: to ask, to decide, to run, to be refused."""
    with _home(ai) as app:
        page = app.approvals.list(app.actor, limit=1000)
        ids = {status: [a.id for a in page.items if a.status == status] for status in _VERBS}
    choices: list[tuple[str, ...]] = [
        ("tools", "run", "write_file", "--args", ARGUMENTS),
        ("tools", "run", "list_files", "--args", '{"path": "."}'),
        ("--as", "mina", "users", "add", "eve", "--role", "admin"),
    ]
    for status, verbs in _VERBS.items():
        choices += [(*verb, dice.choice(ids[status])) for verb in verbs if ids[status]]
    return dice.choice(choices)


_VERBS = {
    "pending": (("approve", "-y"), ("approve", "-y"), ("reject",), ("approvals", "cancel")),
    "approved": (("approvals", "run"),) * 2,
}


def test_a_kill_at_any_moment_loses_no_count(tmp_path: Path) -> None:
    """Requests, decisions, executions, refusals: to the last one, after each of many crashes."""
    print(f"PROVE_SEED={SEED}")
    dice = random.Random(SEED)
    workspace = tmp_path / "work"
    workspace.mkdir()
    ai = Ai(tmp_path / "home", workspace)
    assert ai("init").code == 0
    started = time.monotonic()
    assert ai("users", "add", "mina", "--role", "viewer").code == 0
    patience = time.monotonic() - started
    killed = 0
    for _ in range(COMMANDS):
        child = ai.start(*_command(ai, dice))
        try:
            child.communicate(timeout=dice.uniform(0.6, 1.4) * patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        killed += child.returncode == -9
        # However busy the machine is, about half of them come to their end.
        patience *= 1.1 if child.returncode == -9 else 0.9
    with _home(ai) as app:
        found: Proof = app.metrics.prove(app.actor)
    print(f"{killed} killed of {COMMANDS}: {found.items}")
    assert found.is_exact, found.items
    assert killed >= COMMANDS // 8
    assert sum(each.counted for each in found.items) >= COMMANDS // 10
