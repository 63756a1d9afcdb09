"""The documents room: index files, find passages, answer from them."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from localai.core.errors import Conflict, Invalid, NotFound
from localai.core.records import Page
from localai.rag import evaluate
from localai.rag.catalog import Entry
from localai.rag.fusion import Hit
from localai.rag.ingest import Ingest, file_id, must_exist
from localai.rag.language import is_korean
from localai.rag.prompt import cited, prompt
from localai.rag.records import (
    Answer,
    Collection,
    IndexReport,
    Passage,
    Progress,
)
from localai.rag.store import Store
from localai.rbac.permissions import Actor

MAX_PASSAGES = 100
# A small one of fastembed's list that knows Korean and English.
MULTILINGUAL_MODEL = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"

_NAME = re.compile(r"\w[\w.-]{0,63}")

Messages = Sequence[tuple[str, str]]


class Rag:
    """Collections of documents."""

    def __init__(self, store: Store, require: Callable[[Actor, str], None]) -> None:
        self._store = store
        self._catalog = store.catalog
        self._require = require

    @property
    def engine(self) -> str:
        """What holds new collections on this machine, in words."""
        return {"edge": "Qdrant edge", "local": "Qdrant local mode"}[self._store.engine]

    def index(
        self,
        actor: Actor,
        paths: Sequence[Path],
        *,
        collection: str = "default",
        exclude: Sequence[str] = (),
        on_progress: Callable[[Progress], None] | None = None,
    ) -> IndexReport:
        """Take in the files at or under the paths; see IndexReport. Safe to interrupt."""
        self._require(actor, "rag:write")
        known = self._catalog.find(collection) if _NAME.fullmatch(collection) else None
        entry = known or self._begin(collection, paths)
        self._check(entry)
        store = self._store
        run = Ingest(self._catalog, entry, store.index(entry), store.embedder, on_progress)
        return run.run(paths, exclude)

    def query(self, actor: Actor, text: str, *, collection: str = "default", k: int = 5) -> Answer:
        """The `k` best passages for a question; none found is an answer without passages."""
        self._require(actor, "rag:read")
        if not text.strip():
            raise Invalid("the question is empty", hint='ai rag query "WHAT YOU WANT TO KNOW"')
        if not 1 <= k <= MAX_PASSAGES:
            message = f"{k} passages cannot be asked for"
            raise Invalid(message, hint=f"-k takes a number from 1 to {MAX_PASSAGES}")
        entry = self._find(collection)
        self._check(entry)
        started = time.perf_counter()
        search = self._store.search(entry, text, k)
        embedded = time.perf_counter()
        hits = [] if search is None else self._store.index(entry).search(search)
        timings = {"embed": embedded - started, "search": time.perf_counter() - embedded}
        return Answer(
            question=text,
            collection=collection,
            answer=None,
            passages=tuple(_passage(n, hit) for n, hit in enumerate(hits, 1)),
            model=entry.model,
            timings_ms={name: _ms(seconds) for name, seconds in timings.items()},
        )

    def answer(
        self,
        actor: Actor,
        text: str,
        *,
        collection: str = "default",
        k: int = 5,
        generate: Callable[[Messages, int], Iterator[str]] | None = None,
    ) -> Answer:
        """The passages and, through `generate`, a language model's answer that cites them.

        `generate` is told how many passages there are; what it cites beyond them is taken out.
        """
        found = self.query(actor, text, collection=collection, k=k)
        if generate is None or not found.passages:
            return found
        started = time.perf_counter()
        passages = len(found.passages)
        written = "".join(generate(prompt(found.passages, text), passages))
        timings = found.timings_ms | {"answer": _ms(time.perf_counter() - started)}
        answer = cited(written.strip(), passages)
        return replace(found, answer=answer, timings_ms=timings)

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
        search = self._store.search(entry, text, MAX_PASSAGES)
        hits = [] if search is None else self._store.index(entry).search(search)
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
        items = [each for each in self._catalog.summary() if _NAME.fullmatch(each.name)]
        return Page(items, len(items))

    def show(self, actor: Actor, name: str) -> Collection:
        """One collection; NotFound where there is none of that name."""
        self._require(actor, "rag:read")
        self._find(name)
        return next(each for each in self._catalog.summary() if each.name == name)

    def remove(self, actor: Actor, name: str) -> None:
        """Remove a collection and its index; the documents stay."""
        self._require(actor, "rag:write")
        self._store.remove(self._find(name))

    def _begin(self, name: str, paths: Sequence[Path]) -> Entry:
        if not _NAME.fullmatch(name):
            message = f"{name!r} cannot name a collection"
            raise Invalid(message, hint="use letters, digits, - _ and . , at most 64")
        for path in paths:
            must_exist(path)
        return self._store.begin(name)

    def _find(self, name: str) -> Entry:
        if not _NAME.fullmatch(name):  # what is not a file is not a document
            raise NotFound(f"there is no collection {name!r}", hint="ai rag collections list")
        return self._catalog.get(name)

    def _check(self, entry: Entry) -> None:
        """Refuse a collection whose vectors cannot be compared with ours."""
        if not self._store.has_model_of(entry):
            message = f"{entry.name} was indexed with {entry.model}, not with {self._store.model}"
            again = f"ai rag collections rm {entry.name}, and index again"
            hint = f"ai config set rag.model {entry.model}   or: {again}"
            raise Conflict(message, hint=hint)
        if not self._store.is_current(entry):
            message = f"{entry.name} was indexed by another version of localai"
            raise Conflict(message, hint=f"ai rag collections rm {entry.name}, and index again")


def _passage(n: int, hit: Hit) -> Passage:
    stored = hit.payload
    return Passage(
        n=n,
        source=stored["source"],
        title=stored["title"],
        location=stored.get("place") or f"L{stored['start_line']}-L{stored['end_line']}",
        score=round(hit.score, 4),
        text=stored["text"],
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
