"""The doctor's check of the sandbox: each way out is tried, in every tier."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai.agent.sandbox import landlock
from localai.agent.sandbox.probe import WAYS, remedy
from localai.agent.sandbox.tiers import GAPS, Found, Sandbox
from localai.app import App
from localai.doctor import machine


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    (tmp_path / "work").mkdir()
    made = App(tmp_path / "home", workspace=tmp_path / "work")
    yield made
    made.close()


def _with(app: App, sandbox: Sandbox) -> App:
    app.__dict__["sandbox"] = sandbox
    return app


@pytest.mark.prove
def test_the_full_tier_is_well(app: App) -> None:
    """No way is open."""
    check = machine.sandbox(_with(app, Sandbox(tier="full")))
    assert (check.status, check.hint) == ("ok", None)
    assert f"{len(WAYS)} ways out were tried, none is open" in check.message


@pytest.mark.skipif(landlock.version() < 1 and os.environ.get("PROVE") != "1", reason="no Landlock")
def test_the_reduced_tier_is_a_warning_that_says_what_it_lacks(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what installs the rest; the ways that are tried are closed there, too."""
    monkeypatch.setattr("localai.agent.sandbox.tiers._bubblewrap", lambda: None)
    check = machine.sandbox(_with(app, Sandbox()))
    assert check.status == "warning"
    assert check.message.startswith("reduced, for bubblewrap is not installed: ")
    assert GAPS[0] in check.message
    assert check.hint
    assert "bubblewrap" in check.hint


@pytest.mark.parametrize(("mode", "status"), [("normal", "warning"), ("strict", "failed")])
def test_no_tier_is_a_warning_and_in_strict_mode_a_failure(
    app: App, mode: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strict mode runs nothing then."""
    monkeypatch.setenv("LOCALAI_SECURITY_MODE", mode)
    check = machine.sandbox(_with(app, Sandbox(enabled=False)))
    assert (check.status, check.hint) == (status, "ai config set sandbox.enabled true")


def test_an_open_way_is_a_failure(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that holds nothing is found out by trying."""
    bare = Sandbox(enabled=False)
    bare.__dict__["found"] = Found("full")
    monkeypatch.setattr(bare, "_full", lambda command, _: bare._bare(command))
    check = machine.sandbox(_with(app, bare))
    assert check.status == "failed"
    assert "a port of this machine" in check.message
    assert "a file outside of the workspace" in check.message


@pytest.mark.parametrize(
    ("said", "why", "hint"),
    [
        (
            "bwrap: Unknown option --disable-userns",
            "bubblewrap is older than 0.8 (Unknown option --disable-userns)",
            "docs/ops/sandbox.md",
        ),
        (
            "bwrap: setting up uid map: Permission denied",
            "this system lets bubblewrap make no namespaces (setting up uid map: ",
            "docs/ops/sandbox.md",
        ),
        ("", "bubblewrap does not work here (", "docs/ops/sandbox.md"),
    ],
    ids=["old", "forbidden", "silent"],
)
def test_a_bubblewrap_that_does_not_work_is_told_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, why: str, hint: str
) -> None:
    """As it is before 0.8, under Ubuntu's AppArmor, or broken: the next tier takes over."""
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("localai.agent.sandbox.tiers._bubblewrap", lambda: str(program))
    found = Sandbox().found
    assert found.tier == ("reduced" if landlock.version() else "none")
    assert found.why.startswith(why)
    assert hint in remedy(found)
