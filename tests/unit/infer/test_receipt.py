"""Digests of what a generation came from."""

import hashlib
import os
from pathlib import Path

import pytest

from localai.infer import receipt
from localai.infer.receipt import Weights, file_sha256, state_of, tokens_sha256


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    return path


def _weights(file: Path) -> tuple[Weights, list[Path]]:
    """The weights, and what is read of them from then on."""
    read: list[Path] = []

    def digest(path: Path) -> str:
        read.append(path)
        return file_sha256(path)

    return Weights(file, digest), read


def test_tokens_are_digested_as_four_bytes_each() -> None:
    """Little-endian, so that any other program can do the same."""
    ids = [0, 1, 258, 150_000]
    spelt = b"".join(number.to_bytes(4, "little") for number in ids)
    assert tokens_sha256(ids) == hashlib.sha256(spelt).hexdigest()


def test_a_file_is_read_when_it_is_asked_for_and_once(file: Path) -> None:
    """Loading a model costs no reading of it."""
    weights, read = _weights(file)
    assert read == []
    assert weights.sha256 == weights.sha256 == hashlib.sha256(b"one").hexdigest()
    assert read == [file]


def _in_place(file: Path) -> None:
    times = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def _replaced(file: Path) -> None:
    file.with_name("new").write_bytes(b"two")
    file.with_name("new").replace(file)


@pytest.mark.parametrize("change", [_in_place, _replaced, Path.unlink])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_that_changed_since_has_no_digest(
    file: Path, change: object, is_known: bool
) -> None:
    """What lies there now is not what was loaded, whatever its time says."""
    weights, _ = _weights(file)
    if is_known:
        assert weights.sha256
    change(file)  # type: ignore[operator]
    assert weights.sha256 is None


def test_a_file_that_changes_while_it_is_read_has_no_digest(file: Path) -> None:
    """Half of it was another one."""

    def digest(path: Path) -> str:
        found = file_sha256(path)
        _in_place(path)
        return found

    assert Weights(file, digest).sha256 is None


def test_the_state_of_a_link_is_that_of_its_file(file: Path, tmp_path: Path) -> None:
    """A home holds links."""
    link = tmp_path / "link"
    link.symlink_to(file)
    assert state_of(link) == state_of(file)


def test_no_file_is_held_in_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model may be larger than the memory is."""
    monkeypatch.setattr(Path, "read_bytes", None)
    assert receipt.file_sha256(file) == hashlib.sha256(b"one").hexdigest()
