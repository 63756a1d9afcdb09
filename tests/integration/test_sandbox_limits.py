"""What a program may take, and that nothing of it stays, in both tiers and for real."""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localai.agent.sandbox import landlock
from localai.agent.sandbox.process import Ended, Limits
from localai.agent.sandbox.tiers import Command, Sandbox, Tier

MB = 1 << 20
TIERS = [
    pytest.param("full", marks=pytest.mark.prove),
    pytest.param(
        "reduced",
        marks=pytest.mark.skipif(
            landlock.version() < 1 and os.environ.get("PROVE") != "1", reason="no Landlock"
        ),
    ),
]
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


@pytest.fixture
def mark() -> str:
    """A word that finds a program, and all that comes from it, in the list of processes."""
    return f"marked-{secrets.token_hex(6)}"


@pytest.fixture(params=TIERS)
def tier(request: pytest.FixtureRequest, workspace: Path) -> Tier:
    found: Tier = request.param
    assert Sandbox(tier=found).tier == found
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def _run(tier: Tier, workspace: Path, code: str, limits: Limits, *words: str) -> Ended:
    python = os.path.realpath(PYTHON)
    sandbox = Sandbox(tier=tier, limits=limits, readable=[Path(sys.base_prefix)])
    argv = ("python3", "-I", "-S", "-c", code, *words)
    environment = {"PATH": os.defpath}
    return sandbox.run(Command(python, PYTHON, argv, str(workspace), environment), workspace)


def _running(mark: str) -> list[int]:
    """Who has the mark on its command line, and has not ended."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (each / "cmdline").read_bytes():
                found.append(int(each.name))
        except OSError:
            continue
    return found


def _wait_until_gone(mark: str) -> None:
    until = time.monotonic() + 20
    while left := _running(mark):
        assert time.monotonic() < until, f"{left} still run"


def test_what_multiplies_is_stopped_and_nothing_of_it_stays(
    tier: Tier, workspace: Path, mark: str
) -> None:
    """Each process flees into a session of its own, and is no child of anybody."""
    code = """
import os, time
for _ in range(200):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(300)
        os._exit(0)
    os.wait()
time.sleep(300)
"""
    ended = _run(tier, workspace, code, Limits(processes=40), mark)
    assert not ended.is_ok
    # Root is stopped by being looked at; for all others the kernel makes no more.
    assert ended.stopped == "it became more than 40 processes" or "BlockingIOError" in ended.output
    _wait_until_gone(mark)


def test_what_makes_itself_anew_is_ended(tier: Tier, workspace: Path, mark: str) -> None:
    """A process that is always another one cannot be hunted one by one."""
    code = """
import os
for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork():
                os._exit(0)
"""
    ended = _run(tier, workspace, code, Limits(), mark)
    assert ended.code == 0
    _wait_until_gone(mark)


def test_daemons_end_with_their_program(tier: Tier, workspace: Path, mark: str) -> None:
    """One that holds the output open, and one that let go of everything."""
    code = """
import os, time
for is_quiet in (0, 1):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if is_quiet:
                os.closerange(0, 64)
            time.sleep(300)
        os._exit(0)
    os.wait()
print("left")
"""
    ended = _run(tier, workspace, code, Limits(), mark)
    assert (ended.summary, ended.output) == ("exit code 0", "left\n")
    _wait_until_gone(mark)


@pytest.mark.parametrize(
    "code",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "import os, time; os.closerange(0, 64); time.sleep(300)",
        "import signal as s, time\ns.pthread_sigmask(s.SIG_BLOCK, range(1, 65))\ntime.sleep(300)",
        "while True: pass",
    ],
    ids=["stopped", "silent", "deaf", "busy"],
)
def test_time_is_bounded_whatever_it_does(
    tier: Tier, workspace: Path, mark: str, code: str
) -> None:
    """Nothing that a program does to itself keeps it alive."""
    ended = _run(tier, workspace, code, Limits(seconds=1), mark)
    assert not ended.is_ok
    _wait_until_gone(mark)


def test_a_flood_of_output_is_clipped(tier: Tier, workspace: Path) -> None:
    """It is read on, and not kept."""
    code = "import os\nfor _ in range(20_000): os.write(1, b'y' * 1000)"
    ended = _run(tier, workspace, code, Limits(output=1000))
    assert "[clipped: 19999000 of 20000000 bytes]" in ended.output
    assert len(ended.output) < 1100


ONE = "held = bytearray(200 << 20)"
SHARED = """
import mmap, time
held = mmap.mmap(-1, 200 << 20)
for at in range(0, 200 << 20, 4096):
    held[at] = 1
