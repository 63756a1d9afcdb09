"""What Grafana and Prometheus load is copied whole, or not at all."""

import os
from pathlib import Path

import pytest

from localai.core.errors import Conflict, Invalid, Unavailable
from localai.metrics import shipped


def test_everything_is_written_and_readable_by_all(tmp_path: Path) -> None:
    """A container reads it under another user; whatever the umask says."""
    before = os.umask(0o077)
    try:
        done = shipped.export(tmp_path / "new" / "place")
    finally:
        os.umask(before)
    assert {"compose.yaml", "ai-suite-overview.json", shipped.RUNBOOKS} <= set(done.written)
    for path in (tmp_path / "new").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_an_export_that_was_cut_off_is_completed(tmp_path: Path) -> None:
    """What is there already, and the same, is no reason to refuse."""
    whole = shipped.export(tmp_path)
    (tmp_path / "compose.yaml").unlink()
    done = shipped.export(tmp_path)
    assert done.written == ("compose.yaml",)
    assert len(done.kept) == len(whole.written) - 1


def test_your_own_files_may_lie_beside_what_is_whole(tmp_path: Path) -> None:
    """Nothing is to be written, so nothing is in the way."""
    shipped.export(tmp_path)
    (tmp_path / ".env").write_text("GRAFANA_ADMIN_PASSWORD=made-up\n")
    assert shipped.export(tmp_path).written == ()


def test_a_folder_with_other_files_is_left_as_it_is(tmp_path: Path) -> None:
    """Named are those that are in the way, and nothing is written before."""
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(Conflict, match="has other files: thesis.tex") as refused:
        shipped.export(tmp_path)
    assert "new or empty DIR" in str(refused.value.hint)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_you_changed_is_not_overwritten(tmp_path: Path) -> None:
    """Not even by a version that ships something else."""
    shipped.export(tmp_path)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    with pytest.raises(Conflict, match=r"other files: compose\.yaml"):
        shipped.export(tmp_path)
    assert (tmp_path / "compose.yaml").read_text() == "services: {}\n"


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    """Where a file of ours would lie, a link to one of yours is another file."""
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "compose.yaml").symlink_to(mine)
    with pytest.raises(Conflict):
        shipped.export(tmp_path / "there")
    assert mine.read_text() == "mine"


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """A file is no folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="cannot write to"):
        shipped.export(tmp_path / "file" / "below")


def test_tests_stay_at_home() -> None:
    """They are for whoever changes the rules."""
    assert [name for name in shipped.files() if "tests" in name.split("/")] == []


def test_the_wheels_copy_comes_first(tmp_path: Path) -> None:
    """Where the package carries the files, no checkout is looked for."""
    (tmp_path / "dashboards").mkdir()
    (tmp_path / "dashboards" / "one.json").write_text("{}")
    assert [*shipped.files(tmp_path)] == ["one.json"]


def test_an_installation_without_them_says_so(tmp_path: Path) -> None:
    """Rather than writing an empty folder."""
    with pytest.raises(Unavailable, match="lacks its dashboards"):
        shipped.files(tmp_path)
