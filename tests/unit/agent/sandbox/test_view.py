"""What a confined program sees."""

import os
from pathlib import Path

import pytest

from localai.agent.sandbox.view import view
from localai.core.errors import Denied


def test_the_system_and_the_workspace_are_seen_and_nothing_else(workspace: Path) -> None:
    """Homes, /etc with its secrets, and other folders of the disk are not."""
    found = view(workspace)
    assert found.shows("/usr/bin/env")
    assert found.shows(str(workspace / "a.txt"))
    for path in ("/etc/shadow", "/etc/ssl/private/key", str(Path.home()), "/var", "/", "/usrx"):
        assert not found.shows(path)


def test_what_is_protected_is_hidden_wherever_it_lies(workspace: Path) -> None:
    """In the workspace, too, and by the name of a link to it."""
    (workspace / "state").mkdir()
    (workspace / "link").symlink_to("state")
    found = view(workspace, protected=[workspace / "link", Path("/elsewhere")])
    assert found.hidden == (str(workspace / "link"), str(workspace / "state"))
    assert not found.shows(str(workspace / "state" / "localai.db"))


def test_a_readable_folder_is_seen(workspace: Path, tmp_path: Path) -> None:
    """The operator's own tool chain, say."""
    (tmp_path / "tools").mkdir()
    assert not view(workspace).shows(str(tmp_path / "tools" / "x"))
    assert view(workspace, readable=[tmp_path / "tools"]).shows(str(tmp_path / "tools" / "x"))


def test_what_others_obey_is_kept_as_it_is(workspace: Path) -> None:
    """Of git what runs programs, and files that shells and editors read; links are followed."""
    (workspace / ".git" / "hooks").mkdir(parents=True)
    for name in (".git/config", ".git/HEAD", ".envrc", "main.py"):
        (workspace / name).touch()
    (workspace / ".bashrc").symlink_to("main.py")
    names = {os.path.relpath(path, workspace) for path in view(workspace).kept}
    assert names == {".git/hooks", ".git/config", ".envrc"}


def test_a_git_that_is_a_link_is_not_looked_into(workspace: Path, tmp_path: Path) -> None:
    """It leads where the program sees nothing."""
    (tmp_path / "git" / "hooks").mkdir(parents=True)
    (workspace / ".git").symlink_to(tmp_path / "git")
    assert view(workspace).kept == ()


def test_a_home_is_never_given_away(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what it lies in: its dotfiles are what the sandbox is for."""
    monkeypatch.setenv("HOME", str(workspace / "me"))
    (workspace / "me" / "project").mkdir(parents=True)
    for wide in (workspace / "me", workspace, Path("/")):
        with pytest.raises(Denied, match="too much to give to a program"):
            view(wide)
    assert view(workspace / "me" / "project").workspace == str(workspace / "me" / "project")


def test_what_is_ours_is_no_workspace(workspace: Path) -> None:
    """A program that worked there could decide for people."""
    with pytest.raises(Denied, match="belongs to localai itself"):
        view(workspace / "data", protected=[workspace])
