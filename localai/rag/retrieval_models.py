"""The models that documents are found with: what there is, fetching one, choosing one."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from localai.core.errors import NotFound, Unavailable
from localai.core.records import Page
from localai.infer.downloads import Step
from localai.rag import embed, rerank
from localai.rag.records import COMPANION_MODEL, SHIPPED_MODEL
from localai.rag.shelf import Description, Kind, Repositories, Shelf
from localai.rbac.permissions import Actor

if TYPE_CHECKING:
    from pathlib import Path

# Of fastembed's list: small ones, and those that know Korean.
WORTHWHILE = (
    SHIPPED_MODEL,
    COMPANION_MODEL,
    "BAAI/bge-small-en-v1.5",
    "minishlab/potion-retrieval-32M",
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "minishlab/potion-multilingual-128M",
    "sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
    "Qwen/Qwen3-Embedding-0.6B-Q",
    "intfloat/multilingual-e5-large",
    "google/embeddinggemma-300m",
    "Xenova/ms-marco-MiniLM-L-6-v2",
    "BAAI/bge-reranker-v2-m3-int8",
    "jinaai/jina-reranker-v2-base-multilingual",
)

_PERMISSIVE = frozenset({"apache-2.0", "mit", "bsd-3-clause"})
_PROBE = "The kettle is descaled with vinegar."


@dataclass(frozen=True)
class RetrievalModel:
    """A model for documents; `dim` is None for a reranker, `origin` is the command that brings it.

    Some licences are not permissive: they forbid commercial use, say.
    """

    name: str
    kind: Kind
    dim: int | None
    size_bytes: int
    languages: str
    license: str
    is_permissive: bool
    is_here: bool
    is_used: bool
    origin: str


class RetrievalModels:
    """Embedding models and rerankers; `used` gives the names of the settings, as they stand."""

    def __init__(
        self,
        cache: "Path",
        require: Callable[[Actor, str], None],
        used: Callable[[], tuple[str, str]],
        hub: Callable[[], Repositories],
    ) -> None:
        self._cache = cache
        self._shelf = Shelf(cache)
        self._require = require
        self._used = used
        self._hub = hub

    def page(self, actor: Actor, *, everything: bool = False) -> Page[RetrievalModel]:
        """Those worth a thought and those that are here or in use; or `everything` there is."""
        self._require(actor, "rag:read")
        all_ = [self._record(each) for each in _known().values()]
        worth = {name: place for place, name in enumerate(WORTHWHILE)}
        items = [
            each
            for each in all_
            if everything or each.name in worth or each.is_here or each.is_used
        ]
        items.sort(key=lambda each: (each.kind, worth.get(each.name, len(worth))))
        return Page(items, len(items))

    def get(self, actor: Actor, name: str) -> RetrievalModel:
        """The model of that name; NotFound lists the nearest."""
        self._require(actor, "rag:read")
        return self._record(_find(name))

    def at_hand(self, actor: Actor, name: str) -> RetrievalModel:
        """The model of that name; Unavailable where its files are not here."""
        found = self.get(actor, name)
        self._shelf.get(_find(name))
        return found

    def pull(
        self, actor: Actor, name: str, report: Callable[[Step], None] | None = None
    ) -> RetrievalModel:
        """Fetch a model and see that it works; one that is here and works is not fetched again."""
        self._require(actor, "rag:write")
        model = _find(name)
        if not model.repository:
            self._shelf.get(model)
            return self._record(model)
        if self._shelf.find(model) is None or not self._works(model):
            self._shelf.fetch(model, self._hub(), report)
            self._prove(model)
        return self._record(model)

    def _works(self, model: Description) -> bool:
        try:
            self._probe(model)
        except Unavailable:
            return False
        return True

    def _prove(self, model: Description) -> None:
        """Remove the model again if it does not do here what it is for."""
        try:
            self._probe(model)
        except Unavailable:
            self._shelf.discard(model)
            raise

    def _probe(self, model: Description) -> None:
        if model.kind == "reranker":
            rerank.Reranker(model.name, self._cache).scores("What is descaled?", [_PROBE])
            return
        vector = embed.Embedder(model.name, self._cache).embed_query(_PROBE)
        if len(vector or ()) != model.dim:
            message = f"{model.name} gives {len(vector or ())} numbers a text, not {model.dim}"
            raise Unavailable(message, hint="ai rag models list   names others")

    def _record(self, model: Description) -> RetrievalModel:
        return RetrievalModel(
            name=model.name,
            kind=model.kind,
            dim=model.dim or None,
            size_bytes=model.size_bytes,
            languages=model.languages,
            license=model.license,
            is_permissive=model.license.lower() in _PERMISSIVE,
            is_here=self._shelf.find(model) is not None,
            is_used=model.name.lower() in {name.lower() for name in self._used()},
            origin=model.origin,
        )


def _known() -> dict[str, Description]:
    return embed.descriptions() | rerank.descriptions()


def _find(name: str) -> Description:
    known = _known()
    if name.lower() in known:
        return known[name.lower()]
    near = get_close_matches(name.lower(), known, n=1, cutoff=0.4)
    message = f"no model for documents is called {name!r}"
    if near:
        message += f"; near: {known[near[0]].name}"
    raise NotFound(message, hint="ai rag models list --all")
