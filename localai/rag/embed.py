"""Text to dense vectors; the one file that imports fastembed.

The model that ships is loaded from this package and never asks a network for anything; other
models come from the hub by name, once, into the cache folder.
"""

import os

# ONNX Runtime reports its use to its maker since 1.29, and the hub's client to the hub, unless
# this stands in the environment before they are loaded.
os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from loguru import logger
from numpy.typing import NDArray

from localai.core.errors import Invalid, Unavailable
from localai.rag.records import SHIPPED_MODEL
from localai.rag.wordpieces import Wordpieces

SHIPPED_FOLDER = Path(__file__).parent / "models" / "static-192"

_SHIPPED_DIM = 192
_BATCH = 64
# Of fastembed's descriptions; two models call themselves multilingual for English and German.
_MULTILINGUAL = re.compile(r"multi-?lingual(?!\s*\((?:English|German))", re.IGNORECASE)
# What the model was trained to see before questions and passages; fastembed adds nothing.
_PREFIXES = {"intfloat/multilingual-e5-large": ("query: ", "passage: ")}

logger.disable("fastembed")


@dataclass(frozen=True)
class _Description:
    name: str
    dim: int
    is_multilingual: bool


class Embedder:
    """One embedding model, loaded when the first text comes."""

    def __init__(self, model: str, cache: Path, *, shipped: Path = SHIPPED_FOLDER) -> None:
        found = _describe(model)
        self.name = found.name
        self.dim = found.dim
        self.is_multilingual = found.is_multilingual
        self._cache = cache
        self._shipped = shipped
        self._loaded: TextEmbedding | None = None

    def load(self) -> None:
        """Load the model now; Unavailable where it cannot be had."""
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

    def _model(self) -> TextEmbedding:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> TextEmbedding:
        try:
            if self.name == SHIPPED_MODEL:
                return _remembering(
                    TextEmbedding(SHIPPED_MODEL, specific_model_path=str(self._shipped), threads=1)
                )
            return TextEmbedding(self.name, cache_dir=str(self._cache))
        except Exception as error:
            # onnxruntime, the tokenizer and the hub each raise families of their own.
            if self.name == SHIPPED_MODEL:
                message = f"the embedding model that ships cannot be loaded from {self._shipped}"
                hint = "pip install --force-reinstall localai-suite"
            else:
                message = f"the embedding model {self.name} could not be fetched"
                hint = f"connect to the network once, or: ai config set rag.model {SHIPPED_MODEL}"
            raise Unavailable(message, hint=hint) from error


def _describe(model: str) -> _Description:
    known = {each["model"].lower(): each for each in TextEmbedding.list_supported_models()}
    if SHIPPED_MODEL not in known:
        _register()
    if model == SHIPPED_MODEL:
        return _Description(SHIPPED_MODEL, _SHIPPED_DIM, is_multilingual=False)
    if model.lower() not in known:
        names = [each["model"] for each in known.values()]
        near = get_close_matches(model, names, n=1, cutoff=0.4)
        message = f"no embedding model is called {model!r}"
        raise Invalid(message, hint=f"ai config set rag.model {near[0] if near else SHIPPED_MODEL}")
    found = known[model.lower()]
    is_multilingual = bool(_MULTILINGUAL.search(found["description"]))
    return _Description(found["model"], found["dim"], is_multilingual)


def _register() -> None:
    TextEmbedding.add_custom_model(
        model=SHIPPED_MODEL,
        pooling=PoolingType.DISABLED,
        normalization=False,
        sources=ModelSource(hf="localai/none"),  # required, and never asked
        dim=_SHIPPED_DIM,
        model_file="model.onnx",
        license="apache-2.0",
    )


def _remembering(model: TextEmbedding) -> TextEmbedding:
    inner: Any = model.model
    inner.tokenizer = Wordpieces(inner.tokenizer)
    return model


def _directed(vector: NDArray[np.generic]) -> list[float] | None:
    return vector.tolist() if np.any(vector) else None
