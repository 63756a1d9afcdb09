"""From a question to the passages nearest to it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from localai.core.errors import Conflict, Unavailable
from localai.core.measure import UNMEASURED, Measures
from localai.core.metrics import RETRIEVAL_DURATION
from localai.rag.catalog import Catalog, Entry
from localai.rag.fusion import Hit
from localai.rag.language import is_korean
from localai.rag.models import RankingModel
from localai.rag.names import check_known
from localai.rag.records import Passage
from localai.rag.store import Store

# How many of the best passages a reranker reads, however few are asked for.
RERANKED = 50


@dataclass(frozen=True)
class Found:
    """The best passages first, the model that embedded them, and what each step took."""

    model: str
    hits: Sequence[Hit]
    timings_ms: dict[str, float]


class Retrieval:
    """Searches collections; `reranker` gives the model that orders what was found, if any."""

    def __init__(
        self,
        store: Store,
        reranker: Callable[[], RankingModel | None],
        measures: Measures = UNMEASURED,
    ) -> None:
        self._measures = measures
        self._store = store
        self._reranker = reranker

    def askable(self, collection: str) -> Entry:
        """The collection, where the model that made it is here."""
        entry = known(self._store.catalog, collection)
        _check_current(self._store, entry)
        if not self._store.has_model_of(entry) and not self._store.can_ask(entry):
            message = f"{entry.name} was indexed with {entry.model}, which is not here"
            hint = f"ai rag models pull {entry.model}   or: {_again(entry)}"
            raise Unavailable(message, hint=hint)
        return entry

    def best(self, collection: str, text: str, k: int) -> Found:
        """The `k` best passages for a question."""
        entry = self.askable(collection)
        try:
            return self._best(entry, text, k)
        except Conflict:
            if known(self._store.catalog, collection).directory == entry.directory:
                raise
            return self.best(collection, text, k)  # a rebuilding just changed the index

    def _best(self, entry: Entry, text: str, k: int) -> Found:
        reranker = self._reranker()
        # As with embeddings, an English model's opinion of Korean is noise.
        reads = reranker if reranker and (reranker.is_multilingual or not is_korean(text)) else None
        timings: dict[str, float] = {}
        with self._timed(timings, "embed"):
            search = self._store.search(entry, text, max(k, RERANKED) if reads else k)
        with self._timed(timings, "search"):
            hits = [] if search is None else self._store.index(entry).search(search)
        if reads:
            with self._timed(timings, "rerank"):
                hits = _reranked(reads, text, hits)
        return Found(entry.model, hits[:k], timings)

    @contextmanager
    def _timed(self, timings: dict[str, float], step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        took = time.perf_counter() - started
        timings[step] = milliseconds(took)
        self._measures.observe(RETRIEVAL_DURATION, took, step)


def known(catalog: Catalog, name: str) -> Entry:
    """The collection of that name, where people may have one called so; else NotFound."""
    check_known(name)  # what is not a file is not a document
    return catalog.get(name)


def check_writable(store: Store, entry: Entry) -> None:
    """Refuse to add to what another model made: their vectors cannot be compared."""
    _check_current(store, entry)
    if not store.has_model_of(entry):
        message = f"{entry.name} was indexed with {entry.model}, not with {store.model}"
        raise Conflict(message, hint=f"{_again(entry)}   or: ai rag models use {entry.model}")


def passage(n: int, hit: Hit) -> Passage:
    """What was found as people read it; `n` is what an answer cites."""
    stored = hit.payload
    return Passage(
        n=n,
        source=stored["source"],
        title=stored["title"],
        location=stored.get("place") or f"L{stored['start_line']}-L{stored['end_line']}",
        score=round(hit.score, 4),
        text=stored["text"],
        trust="trusted" if stored.get("trusted", True) else "untrusted",
        uri=_uri(stored.get("key", ""), stored["source"]),
    )


def milliseconds(seconds: float) -> float:
    """As timings are told."""
    return round(seconds * 1000, 1)


def _check_current(store: Store, entry: Entry) -> None:
    if not store.is_current(entry):
        message = f"{entry.name} was indexed by another version of localai"
        raise Conflict(message, hint=_again(entry))


def _again(entry: Entry) -> str:
    return f"ai rag collections rebuild {entry.name}"


def _reranked(reranker: RankingModel, question: str, hits: Sequence[Hit]) -> list[Hit]:
    """The hits in the order in which the reranker sees them, with its scores."""
    texts = [f"{hit.payload['title']}\n{hit.payload['text']}" for hit in hits]
    scores = reranker.scores(question, texts)
    scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)


def _uri(key: str, source: str) -> str:
    """Where a source can be opened; the address of a page is what it is called by, or none."""
    if key.startswith("/"):
        return Path(key).as_uri()
    return key if key == source and key.startswith(("http://", "https://")) else ""
