"""What lies beneath the workspace, and nothing else."""

import os
from pathlib import Path

import pytest

from localai.agent.builtin import beneath
from localai.agent.tools import Context
from localai.core.errors import Denied, Invalid


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "..", "../x", "a/../../x", "a/..", "/", "//x", "./../x"]
)
def test_paths_that_leave_are_denied(context: Context, path: str) -> None:
    """Absolute paths and every `..`, even one that would come back."""
    with pytest.raises(Denied, match="outside the workspace"):
        beneath.locate(context, path)


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_invalid(context: Context, path: str) -> None:
    """Neither nothing nor a NUL names a file."""
    with pytest.raises(Invalid, match="is not a path"):
        beneath.locate(context, path)


def test_links_that_stay_inside_are_followed(context: Context, workspace: Path) -> None:
    """The place is the file itself, under its real name."""
    (workspace / "real").mkdir()
    (workspace / "link").symlink_to("real")
    assert beneath.locate(context, "link/a.txt").path == workspace / "real" / "a.txt"


@pytest.mark.parametrize("target", ["/etc", "../home", ".."])
def test_links_that_leave_are_denied(context: Context, workspace: Path, target: str) -> None:
    """A link is no way out."""
    (workspace / "link").symlink_to(target)
    with pytest.raises(Denied, match="leads outside"):
        beneath.locate(context, "link/x")


def test_what_belongs_to_localai_is_untouchable(workspace: Path) -> None:
    """Our own folders, wherever they lie, directly and through links."""
    (workspace / "state").mkdir()
    (workspace / "link").symlink_to("state")
    context = Context(workspace, (workspace / "state",))
    for path in ("state", "state/db", "link/db"):
        with pytest.raises(Denied, match="belongs to localai"):
            beneath.locate(context, path)


def test_our_folders_are_known_by_identity_too(workspace: Path) -> None:
    """A protected folder that was renamed is recognised when it is opened."""
    (workspace / "state").mkdir()
    context = Context(workspace, (workspace / "other" / ".." / "state",))
    place = beneath.Place(workspace, ("state",))
    with (
        pytest.raises(Denied, match="belongs to localai"),
        beneath.directory(Context(workspace, (workspace / "state",)), place),
    ):
        pass
    with pytest.raises(Denied):
        beneath.locate(context, "state")


def test_a_workspace_inside_our_folders_is_untouchable(workspace: Path) -> None:
    """Every path in it is ours."""
    with pytest.raises(Denied, match="belongs to localai"):
        beneath.locate(Context(workspace, (workspace.parent,)), "a.txt")


@pytest.mark.parametrize("swapped", ["folder", "file"])
def test_what_was_swapped_for_a_link_after_resolving_is_not_opened(
    context: Context, workspace: Path, tmp_path: Path, swapped: str
) -> None:
    """Between looking and opening, a link never takes the file's place."""
    (workspace / "a").mkdir()
    (workspace / "a" / "f").write_text("inside")
    (tmp_path / "f").write_text("outside")
    place = beneath.locate(context, "a/f")
    victim = workspace / "a" if swapped == "folder" else workspace / "a" / "f"
    victim.rename(tmp_path / "moved")
    victim.symlink_to(tmp_path if swapped == "folder" else tmp_path / "f")
    with (
        pytest.raises(OSError, match=r"Not a directory|Too many levels"),
        beneath.parent(context, place) as (handle, name),
        beneath.opened(name, handle),
    ):
        pass


def test_the_workspace_itself_is_no_file(context: Context) -> None:
    """It can be listed, not read."""
    with (
        pytest.raises(Invalid, match="not a file"),
        beneath.parent(context, beneath.locate(context, ".")),
    ):
        pass


def test_a_named_pipe_is_refused_without_waiting(context: Context, workspace: Path) -> None:
    """Opening it would hang until somebody writes."""
    os.mkfifo(workspace / "pipe")
    with pytest.raises(Invalid, match="not a regular file"):
        beneath.fact(context, beneath.locate(context, "pipe"))


def test_fact_names_identity_and_content(context: Context, workspace: Path) -> None:
    """Device, inode, size and digest; any change gives another fact."""
    file = workspace / "a.txt"
    file.write_text("one")
    place = beneath.locate(context, "a.txt")
    first = beneath.fact(context, place)
    assert (first.path, first.exists, first.size) == (str(file), True, 3)
    file.write_text("two")
    second = beneath.fact(context, place)
    assert second.inode == first.inode
    assert second.sha256 != first.sha256


def test_fact_of_nothing_says_so(context: Context, workspace: Path) -> None:
    """Neither the file nor its folder needs to exist."""
    path = str(workspace / "no" / "such.txt")
    fact = beneath.fact(context, beneath.locate(context, "no/such.txt"))
    assert (fact.path, fact.exists, fact.sha256) == (path, False, None)


def test_fact_of_what_cannot_be_opened_is_invalid(context: Context, workspace: Path) -> None:
    """A file is not a folder."""
    (workspace / "a.txt").write_text("x")
    with pytest.raises(Invalid, match="cannot be read"):
        beneath.fact(context, beneath.Place(workspace, ("a.txt", "b")))


def test_identity_needs_no_content(context: Context, workspace: Path) -> None:
    """A folder has one, and what is missing has none."""
    found = beneath.identity(beneath.locate(context, "."))
    assert found.inode == str(workspace.stat().st_ino)
    assert not beneath.identity(beneath.locate(context, "none")).exists
