"""The index on qdrant-client's local mode; the one file that imports qdrant_client.

Pure Python, for machines without a qdrant_edge wheel: it holds everything in memory and
compares every point, so it refuses to grow large.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models

from localai.core.errors import LocalaiError, Unavailable
from localai.core.files import private_dir
from localai.rag.index import (
    CANDIDATES,
    DENSE,
    LOCAL_LIMIT,
    SPARSE,
    Hit,
    Point,
    Search,
    alone,
    unfinished,
)
from localai.rag.sparse import Sparse

_NAME = "passages"


class LocalIndex:
    """One client's storage in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, dim: int) -> None:
        """Make the storage beside its place and move it there, so that it is whole or absent."""
        private_dir(self._folder.parent)
        new = unfinished(self._folder)
        shutil.rmtree(new, ignore_errors=True)
        private_dir(new)
        with _translated(), closing(QdrantClient(path=str(new))) as client:
            client.create_collection(
                _NAME,
                vectors_config={
                    DENSE: models.VectorParams(size=dim, distance=models.Distance.COSINE)
                },
                sparse_vectors_config={
                    SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)
                },
            )
        new.rename(self._folder)

    def write(self, points: Sequence[Point]) -> None:
        """Store the points; Unavailable where that would be more than this engine can search."""
        with self._open() as client:
            ids = [point.id for point in points]
            known = len(client.retrieve(_NAME, ids, with_payload=False))
            if client.count(_NAME).count + len(points) - known > LOCAL_LIMIT:
                message = f"without qdrant-edge-py a collection ends at {LOCAL_LIMIT:,} passages"
                hint = "pip install qdrant-edge-py, then ai rag collections rm NAME and index again"
                raise Unavailable(message, hint=hint)
            client.upsert(_NAME, [_point(each) for each in points])

    def forget(self, files: Sequence[str], *, keep: Sequence[str] = ()) -> None:
        """Remove the files' points, but not those of a version to keep."""
        which = models.Filter(must=[_among("file", files)], must_not=[_among("version", keep)])
        with self._open() as client:
            client.delete(_NAME, points_selector=models.FilterSelector(filter=which))

    def search(self, search: Search) -> list[Hit]:
        """The best points first."""
        with self._open() as client:
            found = client.query_points(_NAME, limit=search.limit, **_request(search)).points
        return [Hit(point.score, point.payload or {}) for point in found]

    def count(self) -> int:
        """How many points there are."""
        with self._open() as client:
            return client.count(_NAME).count

    @contextmanager
    def _open(self) -> Iterator[QdrantClient]:
        with (
            alone(self._folder),
            _translated(),
            closing(QdrantClient(path=str(self._folder))) as client,
        ):
            yield client


def _point(point: Point) -> models.PointStruct:
    vectors: dict[str, Any] = {SPARSE: _sparse(point.sparse)}
    if point.dense is not None:
        vectors[DENSE] = list(point.dense)
    return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)


def _sparse(vector: Sparse) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _among(key: str, values: Sequence[str]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))


def _request(search: Search) -> dict[str, Any]:
    by_words = _sparse(search.sparse)
    which = None if search.root is None else models.Filter(must=[_among("root", [search.root])])
    if search.dense is None:
        return {"using": SPARSE, "query": by_words, "query_filter": which}
    by_meaning = list(search.dense)
    weights = [search.fusion.sparse, search.fusion.dense]
    return {
        "query": models.RrfQuery(rrf=models.Rrf(k=search.fusion.k, weights=weights)),
        "prefetch": [
            models.Prefetch(query=by_words, using=SPARSE, limit=CANDIDATES, filter=which),
            models.Prefetch(query=by_meaning, using=DENSE, limit=CANDIDATES, filter=which),
        ],
    }


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except LocalaiError:
        raise
    except Exception as error:
        # A damaged folder raises whatever pickle, SQLite or JSON raise about it.
        message = "the index of this collection cannot be used"
        hint = "ai rag collections rm NAME, then ai rag index PATH"
        raise Unavailable(message, hint=hint) from error
