"""The embedding models."""

import socket
from pathlib import Path

import pytest
import tiny_models

from localai.core.errors import Invalid, Unavailable
from localai.rag.embed import Embedder
from localai.rag.records import COMPANION_MODEL, SHIPPED_MODEL


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a network: every connection is an error."""

    def refuse(*_: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def embedder(tmp_path: Path, offline: None) -> Embedder:
    return Embedder(SHIPPED_MODEL, tmp_path)


def similar(one: list[float] | None, other: list[float] | None) -> float:
    """The cosine of two vectors that must be there."""
    assert one is not None
    assert other is not None
    length = sum(x * x for x in one) ** 0.5 * sum(x * x for x in other) ** 0.5
    return sum(x * y for x, y in zip(one, other, strict=True)) / length


def test_the_shipped_model_works_with_no_network(embedder: Embedder) -> None:
    """Nothing is fetched, and nothing asked."""
    assert (embedder.name, embedder.dim, embedder.is_multilingual) == (SHIPPED_MODEL, 192, False)
    [vector] = embedder.embed(["a kettle"])
    assert vector is not None
    assert len(vector) == embedder.dim


def test_texts_of_like_meaning_lie_closer(embedder: Embedder) -> None:
    """What the model is there for."""
    question = embedder.embed_query("How do I clean a kettle?")
    near, far = embedder.embed(["Descale the teapot with vinegar.", "The train leaves at noon."])
    assert similar(question, near) > similar(question, far)


def test_vectors_come_in_the_order_of_the_texts(embedder: Embedder) -> None:
    """Though texts are sorted by length on the way."""
    texts = ["a long text about a train and its platform", "kettle", "some trains run"]
    together = embedder.embed(texts)
    alone = [embedder.embed([text])[0] for text in texts]
    assert [similar(*pair) for pair in zip(together, alone, strict=True)] == pytest.approx(
        [1.0] * 3
    )


def test_a_text_without_a_known_word_has_no_direction(embedder: Embedder) -> None:
    """A zero vector would be as near to everything as to anything."""
    assert embedder.embed(["", "kettle"])[0] is None
    assert embedder.embed_query("") is None


def test_no_text_gives_no_vector(embedder: Embedder) -> None:
    """An empty batch is no error."""
    assert embedder.embed([]) == []


def test_a_second_embedder_is_no_error(embedder: Embedder, tmp_path: Path) -> None:
    """The model is registered once a process."""
    assert Embedder(SHIPPED_MODEL, tmp_path).embed_query("kettle") is not None


def test_an_unknown_model_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    """A slip of the finger costs no search."""
    with pytest.raises(Invalid) as caught:
        Embedder("BAAI/bge-small-en-v1.6", tmp_path)
    assert caught.value.hint == "ai rag models use BAAI/bge-small-en-v1.5"


def test_a_name_like_no_other_is_answered_with_the_model_that_ships(tmp_path: Path) -> None:
    """There is always one that works."""
    with pytest.raises(Invalid) as caught:
        Embedder("0", tmp_path)
    assert caught.value.hint == f"ai rag models use {SHIPPED_MODEL}"


@pytest.mark.parametrize(
    ("name", "is_multilingual"),
    [
        ("BAAI/bge-small-en-v1.5", False),
        ("jinaai/jina-embeddings-v2-base-de", False),
        ("jinaai/jina-embeddings-v2-base-code", False),
        ("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", True),
        ("minishlab/potion-multilingual-128M", True),
        ("Qwen/Qwen3-Embedding-0.6B-Q", True),
        ("jinaai/jina-embeddings-v3", True),
        ("INTFLOAT/multilingual-E5-large", True),
    ],
)
def test_which_models_read_korean_is_known_before_they_are_fetched(
    tmp_path: Path, name: str, is_multilingual: bool
) -> None:
    """Two languages do not make a model multilingual, nor do programming languages."""
    assert Embedder(name, tmp_path).is_multilingual is is_multilingual


def test_a_model_that_is_not_here_names_the_command_that_brings_it(
    tmp_path: Path, offline: None
) -> None:
    """Embedding itself never asks a network."""
    embedder = Embedder("BAAI/bge-small-en-v1.5", tmp_path)
    assert not embedder.is_here
    with pytest.raises(Unavailable, match="BAAI/bge-small-en-v1.5 is not here") as caught:
        embedder.load()
    assert caught.value.hint == "ai rag models pull BAAI/bge-small-en-v1.5"


def test_the_companion_is_found_where_its_package_is_installed(
    tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without being imported; its mean is taken over words alone, however long the batch."""
    with pytest.raises(Unavailable) as caught:
        Embedder(COMPANION_MODEL, tmp_path).load()
    assert caught.value.hint == "pip install localai-minilm"
    package = tmp_path / "site/localai_minilm"
    tiny_models.write(tiny_models.pooled(384), package / "model")
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    embedder = Embedder(COMPANION_MODEL, tmp_path)
    assert (embedder.is_here, embedder.dim, embedder.is_multilingual) == (True, 384, False)
    [alone] = embedder.embed(["kettle train"])
    together, _ = embedder.embed(["kettle train", "the train leaves the coast with vinegar"])
    assert alone == together
    assert sum(x * x for x in alone or ()) == pytest.approx(1)


def test_an_installation_without_its_model_says_how_to_mend_it(tmp_path: Path) -> None:
    """A half-copied package, say."""
    embedder = Embedder(SHIPPED_MODEL, tmp_path, shipped=tmp_path / "nothing")
    with pytest.raises(Unavailable) as caught:
        embedder.embed(["text"])
    assert caught.value.hint == "pip install --force-reinstall localai-suite"
