"""Memories of conversations on disk: only what is ours, whole and fitting is ever loaded."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localai.core.errors import Unavailable
from localai.infer.parking import Parked, Parking

KEY = b"k" * 32
HERE = Parked([1, 2, 70_000], bytearray(b"memory" * 50))
SIZE = 16 + 32 + 8 + 4 * 3 + 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where they lie."""
    return tmp_path / "conversations"


@pytest.fixture
def parking(folder: Path) -> Parking:
    """Room for three."""
    return Parking(folder, lambda: KEY, 3 * SIZE)


def _used_at(folder: Path, name: str, seconds: int) -> None:
    os.utime(folder / f"{name}.parked", (seconds, seconds))


def test_a_memory_comes_back_as_it_was(parking: Parking, folder: Path) -> None:
    """In a private file of a private folder."""
    assert parking.get("a", "fit") is None
    parking.put("a", "fit", HERE)
    assert parking.get("a", "fit") == HERE
    [file] = folder.iterdir()
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert file.stat().st_size == SIZE
    parking.drop("a")
    parking.drop("a")
    assert parking.get("a", "fit") is None


@pytest.mark.parametrize("fit", ["other", "", "fit "])
def test_a_memory_of_another_model_is_removed(parking: Parking, folder: Path, fit: str) -> None:
    """Nobody could load it any more."""
    parking.put("a", "fit", HERE)
    assert parking.get("a", fit) is None
    assert list(folder.iterdir()) == []


def test_a_memory_of_another_home_or_conversation_is_none(parking: Parking, folder: Path) -> None:
    """Not even if its file has the right name."""
    Parking(folder, lambda: b"x" * 32, 10_000).put("a", "fit", HERE)
    assert parking.get("a", "fit") is None
    parking.put("a", "fit", HERE)
    (folder / "a.parked").rename(folder / "b.parked")
    assert parking.get("b", "fit") is None


@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_file_is_never_loaded(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut anywhere, or any bit of it turned."""
    folder = tmp_path_factory.mktemp("damaged")
    parking = Parking(folder, lambda: KEY, 10_000)
    parking.put("a", "fit", HERE)
    file = folder / "a.parked"
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    file.write_bytes(content)
    assert parking.get("a", "fit") is None
    assert not file.exists()


def test_what_was_used_least_lately_goes_first(parking: Parking, folder: Path) -> None:
    """Loading is use; a conversation's own older memory makes room for its newer one."""
    for number, name in enumerate("abc"):
        parking.put(name, "fit", HERE)
        _used_at(folder, name, 1000 + number)
    parking.put("c", "fit", HERE)
    _used_at(folder, "c", 1002)
    assert len(list(folder.iterdir())) == 3
    assert parking.get("a", "fit") == HERE
    parking.put("d", "fit", HERE)
    assert sorted(file.stem for file in folder.iterdir()) == ["a", "c", "d"]


def test_what_is_larger_than_all_the_room_is_not_kept(folder: Path) -> None:
    """And nothing is thrown away for it."""
    Parking(folder, lambda: KEY, SIZE).put("a", "fit", HERE)
    small = Parking(folder, lambda: KEY, SIZE - 1)
    small.put("b", "fit", HERE)
    assert [file.name for file in folder.iterdir()] == ["a.parked"]
    assert small.is_open
    assert not Parking(folder, lambda: KEY, 0).is_open


def test_a_smaller_budget_is_kept_at_once(parking: Parking, folder: Path) -> None:
    """Also the one of nothing."""
    parking.trim()
    for number, name in enumerate("abc"):
        parking.put(name, "fit", HERE)
        _used_at(folder, name, 1000 + number)
    Parking(folder, lambda: KEY, 2 * SIZE).trim()
    assert sorted(file.stem for file in folder.iterdir()) == ["b", "c"]
    Parking(folder, lambda: KEY, 0).trim()
    assert list(folder.iterdir()) == []


def test_nothing_is_kept_of_what_was_removed(folder: Path) -> None:
    """While another process still talked."""
    Parking(folder, lambda: KEY, 10_000, lambda name: name != "a").put("a", "fit", HERE)
    assert not folder.exists()


def test_half_a_file_of_a_crash_counts_and_goes(parking: Parking, folder: Path) -> None:
    """Its room is not lost for good."""
    folder.mkdir()
    (folder / "tmpabc").write_bytes(b"x" * 2 * SIZE)
    os.utime(folder / "tmpabc", (1, 1))
    parking.put("a", "fit", HERE)
    parking.put("b", "fit", HERE)
    assert sorted(file.name for file in folder.iterdir()) == ["a.parked", "b.parked"]


def test_trouble_with_disk_or_key_only_costs_the_memory(folder: Path) -> None:
    """A conversation goes on without."""

    def locked() -> bytes:
        raise Unavailable("the keyring is locked")

    Parking(folder, locked, 10_000).put("a", "fit", HERE)
    assert Parking(folder, locked, 10_000).get("a", "fit") is None
    Parking(folder, lambda: KEY, 10_000).put("a", "fit", HERE)
    assert Parking(folder, locked, 10_000).get("a", "fit") is None
    folder.joinpath("file").write_text("")
    Parking(folder / "file", lambda: KEY, 10_000).put("a", "fit", HERE)
    assert Parking(folder / "file", lambda: KEY, 10_000).get("a", "fit") is None
