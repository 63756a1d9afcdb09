"""What an embedding model and a reranker are, whichever process has them loaded."""

from collections.abc import Sequence
from typing import Protocol


class EmbeddingModel(Protocol):
    """Turns text into vectors of `dim` numbers, which compare within one model only."""

    @property
    def name(self) -> str:
        """As it stands in the settings."""

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""

    @property
    def is_multilingual(self) -> bool:
        """Whether it knows more than English."""

    @property
    def is_here(self) -> bool:
        """Whether its files are on this machine."""

    def load(self) -> None:
        """Load it now; Unavailable where it is not here, or cannot be read."""

    def embed(self, texts: Sequence[str]) -> list[list[float] | None]:
        """A vector for each text, in order; None where the model sees no word."""

    def embed_query(self, text: str) -> list[float] | None:
        """The vector of a question; None where the model sees no word."""

    def count(self, texts: Sequence[str]) -> int:
        """How many tokens of the texts the model reads."""


class RankingModel(Protocol):
    """Compares texts with a question."""

    @property
    def name(self) -> str:
        """As it stands in the settings."""

    @property
    def is_multilingual(self) -> bool:
        """Whether it knows more than English."""

    def load(self) -> None:
        """Load it now; Unavailable where it is not here, or cannot be read."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the question, in its own measure: more is better."""
