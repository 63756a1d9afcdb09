"""The sandbox, attacked: every way of tests/escapes.py is tried for real, by two kinds of user."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest
from escapes import ATTEMPTS

from localai.agent.sandbox import landlock
from localai.agent.sandbox.tiers import GAPS

pytestmark = pytest.mark.timeout(900)

TESTS = Path(__file__).parent.parent
SECRET = "zq7-a-secret-of-the-operator"
NOBODY = 65534
IS_ROOT = os.geteuid() == 0
OTHERS = pytest.param(NOBODY, id="an-ordinary-user", marks=pytest.mark.prove)
USERS = [pytest.param(None, id="oneself"), *([OTHERS] if IS_ROOT else [])]
NEEDED = ("localai/*.py", "localai/agent/*.py", "localai/agent/sandbox/*.py")
NEEDED += ("localai/core/__init__.py", "localai/core/errors.py", "tests/escape*.py")

has_landlock = pytest.mark.skipif(
    landlock.version() < 1 and os.environ.get("PROVE") != "1", reason="no Landlock in this kernel"
)


@pytest.fixture(scope="module")
def readable() -> Iterator[Path]:
    """What the attack needs, where any user can read it."""
    with tempfile.TemporaryDirectory(prefix="sandbox-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        for pattern in NEEDED:
            for file in TESTS.parent.glob(pattern):
                (folder / file.relative_to(TESTS.parent)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / file.relative_to(TESTS.parent))
        yield folder


@cache
def _python(user: int | None) -> str:
    """An interpreter that this user can start."""
    check = "import sys; assert sys.version_info >= (3, 11)"
    for each in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            started = subprocess.run([each, "-c", check], user=user, capture_output=True, cwd="/")
        except OSError:
            continue
        if started.returncode == 0:
            return each
    pytest.fail(f"user {user} has no Python 3.11; install the system's python3")


def _tried(tier: str, user: int | None, folder: Path) -> Mapping[str, Sequence[str]]:
    """What was open, by the name of the attempt, with the evidence."""
    others = {"user": user, "group": user, "extra_groups": []} if user else {}
    ended = subprocess.run(
        [_python(user), "-B", str(folder / "tests/escape_scene.py"), tier],
        env={
            "PATH": os.defpath,
            "LOCALAI_PASSPHRASE": SECRET,
            "PYTHONPATH": f"{folder}:{folder / 'tests'}",
        },
        cwd="/",
        capture_output=True,
        text=True,
        **others,  # type: ignore[arg-type]
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def _open(found: Mapping[str, Sequence[str]]) -> set[str]:
    return {name for name, evidence in found.items() if evidence}


@pytest.mark.prove
@pytest.mark.parametrize("user", USERS)
def test_no_way_out_is_open_in_the_full_tier(user: int | None, readable: Path) -> None:
    """As root and as an ordinary user; without bubblewrap this fails."""
    found = _tried("full", user, readable)
    assert {name: evidence for name, evidence in found.items() if evidence} == {}
    assert found.keys() == {each.name for each in ATTEMPTS}


@pytest.mark.prove
@has_landlock
@pytest.mark.parametrize("user", USERS)
def test_the_reduced_tier_has_the_gaps_that_it_owns_up_to(user: int | None, readable: Path) -> None:
    """These ways are open there, each by the words that people read, and no other."""
    found = _tried("reduced", user, readable)
    assert _open(found) == {each.name for each in ATTEMPTS if each.gap}
    assert {each.gap for each in ATTEMPTS if each.gap} == set(GAPS)


@pytest.mark.prove
@pytest.mark.parametrize("user", USERS)
def test_without_a_sandbox_the_same_ways_are_open(user: int | None, readable: Path) -> None:
    """Those that do no harm are tried, so that it is known what the other tests can see."""
    found = _tried("none", user, readable)
    assert len(found) > 90
    assert len(_open(found)) > 0.9 * len(found), found.keys() - _open(found)
