"""config.toml is the operator's: what they wrote stays."""

import stat
import tomllib
from pathlib import Path

import pytest

from localai.core.config_file import sample, write_setting
from localai.core.errors import Invalid, NotFound, Unavailable
from localai.core.settings import KEYS, Settings

WRITTEN = """\
# Written by hand.
profile = "dev"  # mine

[log]
# Loud while we look for something.
level = "debug"

[approvals]
timeout = "10m"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "config.toml"
    written.write_text(WRITTEN)
    return written


def test_a_value_is_changed_and_the_rest_stays(file: Path) -> None:
    """Comments, order and blank lines are the operator's."""
    write_setting(file, "log.level", "error")
    assert file.read_text() == WRITTEN.replace('"debug"', '"error"')


@pytest.mark.parametrize(
    ("name", "value"),
    [("profile", "prod"), ("approvals.grant", "1h"), ("engine.context", "4096")],
)
def test_a_value_is_added_where_it_is_read(file: Path, name: str, value: str) -> None:
    """In its table, which is made if it is not there; at the top for a name without one."""
    write_setting(file, name, value)
    assert Settings(file, environment={}).show(name).value == value
    assert "# Loud while we look for something.\nlevel" in file.read_text()


def test_a_top_level_value_is_added_above_the_tables(tmp_path: Path) -> None:
    """Below them it would belong to the last one."""
    file = tmp_path / "config.toml"
    file.write_text('[log]\nlevel = "debug"\n')
    write_setting(file, "profile", "prod")
    assert tomllib.loads(file.read_text()) == {"profile": "prod", "log": {"level": "debug"}}


def test_the_first_value_makes_the_file(tmp_path: Path) -> None:
    """For the owner alone."""
    file = tmp_path / "config" / "config.toml"
    write_setting(file, "approvals.enabled", "false")
    assert tomllib.loads(file.read_text()) == {"approvals": {"enabled": "false"}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_wrong_value_changes_nothing(file: Path) -> None:
    """It is refused before the file is touched."""
    with pytest.raises(Invalid, match="is not a duration"):
        write_setting(file, "approvals.timeout", "soon")
    assert file.read_text() == WRITTEN


def test_an_unknown_name_changes_nothing(file: Path) -> None:
    """A misspelt setting is not written down to be ignored."""
    with pytest.raises(NotFound, match=r"did you mean log\.level\?"):
        write_setting(file, "log.levle", "info")
    assert file.read_text() == WRITTEN


@pytest.mark.parametrize("text", ["profile = ", "log = 3\n", b"\xff"])
def test_a_file_that_cannot_be_read_is_left_as_it_is(tmp_path: Path, text: str | bytes) -> None:
    """Broken TOML, a value where a table belongs, no text at all."""
    file = tmp_path / "config.toml"
    before = text if isinstance(text, bytes) else text.encode()
    file.write_bytes(before)
    with pytest.raises(Invalid, match="cannot be changed"):
        write_setting(file, "log.level", "info")
    assert file.read_bytes() == before


def test_a_place_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """A folder that is a file, say."""
    (tmp_path / "config").write_text("")
    with pytest.raises(Unavailable, match="cannot be written"):
        write_setting(tmp_path / "config" / "deeper" / "config.toml", "log.level", "info")


def test_the_sample_changes_nothing_as_it_is(tmp_path: Path) -> None:
    """Everything in it is a comment, its tables apart."""
    file = tmp_path / "config.toml"
    file.write_text(sample())
    settings = Settings(file, environment={})
    assert settings.check() == []
    assert {setting.source for setting in settings.all()} == {"default"}


def test_the_sample_has_every_setting_at_its_default(tmp_path: Path) -> None:
    """Uncommented, it is a config.toml that says what holds anyway."""
    file = tmp_path / "config.toml"
    lines = (line.removeprefix("# ") if " = " in line else line for line in sample().splitlines())
    file.write_text("\n".join(lines))
    settings = Settings(file, environment={})
    assert {each.key: each.value for each in settings.all()} == {
        name: key.default for name, key in KEYS.items()
    }
    assert {setting.source for setting in settings.all()} == {str(file)}


def test_the_sample_explains_every_setting() -> None:
    """In the words of `ai config show`."""
    assert all(f"# {key.help}\n" in sample() for key in KEYS.values())
