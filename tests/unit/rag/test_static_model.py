"""The embedding model that ships: the files are those of its card, and they work offline."""

import hashlib
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

import localai

FOLDER = Path(localai.__file__).parent / "rag" / "models" / "static-192"
NAME = "test/static-192"
DIMENSIONS = 192
SIZE_LIMIT = 5_600_000

Embed = Callable[..., np.ndarray]


def _refuse(*_: object) -> None:
    raise AssertionError("the shipped model reached for the network")


@pytest.fixture(scope="module")
def embed() -> Iterator[Embed]:
    TextEmbedding.add_custom_model(
        model=NAME,
        pooling=PoolingType.DISABLED,
        normalization=False,
        sources=ModelSource(hf="localai/none"),
        dim=DIMENSIONS,
        model_file="model.onnx",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _refuse)
        model = TextEmbedding(NAME, specific_model_path=str(FOLDER), threads=1)
        yield lambda *texts: np.array(list(model.embed(list(texts))))


def _card() -> dict[str, str]:
    card = (FOLDER / "MODEL_CARD.md").read_text()
    lines = re.findall(r"^([0-9a-f]{64})  (\S+)$", card, re.MULTILINE)
    return {name: digest for digest, name in lines}


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "tokenizer_config.json"])
def test_each_shipped_file_has_the_digest_in_the_card(name: str) -> None:
    """A file that changes without its card is caught."""
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == _card()[name]


def test_the_model_stays_small_enough_to_ship() -> None:
    """The graph with its table is at most 5.6 MB."""
    assert (FOLDER / "model.onnx").stat().st_size <= SIZE_LIMIT


def test_both_licences_travel_with_the_files() -> None:
    """The notice names the teacher's licence and carries the MIT text of the carrier."""
    notice = (FOLDER / "NOTICE").read_text()
    assert "Apache License, Version 2.0" in notice
    assert "Permission is hereby granted, free of charge" in notice


def test_vectors_have_unit_length_alone_and_in_a_batch(embed: Embed) -> None:
    """Padding in a batch changes no vector."""
    texts = ("How do I approve a tool call?", "approve", "Text and numbers: 3.14! " * 200)
    batch = embed(*texts)
    assert batch.shape == (3, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(batch, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(batch, np.vstack([embed(text) for text in texts]), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        (
            "The car would not start this morning.",
            "My automobile failed to turn on today.",
            "She baked bread with fresh yeast.",
        ),
        (
            "How do I delete a user account?",
            "Removing the accounts of users",
            "Rainfall in the mountains",
        ),
        ("reset my password", "recover login credentials", "boil two eggs"),
    ],
)
def test_near_synonyms_are_closer_than_unrelated_texts(
    embed: Embed, text: str, near: str, far: str
) -> None:
    """Texts that share meaning but hardly a word lie well closer than unrelated ones."""
    vectors = embed(text, near, far)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


@pytest.mark.parametrize("text", ["", "   ", "안녕하세요 세계", "日本語"])
def test_a_text_without_known_words_gives_a_zero_vector(embed: Embed, text: str) -> None:
    """Nothing is claimed about an empty text or a script that the table does not know."""
    vector = embed(text)
    assert vector.shape == (1, DIMENSIONS)
    assert not vector.any()


def test_an_empty_text_in_a_batch_leaves_its_neighbours_alone(embed: Embed) -> None:
    """The zero vector stays in its own row."""
    batch = embed("approve the request", "")
    assert not batch[1].any()
    np.testing.assert_allclose(batch[0], embed("approve the request")[0], atol=1e-6)
