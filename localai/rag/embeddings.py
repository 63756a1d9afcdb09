"""Vectors of any text, by the embedding model of the home."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from localai.core.errors import Invalid, NotFound
from localai.rag.store import Store
from localai.rbac.models import ModelRights
from localai.rbac.permissions import Actor
from localai.rbac.quotas import Quotas

DEFAULT: Final = "default"
MOST_TEXTS: Final = 1_024
LONGEST: Final = 8_000  # characters; what is beyond them is not read


@dataclass(frozen=True)
class Embedded:
    """A vector a text, in order; zeros where the model sees no word. `cut` texts were too long."""

    model: str
    vectors: Sequence[Sequence[float]]
    tokens: int
    cut: int


class Embeddings:
    """The embedding model of the settings, for texts that are kept nowhere.

    `rights` says who may use it, `quotas` how many tokens are theirs.
    """

    def __init__(
        self,
        store: Store,
        require: Callable[[Actor, str], None],
        rights: ModelRights,
        quotas: Quotas,
    ) -> None:
        self._store = store
        self._require = require
        self._rights = rights
        self._quotas = quotas

    def embed(self, actor: Actor, texts: Sequence[str], model: str = DEFAULT) -> Embedded:
        """The texts as passages; NotFound where the home uses another model than that."""
        self._require(actor, "rag:read")
        own = self._store.own_embedder()
        if model.casefold() not in {DEFAULT, own.name.casefold()}:
            message = f"{model} is not the embedding model of this home"
            raise NotFound(message, hint=f"ask for {own.name}, or {DEFAULT}")
        self._permit(actor, own.name)
        if len(texts) > MOST_TEXTS:
            raise Invalid(f"input: {len(texts)} texts, {MOST_TEXTS:,} at once are the most")
        read = [text[:LONGEST] for text in texts]
        nothing = [0.0] * own.dim
        tokens = own.count(read) if read else 0
        with self._quotas.spending(actor, lambda: tokens, 0) as spending:
            vectors = [found or nothing for found in own.embed(read)] if read else []
            spending.spend(tokens)
        return Embedded(own.name, vectors, tokens, sum(len(text) > LONGEST for text in texts))

    def _permit(self, actor: Actor, own: str) -> None:
        listed = self._rights.listed(actor)
        if listed is not None and not {*map(str.casefold, listed)} & {DEFAULT, own.casefold()}:
            raise self._rights.refusal(actor, own)
