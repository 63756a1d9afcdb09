"""Documents are indexed and asked where no network is, and none is ever tried."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hostile_files import WHOLE

pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]

AI = Path(sys.executable).with_name("ai")
TRIED = "connect,sendto,sendmsg,sendmmsg"


def _alone(trace: Path, *command: object) -> str:
    """What a command says in a network that has nothing in it; its calls to others are kept."""
    alone = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    watched = ["strace", "-f", "-qq", "-A", "-e", f"trace={TRIED}", "-o", str(trace)]
    done = subprocess.run(
        [*alone, *watched, *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _reaching(trace: Path) -> list[str]:
    lines = trace.read_text(errors="replace").splitlines()
    return [line for line in lines if "AF_INET" in line or "AF_PACKET" in line]


def test_the_network_is_empty_and_who_tries_it_is_seen(tmp_path: Path) -> None:
    """Else the other test proved nothing."""
    trace = tmp_path / "trace"
    found = _alone(trace, "cat", "/proc/net/dev").splitlines()
    assert [line.split(":")[0].strip() for line in found[2:]] == ["lo"]
    tries = "import socket; socket.socket().connect_ex(('192.0.2.1', 80))"
    _alone(trace, sys.executable, "-c", tries)
    assert len(_reaching(trace)) == 1


def test_nothing_but_this_machine_is_ever_asked(tmp_path: Path) -> None:
    """Index, find and answer, in English and Korean, from plain and from foreign formats."""
    home, trace, folder = tmp_path / "home", tmp_path / "trace", tmp_path / "documents"
    folder.mkdir()
    (folder / "heron.pdf").write_bytes(WHOLE)
    (folder / "여권.md").write_text("# 여권\n\n여권을 잃어버리면 영사관에 신고합니다.\n", "utf-8")
    ai = partial(_alone, trace, AI, "--home", home)
    ai("init")
    assert "2 added" in ai("rag", "index", folder)
    query = ["rag", "query", "--no-answer"]
    assert "heron.pdf" in ai(*query, "Where does the heron stand?")
    assert "여권.md" in ai(*query, "여권을 잃어버리면 어디에 신고하나요?")
    assert "heron.pdf" in ai("rag", "query", "Where does the heron stand?")
    assert _reaching(trace) == []
