"""Whether what a server stands on can be used."""

import threading
from pathlib import Path

import pytest
from web_server import closed_port

from localai.api import readiness
from localai.api.readiness import Examiner
from localai.app import App


def _examiner(folder: Path, **flags: str) -> Examiner:
    app = App(folder / "home", flags={key.replace("__", "."): it for key, it in flags.items()})
    app.initialise()
    return Examiner(app)


def test_everything_is_looked_at(tmp_path: Path) -> None:
    """A new home can work: the model that ships is a warning, and no more."""
    found = _examiner(tmp_path).look()
    states = {each.name: each.state for each in found.dependencies}
    wanted = {"database": "ok", "models": "warning", "index": "ok", "notifications": "ok"}
    assert (found.ready, states) == (True, wanted)


def test_what_is_away_is_named(tmp_path: Path) -> None:
    """And the server is not ready, whatever else works."""
    url = f"http://127.0.0.1:{closed_port()}"
    found = _examiner(tmp_path, engine__url=f"{url}/v1", engine__timeout="1s").look()
    failed = [each.name for each in found.dependencies if each.state == "failed"]
    assert (found.ready, failed) == (False, ["models"])


def test_a_home_without_its_database_is_not_ready(tmp_path: Path) -> None:
    """It says so instead of raising."""
    examiner = _examiner(tmp_path)
    examiner._rooms.tally.close()
    examiner._rooms.database.close()
    examiner._rooms.database.path.write_bytes(b"not a database" * 100)
    assert not examiner.look().ready


def test_asking_often_looks_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody waits for somebody else's look."""
    examiner = _examiner(tmp_path)
    first = examiner.look()
    assert examiner.look() is first
    monkeypatch.setattr(examiner, "_until", 0.0)
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: App) -> tuple[readiness.State, str]:
        begun.set()
        go_on.wait()
        return "failed", "slow"

    monkeypatch.setattr(readiness, "_models", slow)
    thread = threading.Thread(target=examiner.look)
    thread.start()
    begun.wait()
    assert examiner.look() is first
    go_on.set()
    thread.join()
    assert not examiner.look().ready
