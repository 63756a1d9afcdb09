"""The index on Qdrant's engine inside the process; the one file that imports qdrant_edge."""

import json
import shutil
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from localai.core.errors import Conflict, Unavailable
from localai.core.files import private_dir
from localai.rag.fusion import Candidate, Hit, fused
from localai.rag.index import (
    CANDIDATES,
    DENSE,
    SPARSE,
    Point,
    Search,
    alone,
    destroy,
    plain,
    unfinished,
)
from localai.rag.kept import KEPT_S, Kept, Lent
from localai.rag.sparse import Sparse

# All 50,000 passages are compared with a question in 3 ms; a graph that spares most of that takes
# 50 seconds to build, during which nobody could ask.
_NO_GRAPH = edge.HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=10_000)
# Passages are sealed some 4,000 (of a kilobyte) at a time: what is not sealed is sorted anew when
# the index is opened, which takes half a second at 50,000. More parts than the most are merged,
# and those of a thousand passages that lost a fifth are made anew.
_SEALED_AT = 4000
_MOST_PARTS = 64
_LEAST_PART = 1000
_SEALING = edge.EdgeOptimizersConfig(
    deleted_threshold=0.2,
    vacuum_min_vector_number=_LEAST_PART,
    indexing_threshold=4000,
    default_segment_number=_MOST_PARTS,
)
# Without it every payload is read to find those of one file: half a second at 50,000.
_BY_FILE = edge.UpdateOperation.create_field_index(
    "file", edge.KeywordIndexParams(memory=edge.Memory.Cold)
)
_NOTHING = edge.UpdateOperation.delete_points([])
# Where those that are to be sealed are meanwhile.
_ASIDE = "sealing"
# So many points are stored, or files forgotten, at a time; where that took long already, the index
# is let go of before the next: what follows, the disk, takes as long again.
_SLICE = 256
_FILES = 32
_ENOUGH_S = 0.1


