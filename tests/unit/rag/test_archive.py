"""The form of an archive: what goes in comes out, in memory that does not grow with it."""

import tracemalloc
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai.core.errors import Conflict, NotFound, Unavailable
from localai.rag.archive import FORMAT, Manifest, packed, unpacked, writing
from localai.rag.catalog import File
from localai.rag.index import Point
from localai.rag.sparse import Sparse
from localai.rag.unpack import opened

FILE = File("/d/여권.md", "/d", "여권.md", "ab" * 32, 3, is_trusted=False)


def manifest(points: int) -> Manifest:
    """What an archive of one file and some passages says."""
    return Manifest(
        format=FORMAT,
        localai="0.1.0",
        created_at="2026-01-01T00:00:00Z",
        name="trips",
        description="where we were",
        model="localai/static-192",
        dim=2,
        is_multilingual=False,
        tokenizer_version=1,
        average_terms=7.5,
        files=1,
        points=points,
    )


def point(number: int, dense: tuple[float, ...] | None = (0.6, -0.8)) -> Point:
    """A passage of a kilobyte."""
    payload = {"file": "f", "version": "v", "root": "/d", "source": "여권.md", "title": "t"}
    text = {"text": f"여권 {number} " * 99, "start_line": number, "end_line": number}
    id_ = str(uuid.UUID(int=number))
    return Point(id_, dense, Sparse((1, 2**32 - 1), (0.5, 1.25)), payload | text)


def write(target: Path, points: Iterator[Point], count: int) -> None:
    """An archive of the passages."""
    with writing(target) as pack:
        assert pack.add_points(points) == count
        pack.add_files([FILE])
        pack.add_manifest(manifest(count))


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    """To the last bit of 32, with a direction and without."""
    points = [point(1), point(2, None)]
    write(tmp_path / "a.zip", iter(points), 2)
    with opened(tmp_path / "a.zip") as archive:
        assert archive.manifest == manifest(2)
        assert list(archive.files()) == [FILE]
        first, second = archive.points()
    assert second == points[1]
    assert first.dense == pytest.approx((0.6, -0.8), abs=1e-7)


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    """Neither in writing nor in reading: 5,000 passages of a kilobyte and never many at once."""
    count, file = 5_000, tmp_path / "a.zip"
    tracemalloc.start()
    try:
        write(file, map(point, range(1, count + 1)), count)
        with opened(file) as archive:
            assert sum(1 for _ in archive.points()) == count
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_500_000


@pytest.mark.parametrize("kind", ["f", "I"])
def test_numbers_are_packed_little_endian(kind: str) -> None:
    """On every machine; the archive says so nowhere else."""
    assert unpacked(packed([1, 2], kind), kind) == (1, 2)
    assert packed([1], "I") == "AQAAAA=="
    with pytest.raises(ValueError, match="cut off"):
        unpacked("AQAA", kind)


def test_a_place_without_a_folder_is_said(tmp_path: Path) -> None:
    """No folder is made by mistyping one."""
    with pytest.raises(NotFound, match="no folder"), writing(tmp_path / "none" / "a.zip"):
        raise AssertionError


def test_what_came_there_meanwhile_is_kept(tmp_path: Path) -> None:
    """Also when the file system knows no links."""
    file = tmp_path / "a.zip"
    with pytest.raises(Conflict), writing(file):
        file.write_text("mine", encoding="utf-8")
    assert (file.read_text(encoding="utf-8"), [*tmp_path.iterdir()]) == ("mine", [file])


def test_a_disk_without_links_holds_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stick with FAT is where one would put them."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    write(tmp_path / "a.zip", iter([point(1)]), 1)
    with opened(tmp_path / "a.zip") as archive:
        assert archive.manifest.points == 1
    assert [*tmp_path.iterdir()] == [tmp_path / "a.zip"]


def test_a_full_disk_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and the half of an archive is removed."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("localai.rag.archive.os.fsync", full)
    with pytest.raises(Unavailable, match="No space"):
        write(tmp_path / "a.zip", iter([point(1)]), 1)
    assert [*tmp_path.iterdir()] == []
