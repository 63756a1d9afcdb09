"""The documents room: index files, find passages, answer from them."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import Conflict, Invalid
from localai.core.ids import new_id
from localai.core.records import Page
from localai.rag.catalog import Catalog, Entry
from localai.rag.index import Fusion, Hit, Index, Search, destroy, open_index, preferred_engine
from localai.rag.ingest import Ingest, must_exist
from localai.rag.language import is_korean
from localai.rag.prompt import cited, prompt
from localai.rag.records import (
    SHIPPED_MODEL,
    Answer,
    Collection,
    IndexReport,
    Passage,
    Progress,
)
from localai.rag.sparse import TOKENIZER_VERSION, query_vector, tokens
from localai.rbac.permissions import Actor

if TYPE_CHECKING:
    from localai.rag.embed import Embedder

MAX_PASSAGES = 100

_NAME = re.compile(r"\w[\w.-]{0,63}")
# Measured with BM25 on Cranfield, CISI and MED: the static model may only help; a transformer
# counts as much as the words do.
_STATIC_FUSION = Fusion(k=10, sparse=1.0, dense=0.5)
_EQUAL_FUSION = Fusion(k=60, sparse=1.0, dense=1.0)

Messages = Sequence[tuple[str, str]]


class Rag:
    """Collections of documents. `data` is the folder that holds their indexes."""

    def __init__(  # noqa: PLR0913 - a room is handed all that it needs
        self,
        database: Database,
        clock: Clock,
        data: Path,
        require: Callable[[Actor, str], None],
        embedder: Callable[[], "Embedder"],
        *,
        model: str = SHIPPED_MODEL,
    ) -> None:
        self._catalog = Catalog(database, clock)
        self._data = data
        self._require = require
        self._make_embedder = embedder
        self._model = model
        self._made: Embedder | None = None

    @property
    def engine(self) -> str:
        """What holds new collections on this machine, in words."""
        return {"edge": "Qdrant edge", "local": "Qdrant local mode"}[preferred_engine()]

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
        entry = self._catalog.find(collection) or self._begin(collection, paths)
        self._check(entry)
        run = Ingest(self._catalog, entry, self._index(entry), self._embedder, on_progress)
        return run.run(paths, exclude)

    def query(self, actor: Actor, text: str, *, collection: str = "default", k: int = 5) -> Answer:
        """The `k` best passages for a question; none found is an answer without passages."""
        self._require(actor, "rag:read")
        if not text.strip():
            raise Invalid("the question is empty", hint='ai rag query "WHAT YOU WANT TO KNOW"')
        if not 1 <= k <= MAX_PASSAGES:
            message = f"{k} passages cannot be asked for"
            raise Invalid(message, hint=f"-k takes a number from 1 to {MAX_PASSAGES}")
        entry = self._catalog.get(collection)
        self._check(entry)
        started = time.perf_counter()
        search = self._search(entry, text, k)
        embedded = time.perf_counter()
        hits = [] if search is None else self._index(entry).search(search)
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

    def collections(self, actor: Actor) -> Page[Collection]:
        """Every collection, by name."""
        self._require(actor, "rag:read")
        items = self._catalog.summary()
        return Page(items, len(items))

    def show(self, actor: Actor, name: str) -> Collection:
        """One collection; NotFound where there is none of that name."""
        self._require(actor, "rag:read")
        self._catalog.get(name)
        return next(each for each in self._catalog.summary() if each.name == name)

    def remove(self, actor: Actor, name: str) -> None:
        """Remove a collection and its index; the documents stay."""
        self._require(actor, "rag:write")
        entry = self._catalog.get(name)
        self._catalog.remove(name)
        destroy(self._folder(entry))

    def _begin(self, name: str, paths: Sequence[Path]) -> Entry:
        """A new, empty collection for the model of the settings, once that is at hand."""
        if not _NAME.fullmatch(name):
            message = f"{name!r} cannot name a collection"
            raise Invalid(message, hint="use letters, digits, - _ and . , at most 64")
        for path in paths:
            must_exist(path)
        embedder = self._embedder()
        embedder.load()
        mine = Entry(
            name=name,
            directory=new_id(),
            engine=preferred_engine(),
            model=embedder.name,
            dim=embedder.dim,
            is_multilingual=embedder.is_multilingual,
            tokenizer_version=TOKENIZER_VERSION,
        )
        self._index(mine).create(mine.dim)
        entry = self._catalog.add(mine)
        if entry != mine:  # another process was first
            destroy(self._folder(mine))
        return entry

    def _check(self, entry: Entry) -> None:
        """Refuse a collection whose vectors cannot be compared with ours."""
        if entry.model.casefold() != self._model.casefold():
            message = f"{entry.name} was indexed with {entry.model}, the setting is {self._model}"
            again = f"ai rag collections rm {entry.name}, and index again"
            hint = f"ai config set rag.model {entry.model}   or: {again}"
            raise Conflict(message, hint=hint)
        if entry.tokenizer_version != TOKENIZER_VERSION:
            message = f"{entry.name} was indexed by another version of localai"
            raise Conflict(message, hint=f"ai rag collections rm {entry.name}, and index again")

    def _search(self, entry: Entry, text: str, k: int) -> Search | None:
        """The question as vectors, or None where it has no word."""
        words = tokens(text)
        if not words:
            return None
        # An English model's opinion of Korean is noise, and costs a fifth of the ranking.
        is_readable = entry.is_multilingual or not is_korean(text)
        dense = self._embedder().embed_query(text) if is_readable else None
        fusion = _STATIC_FUSION if entry.model == SHIPPED_MODEL else _EQUAL_FUSION
        return Search(query_vector(words), dense, fusion, k)

    def _embedder(self) -> "Embedder":
        if self._made is None:
            self._made = self._make_embedder()
        return self._made

    def _index(self, entry: Entry) -> Index:
        return open_index(entry.engine, self._folder(entry))

    def _folder(self, entry: Entry) -> Path:
        return self._data / entry.directory


def _passage(n: int, hit: Hit) -> Passage:
    stored = hit.payload
    return Passage(
        n=n,
        source=stored["source"],
        title=stored["title"],
        location=f"L{stored['start_line']}-L{stored['end_line']}",
        score=round(hit.score, 4),
        text=stored["text"],
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
