"""Collections that leave this home as archives, and come in from them, without embedding anew."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from localai import __version__
from localai.core.clock import Clock, rfc3339
from localai.core.errors import Conflict, Invalid, LocalaiError
from localai.core.files import private_dir
from localai.core.ids import new_id
from localai.rag.archive import FORMAT, Manifest, writing
from localai.rag.building import building
from localai.rag.catalog import Entry, File
from localai.rag.index import Index, Point, every
from localai.rag.ingest import BATCH, file_id
from localai.rag.names import check_known, check_name, taken
from localai.rag.records import Exported, Imported
from localai.rag.sparse import TOKENIZER_VERSION
from localai.rag.store import Store
from localai.rag.unpack import Archive, opened
from localai.rbac.permissions import Actor

# Passages read at once: nobody else can use the index meanwhile.
PAGE = 2_000


@dataclass(frozen=True)
class Moved:
    """How far it has come: `done` of `total` passages."""

    done: int
    total: int


OnMoved = Callable[[Moved], None]


class Exchange:
    """Archives of collections; `data` is the folder that holds their indexes."""

    def __init__(
        self, store: Store, data: Path, clock: Clock, require: Callable[[Actor, str], None]
    ) -> None:
        self._store = store
        self._catalog = store.catalog
        self._data = data
        self._clock = clock
        self._require = require

    def export(
        self, actor: Actor, name: str, file: Path, *, on_moved: OnMoved | None = None
    ) -> Exported:
        """Write the collection to a new file.

        In it are the files whose passages were all there in one version: one that is being
        indexed at the same time is left out, whole, and named.
        """
        self._require(actor, "rag:read")
        return self._write(name, file.expanduser(), on_moved)

    def snapshot(self, actor: Actor, name: str, *, on_moved: OnMoved | None = None) -> Exported:
        """Write the collection to a file of this home that is named by the moment, in UTC."""
        self._require(actor, "rag:write")
        check_known(name)
        self._catalog.get(name)
        moment = datetime.fromtimestamp(self._clock.now_us() / 1_000_000, UTC)
        folder = private_dir(self._data / "snapshots")
        return self._write(name, folder / f"{name}-{moment:%Y%m%d-%H%M%S}.zip", on_moved)

    def import_(  # noqa: PLR0913 - a command and who follows it
        self,
        actor: Actor,
        file: Path,
        *,
        name: str | None = None,
        is_replacing: bool = False,
        is_trusted: bool = False,
        on_moved: OnMoved | None = None,
    ) -> Imported:
        """Make a collection of an archive: whole, or not at all.

        With `is_trusted` each file is trusted as the archive says, otherwise none is. Conflict
        where the name is taken, unless it is to be replaced.
        """
        self._require(actor, "rag:write")
        with opened(file.expanduser()) as archive:
            entry = self._entry(archive.manifest, name)
            old = self._catalog.find(entry.name)
            if old and not is_replacing:
                raise taken(entry.name)
            files = list(archive.files())
            with building(self._data, self._catalog, entry, old), self._replacing(entry, old):
                index = self._store.index(entry)
                index.create(entry.dim)
                kept = [replace(each, is_trusted=each.is_trusted and is_trusted) for each in files]
                _fill(index, archive, kept, on_moved)
                self._catalog.admit(entry, kept, instead_of=old)
        return Imported(
            collection=entry.name,
            files=len(files),
            chunks=sum(file.chunks for file in files),
            model=entry.model,
            is_ready=self._store.can_ask(entry),
            has_replaced=old is not None,
        )

    @contextmanager
    def _replacing(self, new: Entry, old: Entry | None) -> Iterator[None]:
        """Remove from a server what no collection has in the end; a folder has a ledger."""
        loser: Entry | None = new
        try:
            yield
            loser = old
        finally:
            if loser and loser.engine == "server":
                with suppress(LocalaiError):
                    self._store.index(loser).destroy()

    def _write(self, name: str, file: Path, on_moved: OnMoved | None) -> Exported:
        check_known(name)
        entry, files = self._catalog.whole(name)
        finished = sorted((each for each in files if each.sha256), key=lambda file: file.path)
        tally = _Tally(finished)
        total = sum(each.chunks for each in finished)
        with writing(file) as pack:
            points = tally.passing(_pages(self._store.index(entry)))
            count = pack.add_points(_told(points, total, on_moved))
            complete = [each for each in finished if tally.is_complete(each)]
            pack.add_files(complete)
            pack.add_manifest(self._manifest(entry, len(complete), count))
        return Exported(
            collection=name,
            file=str(file),
            files=len(complete),
            chunks=sum(each.chunks for each in complete),
            left_out=tuple(sorted(each.source for each in set(files) - set(complete))),
            size_bytes=file.stat().st_size,
        )

    def _manifest(self, entry: Entry, files: int, points: int) -> Manifest:
        return Manifest(
            format=FORMAT,
            localai=__version__,
            created_at=rfc3339(self._clock.now_us()) or "",
            name=entry.name,
            description=entry.description,
            model=entry.model,
            dim=entry.dim,
            is_multilingual=entry.is_multilingual,
            tokenizer_version=entry.tokenizer_version,
            average_terms=entry.average_terms,
            files=files,
            points=points,
        )

    def _entry(self, manifest: Manifest, name: str | None) -> Entry:
        wanted = manifest.name if name is None else name
        check_name(wanted)
        if manifest.tokenizer_version != TOKENIZER_VERSION:
            message = "the archive's words were cut by another version of localai"
            raise Conflict(message, hint="index the documents again: ai rag index PATH")
        return Entry(
            name=wanted,
            directory=new_id(),
            engine=self._store.engine,
            model=manifest.model,
            dim=manifest.dim,
            is_multilingual=manifest.is_multilingual,
            tokenizer_version=manifest.tokenizer_version,
            average_terms=manifest.average_terms,
            description=manifest.description,
        )


class _Tally:
    """Which passages belong to which version of which file, and whether all of them came."""

    def __init__(self, files: Iterable[File]) -> None:
        self._files = {file_id(file.path): file for file in files}
        self._counts: Counter[str] = Counter()

    def passing(self, points: Iterable[Point]) -> Iterator[Point]:
        """The passages of the files, counted and as trusted as they are; others are passed over."""
        for point in points:
            owner = point.payload["file"]
            file = self._files.get(owner)
            if file and (file.source, file.version) == _origin(point):
                self._counts[owner] += 1
                told = {"key": file.path, "trusted": file.is_trusted}
                yield replace(point, payload=point.payload | told)

    def is_complete(self, file: File) -> bool:
        """Whether every passage of the file came by."""
        return self._counts[file_id(file.path)] == file.chunks


def _origin(point: Point) -> tuple[str, str]:
    return point.payload["source"], point.payload["version"]


def _pages(index: Index) -> Iterator[Point]:
    return every(index, PAGE)


def _fill(index: Index, archive: Archive, files: list[File], on_moved: OnMoved | None) -> None:
    tally = _Tally(files)
    total = archive.manifest.points
    points = _told(tally.passing(archive.points()), total, on_moved)
    while batch := list(islice(points, BATCH)):
        index.write(batch)
    if not all(map(tally.is_complete, files)):
        message = "the archive lacks passages of its files"
        raise Invalid(message, hint="make it again: ai rag collections export NAME FILE")


def _told(points: Iterable[Point], total: int, on_moved: OnMoved | None) -> Iterator[Point]:
    for done, point in enumerate(points, 1):
        if on_moved and done % BATCH == 0:
            on_moved(Moved(done, total))
        yield point
