"""One home, or the platform's places."""

from pathlib import Path

import pytest

from localai.core.directories import locate


def test_a_named_home_holds_everything(tmp_path: Path) -> None:
    """No folder lies outside of it, and the keys lie apart from the database."""
    home = locate(tmp_path / "home")
    assert home.is_own_home
    assert all(folder.is_relative_to(tmp_path / "home") for folder in home.all)
    assert home.config_file == tmp_path / "home" / "config.toml"
    assert not home.database_file.is_relative_to(home.keys)
    assert not home.keys.is_relative_to(home.data)


def test_the_flag_wins_over_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--home` for one command, LOCALAI_HOME for a shell."""
    monkeypatch.setenv("LOCALAI_HOME", str(tmp_path / "variable"))
    assert locate(None).config == tmp_path / "variable"
    assert locate(tmp_path / "flag").config == tmp_path / "flag"


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change of directory changes nothing."""
    monkeypatch.chdir(tmp_path)
    assert locate(Path("home")).data == tmp_path / "home" / "data"


def test_a_tilde_is_the_persons_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no shell has expanded it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(Path("~/ai")).config == tmp_path / "ai"


def test_without_a_home_the_platform_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under our application's name, which is not the other project's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOCALAI_HOME", "")
    places = locate(None)
    assert not places.is_own_home
    assert all("localai-suite" in folder.parts for folder in places.all)
    assert all(folder.is_relative_to(tmp_path) for folder in places.all)
    assert places.keys not in places.data.parents


def test_every_folder_is_listed_once(tmp_path: Path) -> None:
    """Each is made, closed and checked once."""
    folders = locate(tmp_path).all
    assert len(set(folders)) == len(folders)
