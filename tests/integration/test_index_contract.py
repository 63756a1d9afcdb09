"""One contract, held by each engine."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from lines import line_to
from qdrant_server import standing

from localai.core.errors import Conflict, LocalaiError, Unavailable
from localai.rag import client
from localai.rag.attached import AttachedIndex, Held, methods
from localai.rag.client import QdrantServer, ServerIndex
from localai.rag.fusion import Fusion
from localai.rag.index import Index, Point, Search, every, open_index
from localai.rag.sparse import Sparse

DIM = 4
UNKNOWN = 77
FUSION = Fusion(meaning=0.5)
X, Y = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)


def point(
    name: str, dense: tuple[float, ...] | None, *terms: int, file: str = "f", version: str = "1"
) -> Point:
    """A point that is known by its name."""
    sparse = Sparse(tuple(sorted(terms)), (1.0,) * len(terms))
    payload = {"file": file, "version": version, "name": name}
    return Point(str(uuid.uuid5(uuid.NAMESPACE_URL, name)), dense, sparse, payload)


def search(
    dense: tuple[float, ...] | None = None, *terms: int, limit: int = 10, fusion: Fusion = FUSION
) -> Search:
    """A question for the terms, and for the direction if there is one."""
    asked = sorted(terms) or [UNKNOWN]
    return Search(Sparse(tuple(asked), (1.0,) * len(asked)), dense, fusion, limit)


def names(index: Index, asked: Search) -> list[str]:
    """Which points are found, best first."""
    return [hit.payload["name"] for hit in index.search(asked)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "indexes" / "abc"


@pytest.fixture(params=["edge", "local"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def embedded(engine: str, folder: Path) -> Index:
    made = open_index(engine, folder)
    made.create(DIM)
    return made


@pytest.fixture(params=["edge", "local", "server", "attached"])
def again(request: pytest.FixtureRequest, folder: Path) -> Iterator[Callable[[], Index]]:
    """Opens the same index, as another process would."""
    if request.param == "attached":
        with line_to(
            folder.with_name("line"), methods(_no_model, _no_model, _held(folder))
        ) as line:
            yield lambda: AttachedIndex(Held("edge", folder.name), line, _not_here)
        return
    if request.param != "server":
        yield lambda: open_index(request.param, folder)
        return
    with standing() as found:
        server = QdrantServer(found.url, lambda: None)
        yield lambda: ServerIndex(server, "abc")
        server.close()


def _held(folder: Path) -> Callable[[str, str], Index]:
    """The indexes of a process that holds them open."""
    opened: dict[str, Index] = {}

    def held(engine: str, directory: str) -> Index:
        if directory not in opened:
            opened[directory] = open_index(engine, folder.with_name(directory))
        return opened[directory]

    return held


def _no_model(name: str) -> NoReturn:
    raise AssertionError(name)


def _not_here() -> NoReturn:
    raise AssertionError("the other process is there")


@pytest.fixture
def index(again: Callable[[], Index]) -> Index:
    made = again()
    made.create(DIM)
    return made


def test_a_new_index_is_empty_and_can_be_asked(index: Index) -> None:
    """A collection may be queried before its first passage is in."""
    assert (index.count(), names(index, search(X, 1))) == (0, [])


def test_an_index_inside_the_process_is_private(embedded: Index, folder: Path) -> None:
    """Its passages are what the documents say."""
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_written_is_there_for_the_next_process(
    index: Index, again: Callable[[], Index]
) -> None:
    """Every write is on disk when it returns."""
    index.write([point("a", X, 1), point("b", Y, 2)])
    assert again().count() == 2


def test_a_destroyed_index_is_gone_and_can_be_made_again(
    index: Index, again: Callable[[], Index]
) -> None:
    """Nothing of what was in it comes back."""
    index.write([point("a", X, 1)])
    index.destroy()
    with pytest.raises(Conflict, match="gone"):
        index.count()
    again().create(DIM)
    assert again().count() == 0


def test_writing_an_id_again_replaces_it(index: Index) -> None:
    """Indexing twice never doubles a passage."""
    index.write([point("a", X, 1, version="1")])
    index.write([point("a", X, 2, version="2")])
    assert (index.count(), names(index, search(None, 1))) == (1, [])
    assert index.search(search(None, 2))[0].payload["version"] == "2"


def test_a_search_by_words_alone_finds_what_has_them(index: Index) -> None:
    """A question in a language that the model cannot read is asked so."""
    index.write([point("a", X, 1), point("b", Y, 2), point("c", None, 1, 2)])
    assert set(names(index, search(None, 2))) == {"b", "c"}


def test_a_rare_word_weighs_more_than_a_common_one(index: Index) -> None:
    """The engine adds inverse document frequency."""
    common = [point(f"common {n}", X, 1) for n in range(5)]
    index.write([*common, point("rare", X, 2)])
    assert names(index, search(None, 1, 2))[0] == "rare"


def test_the_largest_term_id_is_a_term_like_any_other(index: Index) -> None:
    """Term ids are 32-bit hashes and fill their range."""
    index.write([point("a", X, 0, 2**32 - 1)])
    assert names(index, search(None, 2**32 - 1)) == ["a"]


def test_a_search_whose_words_are_nowhere_orders_by_likeness(index: Index) -> None:
    """Another word for the same thing still has its direction."""
    index.write([point("a", X, 1), point("b", (0.8, 0.6, 0.0, 0.0), 1), point("c", Y, 1)])
    assert names(index, search(X)) == ["a", "b", "c"]


def test_a_point_without_direction_is_found_by_words_only(index: Index) -> None:
    """Korean passages have none under an English model."""
    index.write([point("a", None, 1), point("b", X, 2)])
    assert (names(index, search(X)), names(index, search(None, 1))) == (["b"], ["a"])


def test_the_weight_decides_between_words_and_direction(index: Index) -> None:
    """Fusion is ours: the engine's own default would favour neither."""
    index.write([point("by words", Y, 1), point("by direction", X, 2)])
    for_words = search(X, 1, fusion=Fusion(meaning=0.5))
    for_direction = search(X, 1, fusion=Fusion(meaning=4.0))
    assert names(index, for_words)[0] == "by words"
    assert names(index, for_direction)[0] == "by direction"


