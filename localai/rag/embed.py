"""Text to dense vectors; fastembed is imported here, and in rerank.py.

Models are loaded from folders on this machine. fastembed's own way to fetch them is not used: it
would begin in the middle of a question.
"""

import os

# ONNX Runtime reports its use to its maker since 1.29, and the hub's client to the hub, unless
# this stands in the environment before they are loaded.
os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

import threading
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from loguru import logger
from numpy.typing import NDArray

from localai.core.errors import Invalid, Unavailable
from localai.rag.records import COMPANION_MODEL, SHIPPED_MODEL
from localai.rag.shelf import SHIPPED_FOLDER, Description, Shelf, described
from localai.rag.wordpieces import Wordpieces

# A transformer takes 390 MB for 16 texts of 256 tokens and 990 MB for 64, and is no faster.
_BATCH = 16
# What the model was trained to see before questions and passages; fastembed adds nothing.
_PREFIXES = {"intfloat/multilingual-e5-large": ("query: ", "passage: ")}
_OWN = {
    each.name: each
    for each in (
        Description(SHIPPED_MODEL, "embedding", 192, 5_836_068, "English", "apache-2.0"),
        Description(COMPANION_MODEL, "embedding", 384, 23_972_169, "English", "apache-2.0"),
    )
}
# How the vectors of a text's tokens become one, and whether it is brought to unit length then.
_POOLING = {
    SHIPPED_MODEL: (PoolingType.DISABLED, False),
    COMPANION_MODEL: (PoolingType.MEAN, True),
}

_registering = threading.Lock()  # fastembed takes a name once

logger.disable("fastembed")


class Embedder:
    """One embedding model, loaded when the first text comes."""

    def __init__(self, model: str, cache: Path, *, shipped: Path = SHIPPED_FOLDER) -> None:
        self._description = describe(model)
        self.name = self._description.name
        self.dim = self._description.dim
        self.is_multilingual = self._description.is_multilingual
        self._shelf = Shelf(cache, shipped=shipped)
        self._loading = threading.Lock()
        self._loaded: TextEmbedding | None = None

    @property
    def is_here(self) -> bool:
        """Whether the model's files are on this machine."""
        return self._shelf.find(self._description) is not None

    def load(self) -> None:
        """Load the model now; Unavailable where it is not here, or cannot be read."""
        self._model()

    def embed(self, texts: Sequence[str]) -> list[list[float] | None]:
        """One vector of `dim` numbers a text, in order; None where the model sees no word."""
        prefix = _PREFIXES.get(self.name, ("", ""))[1]
        # Texts of like length share a batch, which is padded to its longest.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        sorted_texts = [prefix + texts[place] for place in order]
        vectors: list[list[float] | None] = [None] * len(texts)
        embedded = self._model().passage_embed(sorted_texts, batch_size=_BATCH)
        for place, vector in zip(order, embedded, strict=True):
            vectors[place] = _directed(vector)
        return vectors

    def embed_query(self, text: str) -> list[float] | None:
        """The vector of a question; None where the model sees no word."""
        prefix = _PREFIXES.get(self.name, ("", ""))[0]
        return _directed(next(iter(self._model().query_embed(prefix + text))))

    def count(self, texts: Sequence[str]) -> int:
        """How many tokens of the texts the model reads."""
        return int(self._model().token_count(list(texts)))

    def _model(self) -> TextEmbedding:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> TextEmbedding:
        folder = self._shelf.get(self._description)
        threads = 1 if self.name == SHIPPED_MODEL else None
        try:
            # Without a cache folder, fastembed makes one in the system's temporary folder.
            loaded = TextEmbedding(
                self.name, str(folder), threads=threads, specific_model_path=str(folder)
            )
            return _remembering(loaded) if self.name == SHIPPED_MODEL else loaded
        except Exception as error:  # onnxruntime and the tokenizer raise families of their own
            message = f"the embedding model {self.name} cannot be loaded from {folder}"
            raise Unavailable(message, hint=self._description.origin) from error


def descriptions() -> dict[str, Description]:
    """Every embedding model by its name in small letters: ours first, then fastembed's."""
    with _registering:
        listed = TextEmbedding.list_supported_models()
        if not any(each["model"] == SHIPPED_MODEL for each in listed):
            _register()
    others = [described("embedding", each) for each in listed if each["model"] not in _OWN]
    return {each.name.lower(): each for each in (*_OWN.values(), *others)}


def describe(model: str) -> Description:
    """The model of that name; Invalid names the nearest."""
    known = descriptions()
    if model.lower() not in known:
        names = [each.name for each in known.values()]
        near = get_close_matches(model, names, n=1, cutoff=0.4)
        message = f"no embedding model is called {model!r}"
        raise Invalid(message, hint=f"ai rag models use {near[0] if near else SHIPPED_MODEL}")
    return known[model.lower()]


def _register() -> None:
    for name, (pooling, is_normalised) in _POOLING.items():
        TextEmbedding.add_custom_model(
            model=name,
            pooling=pooling,
            normalization=is_normalised,
            sources=ModelSource(hf="localai/none"),  # required, and never asked
            dim=_OWN[name].dim,
            model_file="model.onnx",
            license=_OWN[name].license,
        )


def _remembering(model: TextEmbedding) -> TextEmbedding:
    inner: Any = model.model
    inner.tokenizer = Wordpieces(inner.tokenizer)
    return model


def _directed(vector: NDArray[np.generic]) -> list[float] | None:
    return vector.tolist() if np.any(vector) else None
