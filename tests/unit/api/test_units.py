"""What keeps a server running."""

import plistlib
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from localai.api.server import Place
from localai.api.units import unit
from localai.app import App
from localai.core.errors import Invalid
from localai.core.serving import Encryption

OPEN = Place(
    "0.0.0.0", 8443, is_open=True, encryption=Encryption(Path("cert.pem"), Path("key.pem"))
)


def _app(folder: Path, workspace: str = "work space") -> App:
    made = folder / workspace
    made.mkdir()
    return App(folder / "ho%me", workspace=made)


def _command(text: str) -> list[str]:
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    words = shlex.split(parser["Service"]["ExecStart"])
    return [word.replace("%%", "%").replace("$$", "$") for word in words]


@pytest.mark.parametrize("place", [Place(), OPEN])
def test_both_units_start_the_same_server(tmp_path: Path, place: Place) -> None:
    """With whole paths, in the folder where it was asked for, and encrypted if this one is."""
    app = _app(tmp_path)
    command = _command(unit(app, place, "systemd"))
    agent = plistlib.loads(unit(app, place, "launchd").encode())
    assert command == agent["ProgramArguments"]
    assert command[:3] == [sys.executable, "-m", "localai"]
    assert f"--home={tmp_path}/ho%me" in command
    assert f"--workspace={tmp_path}/work space" in command
    assert ("--open-to-network" in command) == place.is_open
    files = [word.partition("=")[2] for word in command if word.startswith("--tls-")]
    assert len(files) == (2 if place.encryption else 0)
    assert all(Path(file).is_absolute() for file in files)
    assert Path(agent["WorkingDirectory"]) == app.workspace


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """As its own verifier reads it, where there is one; else as a parser does."""
    text = unit(_app(tmp_path), Place(), "systemd")
    assert "NoNewPrivileges=yes" in text
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        assert _command(text)
        return
    file = tmp_path / "localai.service"
    file.write_text(text)
    (tmp_path / "run").mkdir(mode=0o700)
    done = subprocess.run(
        [verifier, "verify", "--user", file],
        env={"XDG_RUNTIME_DIR": str(tmp_path / "run"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if "localai.service" in line]
    assert (done.returncode, told) == (0, [])


def test_a_line_cannot_be_added_by_a_folders_name(tmp_path: Path) -> None:
    """Whoever names a folder writes no unit."""
    app = _app(tmp_path, "a\nExecStartPre=evil")
    with pytest.raises(Invalid):
        unit(app, Place(), "systemd")


def test_a_kind_that_there_is_not_is_told(tmp_path: Path) -> None:
    """With those that there are."""
    with pytest.raises(Invalid) as told:
        unit(_app(tmp_path), Place(), "openrc")
    assert told.value.hint == "one of systemd, launchd"
