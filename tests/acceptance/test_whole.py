"""The product as it is installed: the demo, the doctor, the wheel, and silence on the network."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import AI, Ai

from localai.metrics import shipped

ROOT = Path(__file__).parents[2]


def test_the_demo_shows_the_whole_product(fresh: Ai) -> None:
    """Documents in two languages, an approval, the audit; and it leaves nothing behind."""
    shown = fresh("demo")
    assert shown.code == 0
    for words in (
        "ai rag query",
        "opens at 9:30. [1]",
        "책상이 24개 있다. [1]",
        "ai approve",
        "cat shopping.txt\n  buy milk\n",
        "runs in a sandbox",
    ):
        assert words in shown.out
    assert "approval.approved -> approval.claimed -> approval.succeeded" in shown.out
    assert not fresh.home.exists()


@pytest.mark.prove
def test_nothing_is_written_outside_of_the_home(ai: Ai, tmp_path: Path) -> None:
    """No library keeps an identity, a cache or a report of its use in the operator's folders."""
    login = tmp_path / "login"
    login.mkdir()
    (ai.workspace / "a.md").write_text("# A fact\n\nThe lamp is green.\n")
    ai.environment.pop("CI", None)  # where it is set, libraries hide what they do for people
    for command in (("demo",), ("doctor",), ("rag", "index", "."), ("rag", "query", "lamp")):
        assert ai(*command, HOME=str(login)).code == 0
    assert list(login.rglob("*")) == []


@pytest.mark.prove
def test_the_demo_as_json_says_how_long_it_took(fresh: Ai) -> None:
    """Under 30 seconds is the promise; the figure is there to be read."""
    shown = fresh("demo", "--json").json
    assert shown["ok"]
    assert shown["seconds"] > 0


def test_the_doctor_proves_every_part(ai: Ai) -> None:
    """Each check did something, and nothing needed failed."""
    report = ai("doctor", "--json").json
    assert report["ok"]
    names = {check["name"] for check in report["checks"]}
    assert {"python", "sqlite", "home", "database", "audit", "engine", "gpu", "documents"} <= names


@pytest.mark.prove
def test_the_doctor_fails_and_says_what_to_type_when_something_needed_is_broken(ai: Ai) -> None:
    """Exit 6 and a hint for each failure; `--fix` closes what stood open."""
    (ai.home / "data").chmod(0o755)
    broken = ai("doctor")
    assert broken.code == 6
    assert "open to other users" in broken.out
    assert "hint: ai doctor --fix" in broken.out
    assert ai("doctor", "--fix").code == 0
    assert (ai.home / "data").stat().st_mode & 0o077 == 0


@pytest.mark.prove
def test_the_doctor_names_a_wrong_setting(ai: Ai) -> None:
    """A misspelt variable is found before it is missed."""
    report = ai("doctor", "--json", LOCALAI_APROVALS_TIMEOUT="5m").json
    failed = [check for check in report["checks"] if check["status"] == "failed"]
    assert [check["name"] for check in failed] == ["settings"]


@pytest.mark.prove
def test_the_wheel_alone_is_the_product(tmp_path: Path) -> None:
    """Built, installed into a new environment elsewhere, it runs the demo without the clone."""
    run = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns(
        ".venv", "build", "dist", ".git", ".*_cache", "__pycache__", ".coverage*"
    )
    shutil.copytree(ROOT, source, ignore=ignore)
    subprocess.run([*run, "wheel", "--no-deps", "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("localai_suite-*.whl")
    place = tmp_path / "elsewhere"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    pip = [place / "bin/python", *run[1:]]
    subprocess.run([*pip, "install", "--constraint", ROOT / "constraints.txt", wheel], check=True)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
    shown = subprocess.run(
        [place / "bin/ai", "demo"], cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert "Done: wrote 8 bytes to shopping.txt" in shown.stdout
    export = [place / "bin/ai", "dashboards", "export", tmp_path / "watch"]
    subprocess.run(export, cwd=tmp_path, env=clean, check=True, capture_output=True)
    copied = {str(path.relative_to(tmp_path / "watch")) for path in (tmp_path / "watch").rglob("*")}
    assert {*shipped.files()} <= copied


@pytest.mark.prove
@pytest.mark.parametrize("command", [("demo",), ("doctor",), ("rag", "index", ".")])
def test_nothing_leaves_this_machine(ai: Ai, tmp_path: Path, command: tuple[str, ...]) -> None:
    """No process that the command starts opens a connection to anywhere but loopback."""
    trace = tmp_path / "trace"
    ai.environment.pop("CI", None)
    (ai.workspace / "a.md").write_text("# A fact\n\nThe lamp is green.\n")
    done = subprocess.run(
        ["strace", "-f", "-e", "trace=connect,sendto,sendmsg", "-o", trace, AI, *command],
        cwd=ai.workspace,
        env=ai.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    reached = re.findall(r'sin6?_addr=inet_\w+\([^"]*"([^"]+)"', trace.read_text())
    assert [address for address in reached if address not in {"127.0.0.1", "::1"}] == []


def test_json_is_one_document_even_for_an_error(ai: Ai) -> None:
    """A script parses standard output whatever happens."""
    error = json.loads(ai("models", "info", "nobody", "--json").out)["error"]
    assert set(error) == {"category", "message", "hint"}
    assert error["category"] == "not_found"
