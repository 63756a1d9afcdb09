"""Passages put in order by a cross-encoder."""

from pathlib import Path

import pytest
import tiny_models
from rag_home import READER, WRITER, Room, offline, require, sources

from localai.core.errors import Unavailable
from localai.core.metrics import RETRIEVAL_DURATION
from localai.rag.rerank import Reranker
from localai.rag.service import Rag

SMALL = "Xenova/ms-marco-MiniLM-L-6-v2"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where a reranker lies that counts the words that a passage shares with the question."""
    tiny_models.write(
        tiny_models.cross_encoder(), tmp_path / "cache/Xenova--ms-marco-MiniLM-L-6-v2"
    )
    return tmp_path / "cache"


def ranked(here: Room, reranker: Reranker | None) -> Rag:
    """The room with that reranker."""
    return Rag(here.rag._store, require, offline, lambda: reranker, here.kept)


def test_the_reranker_orders_what_was_found(here: Room, tmp_path: Path, cache: Path) -> None:
    """Beyond what was asked for; the scores shown are its own."""
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "far.txt").write_text("The kettle is the train with a coast and a rent: nine coins.")
    for number in range(8):
        (folder / f"near{number}.txt").write_text(f"kettle number {number}")
    here.rag.index(WRITER, [folder])
    question = "what kettle leaves the platform"
    assert sources(ranked(here, None).query(READER, question, k=1)) != ["far.txt"]
    found = ranked(here, Reranker(SMALL, cache)).query(READER, question, k=1)
    assert sources(found) == ["far.txt"]
    assert [passage.score for passage in found.passages] == [3.0]
    assert set(found.timings_ms) == {"embed", "search", "rerank"}
    assert here.kept.times(RETRIEVAL_DURATION)["rerank",] == 1


def test_an_english_reranker_is_not_asked_about_korean(
    here: Room, documents: Path, tmp_path: Path
) -> None:
    """As with embeddings, its opinion would be noise: it is not even loaded."""
    here.rag.index(WRITER, [documents])
    rag = ranked(here, Reranker(SMALL, tmp_path / "nothing"))
    found = rag.query(READER, "여권을 잃어버리면 어떻게 하나요?")
    assert sources(found) == ["inner/ko.md"]
    assert "rerank" not in found.timings_ms
    assert Reranker("BAAI/bge-reranker-v2-m3-int8", tmp_path).is_multilingual


def test_a_reranker_that_is_not_here_says_what_brings_it(
    here: Room, documents: Path, tmp_path: Path
) -> None:
    """Passages in another order than was asked for are not shown in silence."""
    here.rag.index(WRITER, [documents])
    with pytest.raises(Unavailable, match="reranker") as caught:
        ranked(here, Reranker(SMALL, tmp_path / "nothing")).query(READER, "kettle")
    assert caught.value.hint == f"ai rag models pull {SMALL}"


def test_a_damaged_reranker_says_what_mends_it(cache: Path) -> None:
    """The same command."""
    (cache / "Xenova--ms-marco-MiniLM-L-6-v2/onnx/model.onnx").write_bytes(b"half")
    with pytest.raises(Unavailable, match="cannot be loaded") as caught:
        Reranker(SMALL, cache).scores("kettle", ["kettle"])
    assert caught.value.hint == f"ai rag models pull {SMALL}"