def test_scores_of_a_fused_search_are_the_same_in_every_engine(index: Index) -> None:
    """Words give up to 1, direction up to its weight, and no direction half of that."""
    index.write([point("both", X, 1), point("far", Y, 2), point("unread", None, 1)])
    scores = {hit.payload["name"]: hit.score for hit in index.search(search(X, 1))}
    assert scores == pytest.approx({"both": 1.5, "unread": 1.25, "far": 0.25})


def test_the_limit_is_kept(index: Index) -> None:
    """No more than asked for."""
    index.write([point(str(n), X, 1) for n in range(9)])
    assert len(index.search(search(X, 1, limit=3))) == 3


def test_forgetting_files_takes_their_points_alone(index: Index) -> None:
    """Other files stay."""
    index.write([point(name, X, 1, file=name) for name in "abc"])
    index.forget(["a", "c", "not there"])
    assert names(index, search(X)) == ["b"]


def test_forgetting_keeps_the_versions_that_are_to_stay(index: Index) -> None:
    """A changed file loses its old passages after it has its new ones."""
    index.write([point("old", X, 1, version="1"), point("new", X, 1, version="2")])
    index.forget(["f"], keep=["2"])
    assert names(index, search(X)) == ["new"]


def test_forgetting_everything_keeps_nothing(index: Index) -> None:
    """No version to keep means all of the file."""
    index.write([point("old", X, 1), point("new", X, 1, version="2")])
    index.forget(["f"])
    assert index.count() == 0


def test_what_a_crash_left_half_made_is_made_again(engine: str, folder: Path) -> None:
    """The folder appears whole or not at all."""
    unfinished = folder.with_suffix(".new")
    unfinished.mkdir(parents=True)
    (unfinished / "rubbish").write_text("x", encoding="utf-8")
    index = open_index(engine, folder)
    index.create(DIM)
    assert (index.count(), unfinished.exists()) == (0, False)


def test_an_index_whose_folder_is_gone_says_so(engine: str, folder: Path) -> None:
    """Instead of beginning an empty one in its place."""
    folder.parent.mkdir()
    with pytest.raises(Conflict, match="gone"):
        open_index(engine, folder).count()


