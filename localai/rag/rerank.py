"""Passages in the order in which a cross-encoder reads them beside the question.

It reads both together, which is better than comparing two vectors and far slower: so it sees only
the best of what was found.
"""

import os

# As in embed.py, which may not be imported yet.
os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

import threading
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from fastembed.rerank.cross_encoder import TextCrossEncoder
from loguru import logger

from localai.core.errors import Invalid, Unavailable
from localai.rag.shelf import Description, Shelf, described

_BATCH = 16

logger.disable("fastembed")


class Reranker:
    """One cross-encoder, loaded when the first question comes."""

    def __init__(self, model: str, cache: Path) -> None:
        self._description = describe(model)
        self.name = self._description.name
        self.is_multilingual = self._description.is_multilingual
        self._shelf = Shelf(cache)
        self._loading = threading.Lock()
        self._loaded: TextCrossEncoder | None = None

    def load(self) -> None:
        """Load the model now; Unavailable where it is not here, or cannot be read."""
        self._model()

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the question, in the model's own measure: more is better."""
        return [float(each) for each in self._model().rerank(question, texts, batch_size=_BATCH)]

    def _model(self) -> TextCrossEncoder:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> TextCrossEncoder:
        folder = self._shelf.get(self._description)
        try:
            return TextCrossEncoder(self.name, str(folder), specific_model_path=str(folder))
        except Exception as error:  # onnxruntime and the tokenizer raise families of their own
            message = f"the reranker {self.name} cannot be loaded from {folder}"
            raise Unavailable(message, hint=self._description.origin) from error


def descriptions() -> dict[str, Description]:
    """Every reranker of fastembed's list by its name in small letters."""
    listed = TextCrossEncoder.list_supported_models()
    return {each["model"].lower(): described("reranker", each) for each in listed}


def describe(model: str) -> Description:
    """The reranker of that name; Invalid names the nearest."""
    known = descriptions()
    if model.lower() not in known:
        near = get_close_matches(model, [each.name for each in known.values()], n=1, cutoff=0.4)
        message = f"no reranker is called {model!r}"
        hint = f"ai rag models use {near[0]}" if near else "ai rag models list"
        raise Invalid(message, hint=hint)
    return known[model.lower()]