class EdgeIndex:
    """One shard in one folder, left open for `kept_s` seconds after a question."""

    def __init__(self, folder: Path, kept_s: float = KEPT_S) -> None:
        self._folder = folder
        self._kept = Kept(self._open, kept_s)
        self._unsealed = _SEALED_AT  # nobody knows what runs before this one left

    def create(self, dim: int) -> None:
        """Make the shard beside its place and move it there, so that it is whole or absent."""
        private_dir(self._folder.parent)
        new = unfinished(self._folder)
        shutil.rmtree(new, ignore_errors=True)
        config = edge.EdgeConfig(
            vectors={
                DENSE: edge.EdgeVectorParams(
                    size=dim,
                    distance=edge.Distance.Cosine,
                    hnsw_config=_NO_GRAPH,
                    datatype=edge.VectorStorageDatatype.Float16,
                    memory=edge.Memory.Cold,
                )
            },
            sparse_vectors={
                SPARSE: edge.EdgeSparseVectorParams(
                    modifier=edge.Modifier.Idf, memory=edge.Memory.Cold
                )
            },
            optimizers=_SEALING,
        )
        with _translated():
            private_dir(new)
            shard = edge.EdgeShard.create(str(new), config)
            shard.update(_BY_FILE)
            shard.flush()
            shard.close()
            _limit_log(new)
            new.rename(self._folder)

    def destroy(self) -> None:
        """Remove the shard."""
        self._kept.close()
        destroy(self._folder)

    def write(self, points: Sequence[Point]) -> None:
        """Store the points, on disk when this returns; an id that is there is replaced.

        Where it takes long, others have their turn meanwhile.
        """
        made = [_point(each) for each in points]
        slices = [made[start : start + _SLICE] for start in range(0, len(made), _SLICE)]
        self._update([edge.UpdateOperation.upsert_points(each) for each in slices])
        self._unsealed += len(points)
        if self._unsealed >= _SEALED_AT:
            self._seal()

    def forget(self, files: Sequence[str], *, keep: Sequence[str] = ()) -> None:
        """Remove the files' points, but not those of a version to keep."""
        which = (
            edge.Filter(
                must=[_among("file", files[start : start + _FILES])],
                must_not=[_among("version", keep)],
            )
            for start in range(0, len(files), _FILES)
        )
        self._update([*map(edge.UpdateOperation.delete_points_by_filter, which)])

    def search(self, search: Search) -> list[Hit]:
        """The best points first."""
        by_words = edge.Query.Nearest(_sparse(search.sparse), using=SPARSE)
        with self._kept.lent(is_kept=True) as shard, _translated():
            if search.dense is None:
                found = shard.query(_request(by_words, search, search.limit, is_whole=True))
                return [Hit(point.score, plain(point.payload)) for point in found]
            by_meaning = edge.Query.Nearest(list(search.dense), using=DENSE)
            # Only what is shown is read whole: reading 200 payloads took longer than finding them.
            words, meaning = (
                {
                    str(point.id): point.score
                    for point in shard.query(_request(leg, search, CANDIDATES))
                }
                for leg in (by_words, by_meaning)
            )
            unread = _undirected(shard, words.keys() - meaning.keys())
            best = fused(
                [Candidate(id_, score, id_ not in unread) for id_, score in words.items()],
                [Candidate(id_, score, is_read=True) for id_, score in meaning.items()],
                search.fusion,
            )[: search.limit]
            payloads = _payloads(shard, [id_ for id_, _ in best])
        return [Hit(score, payloads[id_]) for id_, score in best]

    def count(self) -> int:
        """How many points there are."""
        with self._kept.lent(is_kept=True) as shard, _translated():
            return int(shard.count(edge.CountRequest()))

    def points(self, after: str | None, limit: int, *, file: str | None = None) -> list[Point]:
        """The next points, of a file perhaps, by ascending id; fewer than `limit` are the last."""
        wanted = edge.ScrollRequest(
            offset=after,
            limit=limit + 1,
            filter=edge.Filter(must=[_among("file", [file])]) if file else None,
            with_payload=True,
            with_vector=True,
        )
        with self._kept.lent(is_kept=True) as shard, _translated():
            found, _ = shard.scroll(wanted)
        return [_stored(each) for each in found if str(each.id) != after][:limit]

    def _update(self, operations: Sequence[edge.UpdateOperation]) -> None:
        left = deque(operations)
        while left:
            with self._kept.lent(is_kept=False) as shard, _translated():
                enough = time.monotonic() + _ENOUGH_S
                while left and time.monotonic() < enough:
                    shard.update(left.popleft())
                # The last entry of the log is done again at every opening; this one costs nothing.
                shard.update(_NOTHING)
                shard.flush()  # closing does so too, and is silent where it fails

    def _seal(self) -> None:
        """Seal what is to be sealed, then make those parts anew that lost much, each in its turn.

        Others have theirs before each; and all of it may as well be done later.
        """
        with suppress(Conflict):
            self._optimise_aside()
            for part in _thinned(self._folder):
                self._optimise_aside(part)
            if len(_parts(self._folder)) > _MOST_PARTS:
                with self._kept.lent(is_kept=False) as shard, _translated():
                    shard.optimize()
        self._unsealed = 0

    def _optimise_aside(self, *parts: Path) -> None:
        with self._kept.shut(), alone(self._folder), _aside(self._folder, parts) as aside:
            if aside is not None:
                _optimise(aside)

    @contextmanager
    def _open(self) -> Iterator[Lent[edge.EdgeShard]]:
        with alone(self._folder) as is_wanted:
            with _translated():
                _bring_back(self._folder)
                shard = edge.EdgeShard.load(str(self._folder))
            try:
                yield shard, is_wanted
            finally:
                shard.close()


def _parts(folder: Path) -> list[Path]:
    return list(folder.glob("segments/*"))


def _thinned(folder: Path) -> list[Path]:
    """The sealed parts that lost so many points that they are made anew."""
    found = []
    for part in _parts(folder):
        with suppress(FileNotFoundError):  # not sealed, or another process was faster
            # As the engine keeps count: a bit a point, and a number of eight bytes a point.
            lost = int.from_bytes((part / "id_tracker.deleted").read_bytes()).bit_count()
            had = (part / "id_tracker.versions").stat().st_size // 8
            if had >= _LEAST_PART and lost * 5 >= had:
                found.append(part)
    return found