time.sleep(300)
"""
MANY = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(os.urandom(1) * (24 << 20))
        time.sleep(300)
time.sleep(300)
"""


@pytest.mark.parametrize("code", [ONE, SHARED, MANY], ids=["its own", "shared", "of many"])
def test_memory_is_bounded(tier: Tier, workspace: Path, mark: str, code: str) -> None:
    """Of one process by the kernel, of all together by being looked at."""
    ended = _run(tier, workspace, code, Limits(memory=100 * MB, seconds=5), mark)
    assert not ended.is_ok
    _wait_until_gone(mark)


def test_files_in_memory_are_bounded(tier: Tier, workspace: Path) -> None:
    """Nothing that can be written to is memory without end."""
    code = """
import os
written = {}
for folder in ("/", "/dev", "/dev/shm", "/run", "/etc", "/var", "/tmp", "/tmp/home", "/proc"):
    try:
        with open(f"{folder}/filled", "wb", 0) as file:
            for number in range(300):
                file.write(bytes(1 << 20))
    except OSError:
        pass
    try:
        written[folder] = os.stat(f"{folder}/filled").st_size >> 20
    except OSError:
        pass
print(sum(written.values()))
"""
    ended = _run(tier, workspace, code, Limits(memory=64 * MB))
    assert ended.is_ok, ended.output
    assert int(ended.output) <= 64


def test_a_file_and_descriptors_are_bounded(tier: Tier, workspace: Path) -> None:
    """A file cannot grow past what it may, and only so many are open."""
    grows = "file = open('big', 'wb', 0)\nfor _ in range(100): file.write(bytes(1 << 16))"
    assert not _run(tier, workspace, grows, Limits(file=MB)).is_ok
    assert (workspace / "big").stat().st_size == MB
    opens = "held = [open('/dev/null') for _ in range(100)]"
    assert "Too many open files" in _run(tier, workspace, opens, Limits(descriptors=64)).output


def test_temporary_folders_of_any_shape_are_removed(
    tier: Tier, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deeper than any path can say, and closed to everybody."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    code = """
import os
os.chdir(os.environ["TMPDIR"])
os.makedirs("closed/inner"); os.symlink("/", "closed/link"); os.chmod("closed", 0)
for _ in range(1050):
    os.mkdir("deep"); os.chdir("deep")
open("file", "w").close()
"""
    ended = _run(tier, workspace, code, Limits())
    assert ended.is_ok, ended.output
    assert list((tmp_path / "temporary").iterdir()) == []


_RUNS = """
import os, sys
from pathlib import Path
from localai.agent.sandbox.tiers import Command, Sandbox
tier, workspace, mark = sys.argv[1:]
words = ("sh", "-c", "touch started; sleep 300; true", mark)
asked = Command(os.path.realpath("/bin/sh"), "/bin/sh", words, workspace, {"PATH": os.defpath})
Sandbox(tier=tier).run(asked, Path(workspace))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_our_own_end_ends_it(
    tier: Tier, workspace: Path, mark: str, number: signal.Signals
) -> None:
    """By Ctrl-C, by a polite signal, and by one that lets us do nothing any more."""
    with subprocess.Popen(
        [sys.executable, "-c", _RUNS, tier, str(workspace), mark],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as ours:
        until = time.monotonic() + 20
        while not (workspace / "started").exists():
            assert time.monotonic() < until, "it did not start"
        assert len(_running(mark)) > 1
        os.killpg(ours.pid, number)
    _wait_until_gone(mark)
