"""The documents room: index files, find passages, answer from them."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from localai.core import log
from localai.core.errors import Invalid
from localai.core.measure import UNMEASURED, Measures, operation
from localai.core.metrics import REMOVED_CITATIONS
from localai.core.records import Page
from localai.rag import evaluate
from localai.rag.citations import Citations
from localai.rag.evidence import SILENCE, is_beside, is_unlike
from localai.rag.ingest import Ingest, file_id
from localai.rag.language import is_korean
from localai.rag.models import RankingModel
from localai.rag.names import check_name, is_name
from localai.rag.prompt import prompt
from localai.rag.rebuild import abandon, rebuild
from localai.rag.records import (
    SHIPPED_MODEL,
    Answer,
    Collection,
    IndexReport,
    Piped,
    Progress,
)
from localai.rag.retrieval import (
    Retrieval,
    check_writable,
    known,
    milliseconds,
    passage,
)
from localai.rag.seen import Seen
from localai.rag.sent import Text, sent
from localai.rag.store import Store
from localai.rag.targets import Targets
from localai.rbac.permissions import Actor

if TYPE_CHECKING:
    from localai.core.web import Fetched

MAX_PASSAGES = 100
MAX_DESCRIPTION = 500

_ENGINES = {
    "edge": "Qdrant edge",
    "local": "Qdrant local mode",
    "server": "the Qdrant server",
}

Messages = Sequence[tuple[str, str]]
Generate = Callable[[Messages, int], Generator[str]]


class Rag:
    """Collections of documents; `fetch` gets a page of the web.

    `reranker` gives the model of the settings that puts the best passages in order, if there is
    one.
    """

    def __init__(
        self,
        store: Store,
        require: Callable[[Actor, str], None],
        fetch: Callable[[str], "Fetched"],
        reranker: Callable[[], RankingModel | None] = lambda: None,
        measures: Measures = UNMEASURED,
    ) -> None:
        self._measures = measures
        self._retrieval = Retrieval(store, reranker, measures)
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
        texts: Sequence[Text] = (),
        is_trusted: bool = True,
        on_progress: Callable[[Progress], None] | None = None,
        seen: Seen | None = None,
    ) -> IndexReport:
        """Take in the files at or under the paths; see IndexReport. Safe to interrupt.

        What is no Path may also be a pattern, an http or https address, or `-` for `piped`;
        `texts` are taken in beside them. What `seen` says nobody touched since an earlier run is
        not read again.
        """
        self._require(actor, "rag:write")
        with operation(self._measures, "rag_index"):
            check_name(collection)
            old = self._catalog.find(collection)
            files = self._catalog.files(collection) if old else {}
            meant = Targets(files, fetch=self._fetch, piped=piped, is_trusted=is_trusted, seen=seen)
            targets = [*meant.of(paths), *sent(texts)]
            entry = old or self._store.begin(collection)
            store = self._store
            check_writable(store, entry)
            index = store.index(entry)
            run = Ingest(self._catalog, entry, index, store.embedder(entry), on_progress, seen)
            report = run.run(targets, exclude)
        log.write("rag.indexed", **{**vars(report), "skipped": len(report.skipped)})
        return report

    def query(self, actor: Actor, text: str, *, collection: str = "default", k: int = 5) -> Answer:
        """The `k` best passages for a question; none found is an answer without passages."""
        self._require(actor, "rag:read")
        with operation(self._measures, "rag_query"):
            return self._found(text, collection, k)

    def _found(self, text: str, collection: str, k: int) -> Answer:
        if not text.strip():
            raise Invalid("the question is empty", hint='ai rag query "WHAT YOU WANT TO KNOW"')
        if not 1 <= k <= MAX_PASSAGES:
            message = f"{k} passages cannot be asked for"
            raise Invalid(message, hint=f"-k takes a number from 1 to {MAX_PASSAGES}")
        found = self._retrieval.best(collection, text, k)
        return Answer(
            question=text,
            collection=collection,
            answer=None,
            passages=tuple(passage(n, hit) for n, hit in enumerate(found.hits, 1)),
            model=found.model,
            timings_ms=found.timings_ms,
        )

    def answer(  # noqa: PLR0913 - a question and how to answer it
        self,
        actor: Actor,
        text: str,
        *,
        collection: str = "default",
        k: int = 5,
        generate: Generate | None = None,
        show: Callable[[str], None] = lambda _: None,
    ) -> Answer:
        """The passages and, through `generate`, a language model's answer that cites them.

        `generate` is told how many passages there are; `show` gets the answer as it comes, without
        what it cites beyond them. Where the documents do not say, no model is asked.
        """
        self._require(actor, "rag:read")
        with operation(self._measures, "rag_query"):
            found = self._found(text, collection, k)
            if generate is None or not found.passages:
                return found
            if self.is_silent(actor, found):
                show(SILENCE)
                return replace(found, answer=SILENCE)
            return self._answered(found, generate, show)

    def _answered(self, found: Answer, generate: Generate, show: Callable[[str], None]) -> Answer:
        started = time.perf_counter()
        citations = Citations(len(found.passages))
        pieces = generate(prompt(found.passages, found.question), len(found.passages))
        with closing(pieces):
            for piece in pieces:
                show(citations.feed(piece))
        show(citations.finish())
        timings = found.timings_ms | {"answer": milliseconds(time.perf_counter() - started)}
        answer = citations.text.strip()
        if citations.removed:
            self._measures.count(REMOVED_CITATIONS, by=citations.removed)
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
        embedder = self._store.embedder(known(self._catalog, found.collection))()
        asked = embedder.embed_query(found.question)
        return asked is None or is_unlike(asked, embedder.embed(texts))

    def evaluate(
        self, actor: Actor, file: Path, *, collection: str = "default"
    ) -> evaluate.Evaluation:
        """How well the collection answers the questions of a file; see evaluate.read."""
        self._require(actor, "rag:write")  # it is written down, to be compared with
        self._retrieval.askable(collection)
        questions = evaluate.read(file)
        paths = {file_id(path): Path(path) for path in self._catalog.files(collection)}
        if not set().union(*(each.relevant for each in questions)) & set(paths.values()):
            message = f"none of the files that answer is in {collection}"
            raise Invalid(message, hint=f"ai rag index PATH -C {collection}")
        scores = [
            evaluate.score(each, self._ranking(collection, each.text, paths)) for each in questions
        ]
        before = self._catalog.scores(collection)
        self._catalog.keep_scores(collection, {each.id: each.ndcg for each in scores})
        return evaluate.evaluation(scores, before)

    def _ranking(self, collection: str, text: str, paths: Mapping[str, Path]) -> list[Path]:
        """The files of the passages found, best first, each once."""
        hits = self._retrieval.best(collection, text, MAX_PASSAGES).hits
        found = (paths.get(hit.payload["file"]) for hit in hits)
        return list(dict.fromkeys(filter(None, found)))

    def misses_language(self, actor: Actor, found: Answer) -> bool:
        """Whether the question is Korean, what was found is not, and the model knows no Korean.

        Then words alone were compared, and those of two languages are never the same.
        """
        self._require(actor, "rag:read")
        entry = known(self._catalog, found.collection)
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
        known(self._catalog, name)
        found = self._catalog.summary(self._store.size)
        return next(each for each in found if each.name == name)

    def describe(self, actor: Actor, name: str, text: str) -> Collection:
        """Say what a collection is about, in one line; an empty text takes that back."""
        self._require(actor, "rag:write")
        known(self._catalog, name)
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
        known(self._catalog, name)
        return rebuild(self._store, name, self._fetch, on_progress)

    def of_other_models(self, actor: Actor) -> list[Collection]:
        """The collections that were made with another model than that of the settings."""
        model = self._store.model.casefold()
        return [each for each in self.collections(actor).items if each.model.casefold() != model]

    def remove(self, actor: Actor, name: str) -> None:
        """Remove a collection and its index; the documents stay."""
        self._require(actor, "rag:write")
        self._store.remove(known(self._catalog, name))
        abandon(self._store, name)