@contextmanager
def _aside(folder: Path, parts: Sequence[Path]) -> Iterator[Path | None]:
    """A shard of what is not sealed and of these parts, or None; afterwards all is in its place.

    To open the others with them takes half as long as the sealing.
    """
    with _translated():
        _bring_back(folder)  # what a crash left
        shutil.rmtree(folder / "temp_segments", ignore_errors=True)
        loose = [each for each in _parts(folder) if each in parts or not _is_sealed(each)]
        if not loose:
            yield None
            return
        aside = folder / _ASIDE
        private_dir(aside / "segments")
        shutil.copyfile(folder / "edge_config.json", aside / "edge_config.json")
        try:
            for each in loose:
                each.rename(aside / "segments" / each.name)
            yield aside
        finally:
            _bring_back(folder)


def _is_sealed(segment: Path) -> bool:
    return (segment / f"vector_index-{SPARSE}" / "inverted_index.dat").exists()


def _bring_back(folder: Path) -> None:
    """Put what a sealing has, or had when a crash ended it, where it belongs."""
    aside = folder / _ASIDE
    if aside.exists():
        for each in aside.glob("segments/*"):
            each.rename(folder / "segments" / each.name)
        shutil.rmtree(aside)


def _optimise(folder: Path) -> None:
    shard = edge.EdgeShard.load(str(folder))
    try:
        shard.optimize()
        shard.flush()
    finally:
        shard.close()


def _limit_log(folder: Path) -> None:
    """Let the log of a new shard have files of 1 MB, none in advance; its own way takes 100 MB.

    The engine reads these options and has no call to set them.
    """
    config = folder / "edge_config.json"
    options = {"segment_capacity": 1 << 20, "segment_queue_len": 0, "retain_closed": 1}
    own = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(own | {"wal_options": options}), encoding="utf-8")
    shutil.rmtree(folder / "wal")  # made again when the shard is opened, by these options


def _point(point: Point) -> edge.Point:
    vectors: dict[str, Any] = {SPARSE: _sparse(point.sparse)}
    if point.dense is not None:
        vectors[DENSE] = list(point.dense)
    return edge.Point(point.id, vectors, point.payload)


def _stored(record: edge.Record) -> Point:
    vectors: Any = record.vector
    sparse = Sparse(tuple(vectors[SPARSE].indices), tuple(vectors[SPARSE].values))
    return Point(str(record.id), vectors.get(DENSE), sparse, plain(record.payload))


def _sparse(vector: Sparse) -> edge.SparseVector:
    return edge.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _among(key: str, values: Sequence[str]) -> edge.FieldCondition:
    return edge.FieldCondition(key=key, match=edge.MatchAny(list(values)))


def _request(
    query: edge.Query, search: Search, limit: int, *, is_whole: bool = False
) -> edge.QueryRequest:
    which = None if search.root is None else edge.Filter(must=[_among("root", [search.root])])
    return edge.QueryRequest(limit=limit, query=query, filter=which, with_payload=is_whole)


def _undirected(shard: edge.EdgeShard, ids: Collection[str]) -> set[str]:
    """Those of the points that have no dense vector."""
    if not ids:
        return set()
    which = edge.Filter(
        must=[edge.HasIdCondition({*ids})], must_not=[edge.HasVectorCondition(DENSE)]
    )
    found, _ = shard.scroll(edge.ScrollRequest(limit=len(ids), filter=which, with_payload=False))
    return {str(each.id) for each in found}


def _payloads(shard: edge.EdgeShard, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = shard.retrieve([*ids], with_payload=True, with_vector=False)
    return {str(each.id): plain(each.payload) for each in found}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # The engine raises bare Exceptions; only their text tells them apart.
        if "WouldBlock" in str(error):
            message = "another program holds this collection"
            raise Conflict(message, hint="close it, then try again") from error
        message = "the index of this collection cannot be used"
        hint = "ai rag collections rm NAME, then ai rag index PATH"
        raise Unavailable(message, hint=hint) from error
