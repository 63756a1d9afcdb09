"""One index run: the sources that were meant become what the index holds of them.

Interrupted at any moment, the index stays whole and the next run ends the work: a file's row
loses its digest before its passages change and gains it when they are all on disk.
"""

import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from localai.rag.catalog import Catalog, Entry, File
from localai.rag.chunks import Chunk, cut
from localai.rag.documents import Documents
from localai.rag.index import Index, Point
from localai.rag.language import is_korean
from localai.rag.models import EmbeddingModel
from localai.rag.places import is_under
from localai.rag.records import Action, IndexReport, Progress, Skipped
from localai.rag.sources import Lead, Refused, Source, Untouched
from localai.rag.sparse import TOKENIZER_VERSION, passage_vector, term_ids
from localai.rag.targets import Target

if TYPE_CHECKING:
    from localai.rag.seen import Seen

# Passages written at once. Opening and flushing the index costs 0.1 to 0.3 seconds whatever the
# number, and nobody else can use it meanwhile; half as many cost a fifth of the speed.
BATCH = 2048

_NAMESPACE = uuid.UUID("8f0c2d1e-5a43-5b1c-9d5e-3b6f2a7c4e10")


@dataclass(frozen=True)
class _Work:
    """A new or changed source, cut up, each piece with its id."""

    source: Source
    file: File
    pieces: list[tuple[str, Chunk]]
    action: Action