def test_a_damaged_index_says_how_to_make_it_again(
    embedded: Index, engine: str, folder: Path
) -> None:
    """The documents are still there, so nothing is lost."""
    embedded.write([point("a", X, 1)])
    for file in [*folder.glob("*.json")]:
        file.write_text("{", encoding="utf-8")
    with pytest.raises(Unavailable) as caught:
        open_index(engine, folder).search(search(X))
    assert "ai rag index" in (caught.value.hint or "")
    assert caught.value.causes


def test_a_vector_of_the_wrong_size_is_an_error_and_not_a_crash(index: Index) -> None:
    """Nothing of the engine's own exceptions reaches a door."""
    with pytest.raises(LocalaiError):
        index.write([point("a", (1.0, 2.0), 1)])


def test_the_client_refuses_to_grow_beyond_what_it_can_search(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replacing what is there is no growth."""
    monkeypatch.setattr(client, "LOCAL_LIMIT", 2)
    index = open_index("local", folder)
    index.create(DIM)
    index.write([point("a", X, 1), point("b", X, 1)])
    index.write([point("a", Y, 1), point("b", Y, 1)])
    with pytest.raises(Unavailable) as caught:
        index.write([point("c", X, 1)])
    assert index.count() == 2
    assert "pip install qdrant-edge-py" in (caught.value.hint or "")


def test_a_search_may_keep_to_one_root(index: Index) -> None:
    """By words alone, by direction alone and by both; the limit counts what is left."""
    index.write([point(f"other {n}", X, 1) for n in range(5)])
    mine = point("mine", X, 1)
    index.write([replace(mine, payload=mine.payload | {"root": "/here"})])
    for asked in (search(None, 1, limit=2), search(X, limit=2), search(X, 1, limit=2)):
        assert names(index, replace(asked, root="/here")) == ["mine"]
        assert names(index, replace(asked, root="/nowhere")) == []


def paged(index: Index, limit: int) -> list[Point]:
    """Every point, page by page."""
    found: list[Point] = []
    while page := index.points(found[-1].id if found else None, limit):
        assert len(page) <= limit
        found += page
    return found


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_points_come_back_in_pages_each_once_by_id(index: Index, limit: int) -> None:
    """The last page may be a full one."""
    written = [point(f"{n}", X, n) for n in range(7)]
    index.write(written)
    assert [each.id for each in paged(index, limit)] == sorted(each.id for each in written)


def test_points_come_back_as_they_were_written(index: Index) -> None:
    """Words, weights, payload, and a direction of length one or none."""
    sparse = Sparse((3, 2**32 - 1), (0.5, 1.25))
    first = replace(point("a", (3.0, 4.0, 0.0, 0.0)), sparse=sparse)
    second = replace(point("b", None), sparse=sparse, payload={"file": "f", "name": "여권", "n": 3})
    index.write([first, second])
    found = {each.payload["name"]: each for each in paged(index, 10)}
    assert found["여권"] == second
    assert found["a"].dense == pytest.approx((0.6, 0.8, 0.0, 0.0), abs=5e-4)  # of 16 bits
    assert replace(found["a"], dense=first.dense) == first


def test_points_that_are_written_between_pages_disturb_none(index: Index) -> None:
    """A page holds no lock after it: what was there all the time comes once."""
    written = sorted((point(f"{n}", X, n) for n in range(6)), key=lambda each: each.id)
    index.write(written[::2])
    first = index.points(None, 2)
    index.write(written[1::2])
    index.forget(["not there"])
    rest = index.points(first[-1].id, 10)
    seen = [each.id for each in [*first, *rest]]
    assert set(seen) >= {each.id for each in written[::2]}
    assert len(seen) == len(set(seen))


def test_an_empty_index_has_no_points(index: Index) -> None:
    """Neither at its beginning nor after an id."""
    assert index.points(None, 5) == []
    assert index.points("ffffffff-ffff-ffff-ffff-ffffffffffff", 5) == []


def test_the_points_of_one_file_are_read_alone(index: Index) -> None:
    """In as many pages as they need."""
    index.write([point(str(n), X, 1, file="a" if n % 3 else "b") for n in range(9)])
    found = [each.payload["name"] for each in every(index, 2, file="b")]
    assert sorted(found) == ["0", "3", "6"]
    assert len(list(every(index, 2))) == 9
