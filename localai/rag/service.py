"""The documents room: index files, find passages, answer from them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from localai.core.errors import Conflict, Invalid, Unavailable
from localai.core.records import Page
from localai.rag import evaluate
from localai.rag.catalog import Entry
from localai.rag.citations import Citations
from localai.rag.evidence import SILENCE, is_beside, is_unlike
from localai.rag.fusion import Hit
from localai.rag.ingest import Ingest, file_id
from localai.rag.language import is_korean
from localai.rag.names import check_known, check_name, is_name
from localai.rag.prompt import prompt
from localai.rag.rebuild import abandon, rebuild
from localai.rag.records import (
    SHIPPED_MODEL,
    Answer,
    Collection,
    IndexReport,
    Passage,
    Piped,
    Progress,
)
from localai.rag.seen import Seen
from localai.rag.store import Store
from localai.rag.targets import Targets
from localai.rbac.permissions import Actor

if TYPE_CHECKING:
    from localai.core.web import Fetched
    from localai.rag.rerank import Reranker

MAX_PASSAGES = 100
MAX_DESCRIPTION = 500
# How many of the best passages a reranker reads, however few are asked for.
RERANKED = 50

_ENGINES = {
    "edge": "Qdrant edge",
    "local": "Qdrant local mode",
    "server": "the Qdrant server",
}

Messages = Sequence[tuple[str, str]]


class Rag:
    """Collections of documents; `fetch` gets a page of the web.

    `removed` is told how many citations of an answer were taken out, where some were; `reranker`
    gives the model of the settings that puts the best passages in order, if there is one.
    """

    def __init__(
        self,
        store: Store,
        require: Callable[[Actor, str], None],
        fetch: Callable[[str], "Fetched"],
        removed: Callable[[int], None],
        reranker: Callable[[], "Reranker | None"] = lambda: None,
    ) -> None:
        self._removed = removed
        self._reranker = reranker
        self._store = store
        self._catalog = store.catalog
        self._require = require
        self._fetch = fetch

    @property
    def engine(self) -> str:
        """What holds new collections, in words."""
        return _ENGINES[self._store.engine]

    def index(  # noqa: PLR0913 - what is taken in, how, and where to
        self,
        actor: Actor,
        paths: Sequence[str | Path],
        *,
        collection: str = "default",
        exclude: Sequence[str] = (),
        piped: Piped | None = None,
        is_trusted: bool = True,
        on_progress: Callable[[Progress], None] | None = None,
        seen: Seen | None = None,
    ) -> IndexReport:
        """Take in the files at or under the paths; see IndexReport. Safe to interrupt.

        A text may also be a pattern, an http or https address, or `-` for what is `piped`. What
        `seen` says nobody touched since an earlier run is not read again.
        """
        self._require(actor, "rag:write")
        check_name(collection)
        known = self._catalog.find(collection)
        files = self._catalog.files(collection) if known else {}
        meant = Targets(files, fetch=self._fetch, piped=piped, is_trusted=is_trusted, seen=seen)
        targets = meant.of(paths)
        entry = known or self._store.begin(collection)
        self._check_current(entry)
        self._check_model(entry)
        store = self._store
        index = store.index(entry)
        run = Ingest(self._catalog, entry, index, store.embedder(entry), on_progress, seen)
        return run.run(targets, exclude)

    def query(self, actor: Actor, text: str, *, collection: str = "default", k: int = 5) -> Answer:
        """The `k` best passages for a question; none found is an answer without passages."""
        self._require(actor, "rag:read")
        if not text.strip():
            raise Invalid("the question is empty", hint='ai rag query "WHAT YOU WANT TO KNOW"')
        if not 1 <= k <= MAX_PASSAGES:
            message = f"{k} passages cannot be asked for"
            raise Invalid(message, hint=f"-k takes a number from 1 to {MAX_PASSAGES}")
        entry, hits, timings = self._asked(collection, text, k)
        return Answer(
            question=text,
            collection=collection,
            answer=None,
            passages=tuple(_passage(n, hit) for n, hit in enumerate(hits, 1)),
            model=entry.model,
            timings_ms=timings,
        )

    def _asked(
        self, collection: str, text: str, k: int
    ) -> tuple[Entry, list[Hit], dict[str, float]]:
        entry = self._find(collection)
        self._check(entry)
        try:
            return entry, *self._best(entry, text, k)
        except Conflict:
            if self._find(collection).directory == entry.directory:
                raise
            return self._asked(collection, text, k)  # a rebuilding just changed the index

    def _best(self, entry: Entry, text: str, k: int) -> tuple[list[Hit], dict[str, float]]:
        """The `k` best passages, and the milliseconds that each step took."""
        reranker = self._reranker()
        # As with embeddings, an English model's opinion of Korean is noise.
        reads = reranker if reranker and (reranker.is_multilingual or not is_korean(text)) else None
        timings: dict[str, float] = {}
        with _timed(timings, "embed"):
            search = self._store.search(entry, text, max(k, RERANKED) if reads else k)
        with _timed(timings, "search"):
            hits = [] if search is None else self._store.index(entry).search(search)
        if reads:
            with _timed(timings, "rerank"):
                hits = _reranked(reads, text, hits)
        return hits[:k], timings

    def answer(  # noqa: PLR0913 - a question and how to answer it
        self,
        actor: Actor,
        text: str,
        *,
        collection: str = "default",
        k: int = 5,
        generate: Callable[[Messages, int], Iterator[str]] | None = None,
        show: Callable[[str], None] = lambda _: None,
    ) -> Answer:
        """The passages and, through `generate`, a language model's answer that cites them.

        `generate` is told how many passages there are; `show` gets the answer as it comes, without
        what it cites beyond them. Where the documents do not say, no model is asked.
        """
        found = self.query(actor, text, collection=collection, k=k)
        if generate is None or not found.passages:
            return found
        if self.is_silent(actor, found):
            show(SILENCE)
            return replace(found, answer=SILENCE)
        started = time.perf_counter()
        citations = Citations(len(found.passages))
        for piece in generate(prompt(found.passages, text), len(found.passages)):
            show(citations.feed(piece))
        show(citations.finish())
        timings = found.timings_ms | {"answer": _ms(time.perf_counter() - started)}
        answer = citations.text.strip()
        if citations.removed:
            self._removed(citations.removed)
        return replace(found, answer=answer, timings_ms=timings)

    def is_silent(self, actor: Actor, found: Answer) -> bool:
        """Whether neither the words nor the meaning of any passage has to do with the question.

        Only the shipped model's likeness is known well enough to judge by; under another one, and
        where the model does not know the question's language, nothing is ruled out.
        """
        self._require(actor, "rag:read")
        if found.model != SHIPPED_MODEL or is_korean(found.question):
            return False
        texts = [f"{passage.title}\n{passage.text}" for passage in found.passages]
        if not is_beside(found.question, texts):
            return False
        embedder = self._store.embedder(self._find(found.collection))()
        asked = embedder.embed_query(found.question)
        return asked is None or is_unlike(asked, embedder.embed(texts))

    def evaluate(
        self, actor: Actor, file: Path, *, collection: str = "default"
    ) -> evaluate.Evaluation:
        """How well the collection answers the questions of a file; see evaluate.read."""
        self._require(actor, "rag:write")  # it is written down, to be compared with
        entry = self._find(collection)
        self._check(entry)
        questions = evaluate.read(file)
        paths = {file_id(path): Path(path) for path in self._catalog.files(collection)}
        if not set().union(*(each.relevant for each in questions)) & set(paths.values()):
            message = f"none of the files that answer is in {collection}"
            raise Invalid(message, hint=f"ai rag index PATH -C {collection}")
        scores = [
            evaluate.score(each, self._ranking(entry, each.text, paths)) for each in questions
        ]
        before = self._catalog.scores(collection)
        self._catalog.keep_scores(collection, {each.id: each.ndcg for each in scores})
        return evaluate.evaluation(scores, before)

    def _ranking(self, entry: Entry, text: str, paths: Mapping[str, Path]) -> list[Path]:
        """The files of the passages found, best first, each once."""
        hits, _ = self._best(entry, text, MAX_PASSAGES)
        found = (paths.get(hit.payload["file"]) for hit in hits)
        return list(dict.fromkeys(filter(None, found)))

    def misses_language(self, actor: Actor, found: Answer) -> bool:
        """Whether the question is Korean, what was found is not, and the model knows no Korean.

        Then words alone were compared, and those of two languages are never the same.
        """
        self._require(actor, "rag:read")
        entry = self._find(found.collection)
        is_crossing = is_korean(found.question) and not any(
            is_korean(passage.text) for passage in found.passages
        )
        return is_crossing and not entry.is_multilingual

    def collections(self, actor: Actor) -> Page[Collection]:
        """Every collection, by name."""
        self._require(actor, "rag:read")
        found = self._catalog.summary(self._store.size)
        items = [each for each in found if is_name(each.name)]
        return Page(items, len(items))

    def show(self, actor: Actor, name: str) -> Collection:
        """One collection; NotFound where there is none of that name."""
        self._require(actor, "rag:read")
        self._find(name)
        found = self._catalog.summary(self._store.size)
        return next(each for each in found if each.name == name)

    def describe(self, actor: Actor, name: str, text: str) -> Collection:
        """Say what a collection is about, in one line; an empty text takes that back."""
        self._require(actor, "rag:write")
        self._find(name)
        described = " ".join(text.split())
        if len(described) > MAX_DESCRIPTION:
            message = f"a description of {len(described):,} characters is too long"
            raise Invalid(message, hint=f"say it in {MAX_DESCRIPTION}")
        self._catalog.describe(name, described)
        return self.show(actor, name)

    def rebuild(
        self, actor: Actor, name: str, on_progress: Callable[[Progress], None] | None = None
    ) -> IndexReport:
        """Make a collection anew with the model of the settings; see rebuild.rebuild."""
        self._require(actor, "rag:write")
        self._find(name)
        return rebuild(self._store, name, self._fetch, on_progress)

    def of_other_models(self, actor: Actor) -> list[Collection]:
        """The collections that were made with another model than that of the settings."""
        model = self._store.model.casefold()
        return [each for each in self.collections(actor).items if each.model.casefold() != model]

    def remove(self, actor: Actor, name: str) -> None:
        """Remove a collection and its index; the documents stay."""
        self._require(actor, "rag:write")
        self._store.remove(self._find(name))
        abandon(self._store, name)

    def _find(self, name: str) -> Entry:
        check_known(name)  # what is not a file is not a document
        return self._catalog.get(name)

    def _check(self, entry: Entry) -> None:
        """Refuse a collection that cannot be asked with the model that made it."""
        self._check_current(entry)
        if not self._store.has_model_of(entry) and not self._store.can_ask(entry):
            message = f"{entry.name} was indexed with {entry.model}, which is not here"
            hint = f"ai rag models pull {entry.model}   or: {_again(entry)}"
            raise Unavailable(message, hint=hint)

    def _check_current(self, entry: Entry) -> None:
        if not self._store.is_current(entry):
            message = f"{entry.name} was indexed by another version of localai"
            raise Conflict(message, hint=_again(entry))

    def _check_model(self, entry: Entry) -> None:
        """Refuse to add what another model made: their vectors cannot be compared."""
        if not self._store.has_model_of(entry):
            message = f"{entry.name} was indexed with {entry.model}, not with {self._store.model}"
            raise Conflict(message, hint=f"{_again(entry)}   or: ai rag models use {entry.model}")


def _again(entry: Entry) -> str:
    return f"ai rag collections rebuild {entry.name}"


def _reranked(reranker: "Reranker", question: str, hits: Sequence[Hit]) -> list[Hit]:
    """The hits in the order in which the reranker sees them, with its scores."""
    texts = [f"{hit.payload['title']}\n{hit.payload['text']}" for hit in hits]
    scores = reranker.scores(question, texts)
    scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)


def _passage(n: int, hit: Hit) -> Passage:
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


def _uri(key: str, source: str) -> str:
    """Where a source can be opened; the address of a page is what it is called by, or none."""
    if key.startswith("/"):
        return Path(key).as_uri()
    return key if key == source and key.startswith(("http://", "https://")) else ""


@contextmanager
def _timed(timings: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    timings[step] = _ms(time.perf_counter() - started)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