class Ingest:
    """The run; made for one use."""

    def __init__(  # noqa: PLR0913 - what a run works with
        self,
        catalog: Catalog,
        entry: Entry,
        index: Index,
        embedder: Callable[[], EmbeddingModel],
        on_progress: Callable[[Progress], None] | None,
        seen: "Seen | None" = None,
    ) -> None:
        self._catalog = catalog
        self._entry = entry
        self._index = index
        self._embedder = embedder
        self._on_progress = on_progress
        self._seen = seen
        self._known = catalog.files(entry.name)
        self._average = entry.average_terms
        self._weight = sum(file.chunks for file in self._known.values())
        self._counts: Counter[Action] = Counter()
        self._skipped: list[Skipped] = []
        self._kept: set[str] = set()
        self._documents = Documents()
        self._written = 0
        self._done = 0
        self._total = 0

    def run(self, targets: Sequence[Target], exclude: Sequence[str]) -> IndexReport:
        """Index the targets and forget what is no longer where they say."""
        started = time.perf_counter()
        if self._seen:
            self._seen.begin(self._entry.directory)
        found = [(target, lead) for target in targets for lead in target.find(exclude)]
        self._total = len(found)
        with closing(self._documents):
            self._take_in(found)
        self._forget(targets)
        if self._seen:
            self._seen.end()
        return self._report(started)

    def again(self, targets: Sequence[Target]) -> IndexReport:
        """Take in what another collection has, under the names that it has there.

        What is gone is left out and named; what else was known is forgotten.
        """
        started = time.perf_counter()
        found = [(target, lead) for target in targets for lead in target.find(())]
        self._total = len(found)
        with closing(self._documents):
            self._take_in(found)
        self._drop([file for path, file in self._known.items() if path not in self._kept])
        return self._report(started)

    def _report(self, started: float) -> IndexReport:
        return IndexReport(
            collection=self._entry.name,
            added=self._counts["added"],
            updated=self._counts["updated"],
            unchanged=self._counts["unchanged"],
            removed=self._counts["removed"],
            skipped=tuple(self._skipped),
            chunks=self._written,
            seconds=round(time.perf_counter() - started, 3),
        )

    def _take_in(self, found: Sequence[tuple[Target, Lead]]) -> None:
        pending: list[_Work] = []
        for target, lead in found:
            work = self._examined(target, lead)
            if work is None:
                continue
            if _size(pending) + _size([work]) > BATCH:
                self._write(pending)
                pending = []
            pending.append(work)
        self._write(pending)

    def take(self, sources: Iterable[Source], *, gone: Sequence[str]) -> None:
        """Take in texts that are no files, each once, and forget those of the keys in `gone`."""
        works = (self._cut(source) for source in sources)
        while pending := list(islice(works, BATCH)):
            self._write(pending)
        # Another thread, or process, may have forgotten some of them meanwhile.
        self._drop([self._known[key] for key in gone if key in self._known])

    def _examined(self, target: Target, lead: Lead) -> _Work | None:
        """The source as work, or None where it is gone, unchanged or refused."""
        source = lead()
        if isinstance(source, Untouched):
            self._kept.add(source.key)
            self._step(source.name, "unchanged")
        if isinstance(source, Refused):
            self._refuse(source, target)
        if not isinstance(source, Source) or source.key in self._kept:
            return None
        self._kept.add(source.key)
        if self._is_unchanged(source):
            self._step(source.name, "unchanged")
            return None
        whole = self._documents.whole(source)
        if isinstance(whole, Refused):
            self._kept.discard(source.key)
            self._refuse(whole, target)
            return None
        return self._cut(whole)

    def _is_unchanged(self, source: Source) -> bool:
        now = (source.sha256, source.name, source.is_trusted)
        known = self._known.get(source.key)
        return known is not None and (known.sha256, known.source, known.is_trusted) == now

    def _cut(self, source: Source) -> _Work:
        pieces = list(_identified(source, self._entry))
        version = str(uuid.uuid5(_NAMESPACE, "\0".join(id_ for id_, _ in pieces)))
        file = File(
            path=source.key,
            root=source.root,
            source=source.name,
            sha256=source.sha256,
            chunks=len(pieces),
            is_trusted=source.is_trusted,
            version=version,
        )
        known = self._known.get(source.key)
        action: Action = "updated" if known and known.sha256 else "added"
        return _Work(source, file, pieces, action)

    def _refuse(self, refused: Refused, target: Target) -> None:
        name = target.shown(refused.key)
        self._skipped.append(Skipped(name, refused.reason))
        if self._seen and not refused.is_error:
            self._seen.refuse(refused)
        if refused.is_error:  # what cannot be read just now is not gone
            self._kept.update(key for key in self._known if is_under(key, refused.key))
        self._step(name, "skipped")

    def _write(self, works: Sequence[_Work]) -> None:
        if not works:
            return
        name = self._entry.name
        begun = [replace(work.file, sha256="", chunks=0) for work in works]
        self._catalog.enter(name, begun, average_terms=self._average)
        pieces = [(work, *piece) for work in works for piece in work.pieces]
        for start in range(0, len(pieces), BATCH):
            self._write_batch(pieces[start : start + BATCH])
        changed = [work for work in works if work.source.key in self._known]
        if changed:
            versions = [work.file.version for work in changed]
            self._index.forget([file_id(work.file.path) for work in changed], keep=versions)
        finished = [work.file for work in works]
        self._catalog.enter(name, finished, average_terms=self._average)
        for work in works:
            self._step(work.source.name, work.action)

    def _write_batch(self, pieces: Sequence[tuple[_Work, str, Chunk]]) -> None:
        terms = [term_ids(piece.indexed) for _, _, piece in pieces]
        self._weigh([len(each) for each in terms])
        vectors = self._vectors([piece for _, _, piece in pieces])
        points = [
            Point(id_, vector, passage_vector(words, self._average), _payload(work, piece))
            for (work, id_, piece), vector, words in zip(pieces, vectors, terms, strict=True)
        ]
        self._index.write(points)
        self._written += len(points)

    def _weigh(self, lengths: Sequence[int]) -> None:
        """Move the collection's average passage length by what is about to be written."""
        weight = self._weight + len(lengths)
        self._average = (self._average * self._weight + sum(lengths)) / weight
        self._weight = weight

    def _vectors(self, pieces: Sequence[Chunk]) -> list[list[float] | None]:
        """Dense vectors; None for what the model's language does not cover."""
        vectors: list[list[float] | None] = [None] * len(pieces)
        wanted = [
            place
            for place, piece in enumerate(pieces)
            if self._entry.is_multilingual or not is_korean(piece.text)
        ]
        if wanted:
            embedded = self._embedder().embed([pieces[place].indexed for place in wanted])
            for place, vector in zip(wanted, embedded, strict=True):
                vectors[place] = vector
        return vectors

    def _forget(self, targets: Sequence[Target]) -> None:
        gone = [
            file
            for key, file in self._known.items()
            if key not in self._kept and any(target.holds(key) for target in targets)
        ]
        self._drop(gone)

    def _drop(self, gone: Sequence[File]) -> None:
        if not gone:
            return
        self._index.forget([file_id(file.path) for file in gone])
        self._catalog.drop(self._entry.name, [file.path for file in gone])
        self._total += len(gone)
        for file in gone:
            self._step(file.source, "removed")

    def _step(self, source: str, action: Action) -> None:
        self._counts[action] += 1
        self._done += 1
        if self._on_progress:
            self._on_progress(Progress(self._done, self._total, source, action))


def _size(works: Sequence[_Work]) -> int:
    return sum(1 + len(work.pieces) for work in works)


def _identified(source: Source, entry: Entry) -> Iterator[tuple[str, Chunk]]:
    """Each chunk with an id that stays its own as long as its source, text and model do."""
    seen: Counter[str] = Counter()
    for piece in cut(source):
        digest = hashlib.sha256(piece.indexed.encode()).hexdigest()
        parts = (source.key, digest, entry.model, TOKENIZER_VERSION, seen[digest])
        seen[digest] += 1
        yield str(uuid.uuid5(_NAMESPACE, "\0".join(map(str, parts)))), piece


@lru_cache(maxsize=64)  # one a source, asked for by every passage of it
def file_id(key: str) -> str:
    """What the passages of a source name as theirs."""
    return str(uuid.uuid5(_NAMESPACE, key))


def _payload(work: _Work, piece: Chunk) -> dict[str, str | int]:
    source = work.source
    return {
        "file": file_id(source.key),
        "key": source.key,
        "version": work.file.version,
        "root": source.root,
        "source": source.name,
        "trusted": source.is_trusted,
        "title": piece.title,
        "start_line": piece.start_line,
        "end_line": piece.end_line,
        "place": piece.place,
        "text": piece.text,
    }
