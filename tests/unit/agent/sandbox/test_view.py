"""What a confined program sees."""

import os
from pathlib import Path

import pytest

from localai.agent.builtin import sensitive
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
    """All of .git, or where git itself changes it what runs programs; a link is left alone."""
    (workspace / ".git" / "hooks").mkdir(parents=True)
    for name in (".git/config", ".git/HEAD", ".envrc", "main.py"):
        (workspace / name).touch()
    (workspace / ".bashrc").symlink_to("main.py")

    def names(*, changes_git: bool) -> set[str]:
        kept = view(workspace, changes_git=changes_git).kept
        return {os.path.relpath(path, workspace) for path in kept}

    assert names(changes_git=False) == {".git", ".envrc"}
    assert names(changes_git=True) == {".git/hooks", ".git/config", ".envrc"}


def test_what_is_told_as_obeyed_is_kept_where_it_is_there(workspace: Path) -> None:
    """Two lists of names, which must not drift apart."""
    names = {*sensitive._OBEYED, *sensitive._OBEYED_FOLDERS} - {"launchagents", "launchdaemons"}
    for name in names:
        (workspace / name).mkdir()
    assert {os.path.relpath(path, workspace) for path in view(workspace).kept} == names


def test_a_git_that_is_a_file_is_kept_even_from_git(workspace: Path) -> None:
    """It says where the repository of a worktree is."""
    (workspace / ".git").write_text("gitdir: elsewhere\n")
    assert view(workspace, changes_git=True).kept == (str(workspace / ".git"),)


def test_what_lies_in_something_hidden_is_hidden_with_it(workspace: Path) -> None:
    """Once: nothing is mounted on what is not there any more."""
    (workspace / "home" / "keys").mkdir(parents=True)
    found = view(workspace, protected=[workspace / "home" / "keys", workspace / "home"])
    assert found.hidden == (str(workspace / "home"),)
    assert not found.shows(str(workspace / "home" / "keys" / "x"))


def test_what_may_be_read_goes_around_what_is_hidden(workspace: Path, tmp_path: Path) -> None:
    """Folder by folder, and through no link."""
    tools = tmp_path / "tools"
    for name in ("bin", "lib/ours", "lib/theirs"):
        (tools / name).mkdir(parents=True)
    (tools / "lib" / "link").symlink_to("ours")
    found = view(workspace, readable=[tools], protected=[tools / "lib" / "ours"])
    read, listed = found.around()
    own = {path for path in read if path.startswith(str(tmp_path))}
    assert own == {str(tools / "bin"), str(tools / "lib" / "theirs")}
    assert set(listed) == {str(tools), str(tools / "lib")}


def test_a_readable_link_is_read_where_it_leads(workspace: Path, tmp_path: Path) -> None:
    """And is there by its own name, too."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "name").symlink_to("tools")
    found = view(workspace, readable=[tmp_path / "name"])
    assert found.shows(str(tmp_path / "tools" / "x"))
    assert (str(tmp_path / "name"), "tools") in found.links


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
