"""One index run: the files under some paths become what the index holds of them.

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
from pathlib import Path
from typing import TYPE_CHECKING

from localai.core.errors import NotFound, Unavailable
from localai.rag.catalog import Catalog, Entry, File
from localai.rag.chunks import Chunk, cut
from localai.rag.documents import Documents
from localai.rag.index import Index, Point
from localai.rag.language import is_korean
from localai.rag.records import Action, IndexReport, Progress, Skipped
from localai.rag.sources import Refused, Source, read, shown, walk
from localai.rag.sparse import TOKENIZER_VERSION, passage_vector, term_ids

if TYPE_CHECKING:
    from localai.rag.embed import Embedder

# Passages written at once. Opening and flushing the index costs 0.1 to 0.3 seconds whatever the
# number, and nobody else can use it meanwhile; half as many cost a fifth of the speed.
BATCH = 2048

_NAMESPACE = uuid.UUID("8f0c2d1e-5a43-5b1c-9d5e-3b6f2a7c4e10")


@dataclass(frozen=True)
class _Target:
    """A path to index; names of files are relative to `base`, `root` is what a user named."""

    path: Path
    root: Path
    base: Path


@dataclass(frozen=True)
class _Work:
    """A new or changed file, cut up."""

    source: Source
    file: File
    chunks: list[Chunk]
    action: Action


class Ingest:
    """The run; made for one use."""

    def __init__(
        self,
        catalog: Catalog,
        entry: Entry,
        index: Index,
        embedder: Callable[[], "Embedder"],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._catalog = catalog
        self._entry = entry
        self._index = index
        self._embedder = embedder
        self._on_progress = on_progress
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

    def run(self, paths: Sequence[Path], exclude: Sequence[str]) -> IndexReport:
        """Index the paths and forget the files that are no longer under them."""
        started = time.perf_counter()
        targets = self._targets(paths)
        found = [
            (target, each)
            for target in targets
            if target.path.exists()
            for each in walk(target.path, exclude)
        ]
        self._total = len(found)
        with closing(self._documents):
            self._take_in(found)
        self._forget(targets)
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

    def _take_in(self, found: Sequence[tuple[_Target, Path | Refused]]) -> None:
        pending: list[_Work] = []
        for target, each in found:
            work = self._examined(target, each)
            if work is None:
                continue
            if _size(pending) + _size([work]) > BATCH:
                self._write(pending)
                pending = []
            pending.append(work)
        self._write(pending)

    def take(self, sources: Iterable[Source], *, gone: Sequence[str]) -> None:
        """Take in texts that are no files, each once, and forget those of the paths in `gone`."""
        works = (self._cut(source, "") for source in sources)
        while pending := list(islice(works, BATCH)):
            self._write(pending)
        self._drop([self._known[path] for path in gone])

    def _targets(self, paths: Sequence[Path]) -> list[_Target]:
        """The paths, each once; one inside a folder that was indexed before keeps its names."""
        resolved = dict.fromkeys(map(_resolved, paths))
        outermost = [path for path in resolved if resolved.keys().isdisjoint(path.parents)]
        roots = {Path(file.root) for file in self._known.values()}
        return [self._target(path, roots) for path in outermost]

    def _target(self, path: Path, roots: set[Path]) -> _Target:
        if not any(_is_under(known, {path}) for known in self._known):
            must_exist(path)
        root = next((each for each in reversed(_line(path)) if each in roots), path)
        return _Target(path, root, root.parent if root.is_file() else root)

    def _examined(self, target: _Target, found: Path | Refused) -> _Work | None:
        """The file as work, or None where it is unchanged or refused."""
        source = read(found, target.base) if isinstance(found, Path) else found
        if isinstance(source, Refused):
            self._refuse(source, target)
            return None
        path = str(source.path)
        self._kept.add(path)
        known = self._known.get(path)
        if known and (known.sha256, known.source) == (source.sha256, source.name):
            self._step(source.name, "unchanged")
            return None
        if source.is_document:
            parts = self._documents.read(source.path)
            if isinstance(parts, Refused):
                self._kept.discard(path)
                self._refuse(parts, target)
                return None
            source = replace(source, parts=parts)
        return self._cut(source, str(target.root))

    def _cut(self, source: Source, root: str) -> _Work:
        chunks = cut(source)
        path = str(source.path)
        file = File(path, root, source.name, source.sha256, len(chunks))
        is_known = path in self._known and self._known[path].sha256
        return _Work(source, file, chunks, "updated" if is_known else "added")

    def _refuse(self, refused: Refused, target: _Target) -> None:
        name = shown(refused.path, target.base)
        self._skipped.append(Skipped(name, refused.reason))
        if refused.is_error:  # what cannot be read just now is not gone
            self._kept.update(path for path in self._known if _is_under(path, {refused.path}))
        self._step(name, "skipped")

    def _write(self, works: Sequence[_Work]) -> None:
        if not works:
            return
        name = self._entry.name
        begun = [replace(work.file, sha256="", chunks=0) for work in works]
        self._catalog.enter(name, begun, average_terms=self._average)
        pieces = [(work, *piece) for work in works for piece in _identified(work, self._entry)]
        for start in range(0, len(pieces), BATCH):
            self._write_batch(pieces[start : start + BATCH])
        changed = [work for work in works if str(work.source.path) in self._known]
        if changed:
            versions = [_version(work.source) for work in changed]
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
            Point(id_, vector, passage_vector(words, self._average), _payload(work.source, piece))
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

    def _forget(self, targets: Sequence[_Target]) -> None:
        paths = {target.path for target in targets}
        gone = [
            file
            for path, file in self._known.items()
            if path not in self._kept and _is_under(path, paths)
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
    return sum(1 + len(work.chunks) for work in works)


def must_exist(path: Path) -> None:
    """Raise NotFound for a path where nothing is, Unavailable for one that makes no sense."""
    if not _resolved(path).exists():
        message = f"there is no file or folder {path}"
        raise NotFound(message, hint="name one that is there")


def _resolved(path: Path) -> Path:
    try:
        found = path.expanduser().resolve()
        found.exists()
        str(found).encode()
    except (OSError, RuntimeError, ValueError) as error:
        message = f"{shown(path, path.parent)} cannot be read"
        raise Unavailable(message, hint="check its name and who may read it") from error
    return found


def _line(path: Path) -> list[Path]:
    """The path, and every folder above it, nearest first."""
    return [path, *path.parents]


def _is_under(path: str, tops: set[Path]) -> bool:
    return not tops.isdisjoint(_line(Path(path)))


def _identified(work: _Work, entry: Entry) -> Iterator[tuple[str, Chunk]]:
    """Each chunk with an id that stays its own as long as its file, text and model do."""
    seen: Counter[str] = Counter()
    for piece in work.chunks:
        digest = hashlib.sha256(piece.indexed.encode()).hexdigest()
        parts = (work.file.path, digest, entry.model, TOKENIZER_VERSION, seen[digest])
        seen[digest] += 1
        yield str(uuid.uuid5(_NAMESPACE, "\0".join(map(str, parts)))), piece


def file_id(path: str) -> str:
    """What the passages of a file name as theirs."""
    return _named(path)


def _version(source: Source) -> str:
    """Names this content of this file; the same content in another file is another version."""
    return _named(f"{source.path}\0{source.name}\0{source.sha256}")


@lru_cache(maxsize=64)  # one of each a file, asked for by every passage of it
def _named(text: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, text))


def _payload(source: Source, piece: Chunk) -> dict[str, str | int]:
    return {
        "file": file_id(str(source.path)),
        "version": _version(source),
        "root": str(source.root),
        "source": source.name,
        "title": piece.title,
        "start_line": piece.start_line,
        "end_line": piece.end_line,
        "place": piece.place,
        "text": piece.text,
    }
