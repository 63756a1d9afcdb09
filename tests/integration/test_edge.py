"""What the edge engine is made to do beyond what every index does."""

from dataclasses import replace
from pathlib import Path

import pytest
import qdrant_edge

from localai.core.errors import Unavailable
from localai.rag import edge
from localai.rag.edge import EdgeIndex
from localai.rag.fusion import Fusion
from localai.rag.index import SPARSE, Point, Search
from localai.rag.sparse import Sparse

WORD = Search(Sparse((7,), (1.0,)), None, Fusion(meaning=0.5), limit=100)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EdgeIndex:
    """One that seals every ten passages."""
    monkeypatch.setattr(edge, "_SEALED_AT", 10)
    sealing = qdrant_edge.EdgeOptimizersConfig(indexing_threshold=1, default_segment_number=64)
    monkeypatch.setattr(edge, "_SEALING", sealing)
    made = EdgeIndex(tmp_path / "passages")
    made.create(64)
    return made


def _points(first: int, number: int = 10) -> list[Point]:
    return [
        Point(f"{each:032x}", [1.0] * 64, Sparse((7, each + 10), (1.0, 1.0)), {"file": "a"})
        for each in range(first, first + number)
    ]


def _sealed(folder: Path) -> int:
    return len(list(folder.glob(f"segments/*/vector_index-{SPARSE}/inverted_index.dat")))


def test_what_is_sealed_is_found_replaced_and_forgotten(index: EdgeIndex, tmp_path: Path) -> None:
    """As what is not; and every opening has less to sort."""
    for times, first in enumerate((0, 10, 20), 1):
        index.write(_points(first))
        assert _sealed(tmp_path / "passages") == times
    assert len(index.search(WORD)) == index.count() == 30
    index.write(_points(10))
    assert len(index.search(WORD)) == index.count() == 30
    index.forget(["a"])
    assert index.count() == 0


def test_what_a_crash_left_of_sealing_goes_with_the_next(index: EdgeIndex, tmp_path: Path) -> None:
    """The engine itself leaves it forever."""
    left = tmp_path / "passages" / "temp_segments" / "segment_builder_x"
    left.mkdir(parents=True)
    index.write(_points(0))
    assert not left.exists()


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_what_a_crash_left_aside_is_found(index: EdgeIndex, tmp_path: Path, moved: int) -> None:
    """By the next who opens it, however far the sealing was."""
    folder = tmp_path / "passages"
    index.write(_points(0))
    index.write(_points(10)[:5])
    (folder / "sealing" / "segments").mkdir(parents=True)
    for each in sorted((folder / "segments").iterdir())[:moved]:
        each.rename(folder / "sealing" / "segments" / each.name)
    assert len(index.search(WORD)) == index.count() == 15
    assert not (folder / "sealing").exists()


def test_what_lost_much_is_made_anew(index: EdgeIndex, tmp_path: Path) -> None:
    """With the next that is sealed; what lost little stays as it is."""
    folder = tmp_path / "passages"
    parts = []
    for first, lost in ((1000, 100), (3000, 300)):
        points = _points(first, 1000)
        changed = [replace(each, payload={"file": "gone"}) for each in points[:lost]]
        index.write([*changed, *points[lost:]])
        parts.append(
            {each.parent.parent for each in folder.glob("segments/*/*/inverted_index.dat")}
        )
    small, large = parts[0], parts[1] - parts[0]
    index.forget(["gone"])
    assert edge._thinned(folder) == [*large]
    index.write(_points(9000))
    assert (edge._thinned(folder), index.count()) == ([], 1610)
    assert [each.exists() for each in (*small, *large)] == [True, False]
    index.forget(["a"])
    assert index.count() == 0


def test_sealing_that_fails_loses_nothing(
    index: EdgeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is told, and the next one seals."""
    monkeypatch.setattr(edge, "_optimise", lambda folder: (folder / "none").rename(folder / "x"))
    with pytest.raises(Unavailable):
        index.write(_points(0))
    monkeypatch.undo()
    assert len(index.search(WORD)) == index.count() == 10
    monkeypatch.setattr(edge, "_SEALED_AT", 10)
    index.write(_points(10))
    assert _sealed(tmp_path / "passages") == 1
    assert index.count() == 20


@pytest.mark.prove
def test_the_log_of_the_engine_stays_small(index: EdgeIndex, tmp_path: Path) -> None:
    """It would take a hundred megabytes for an empty collection."""
    for first in range(0, 100, 10):
        index.write(_points(first))
    log = sum(file.stat().st_size for file in (tmp_path / "passages" / "wal").iterdir())
    assert log < 20_000_000
