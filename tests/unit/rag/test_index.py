"""The choice between engines, and the lock around both."""

import importlib.util
import sys
from pathlib import Path

import pytest

from localai.core.errors import Conflict, Unavailable
from localai.rag import index
from localai.rag.index import alone, destroy, open_index, preferred_engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "abc"
    made.mkdir()
    return made


def test_the_engine_inside_the_process_is_preferred_where_its_wheel_is() -> None:
    """It is a thousand times faster at 50,000 passages."""
    assert preferred_engine() == "edge"


def test_without_the_wheel_the_client_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the wheel still has documents."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert preferred_engine() == "local"


def test_a_collection_of_an_engine_that_is_not_installed_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home may move to a machine where the wheel is missing."""
    monkeypatch.delitem(sys.modules, "localai.rag.edge", raising=False)
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    with pytest.raises(Unavailable) as caught:
        open_index("edge", folder)
    assert caught.value.hint == "pip install qdrant-edge-py"


def test_the_lock_lets_one_in_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long is told, and not left hanging."""
    monkeypatch.setattr(index, "_PATIENCE_S", 0.05)
    with alone(folder), pytest.raises(Conflict, match="another ai process"), alone(folder):
        pass
    with alone(folder):
        pass


def test_a_lock_that_comes_free_in_time_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question waits for a batch instead of failing."""
    held = alone(folder)
    held.__enter__()
    monkeypatch.setattr(index.time, "sleep", lambda _: held.__exit__(None, None, None))
    with alone(folder):
        pass


def test_an_index_that_is_gone_says_how_to_begin_anew(tmp_path: Path) -> None:
    """Somebody removed the folder by hand, or another process the collection."""
    with pytest.raises(Conflict) as caught, alone(tmp_path / "gone"):
        pass
    assert "ai rag index" in (caught.value.hint or "")


def test_destroying_leaves_nothing_and_asks_for_nothing(folder: Path, tmp_path: Path) -> None:
    """The lock goes too, and a second time is no error."""
    (folder / "segment").write_text("x", encoding="utf-8")
    destroy(folder)
    destroy(folder)
    assert list(tmp_path.iterdir()) == []
