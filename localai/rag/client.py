"""The indexes that qdrant-client reaches; the one file that imports it.

Its local mode is pure Python, for machines without a qdrant_edge wheel: it holds everything in
memory and compares every point, so it refuses to grow large. A Qdrant server is for what one
machine is too small for.
"""

import math
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from httpx import HTTPError
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from tenacity import Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from localai.core.errors import Conflict, Denied, Invalid, LocalaiError, Unavailable
from localai.core.files import private_dir
from localai.rag.fusion import Candidate, Hit, fused
from localai.rag.index import (
    CANDIDATES,
    DENSE,
    LOCAL_LIMIT,
    SPARSE,
    Point,
    Search,
    alone,
    destroy,
    is_directed,
    kept_payload,
    plain,
    unfinished,
)
from localai.rag.sparse import Sparse

_NAME: Final = "passages"
_KEYS: Final = ("file", "version", "root")  # what points are found and removed by
_OLDEST: Final = (1, 10)  # the first to ask several questions of one kind, and to know IDF
_TIMEOUT_S: Final = 60
_TRIES: Final = 4
_AGAIN: Final = frozenset({429, 502, 503, 504})
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d+){3}|::1")

T = TypeVar("T")


class _ClientIndex:
    """What both have in common: a collection of a client, and how to work with it."""

    _name = _NAME

    def _with(self, work: Callable[[QdrantClient], T]) -> T:
        raise NotImplementedError

    def write(self, points: Sequence[Point]) -> None:
        """Store the points, on disk when this returns; an id that is there is replaced."""
        made = [_point(each) for each in points]
        self._with(lambda client: client.upsert(self._name, made, wait=True))

    def forget(self, files: Sequence[str], *, keep: Sequence[str] = ()) -> None:
        """Remove the files' points, but not those of a version to keep."""
        which = models.Filter(must=[_among("file", files)], must_not=[_among("version", keep)])
        chosen = models.FilterSelector(filter=which)
        self._with(lambda client: client.delete(self._name, chosen, wait=True))

    def search(self, search: Search) -> list[Hit]:
        """The best points first."""
        if search.dense is None:
            [found] = self._rankings(search, search.limit)
            return [Hit(point.score, plain(point.payload)) for point in found]
        rankings = self._rankings(search, CANDIDATES)
        payloads = {str(point.id): plain(point.payload) for each in rankings for point in each}
        words, meaning = (list(map(_candidate, each)) for each in rankings)
        best = fused(words, meaning, search.fusion)[: search.limit]
        return [Hit(score, payloads[id_]) for id_, score in best]

    def _rankings(self, search: Search, limit: int) -> list[list[models.ScoredPoint]]:
        """What words found and, where the question has a direction, what that found."""
        asked = _requests(search, limit)
        found = self._with(lambda client: client.query_batch_points(self._name, asked))
        return [each.points for each in found]

    def points(self, after: str | None, limit: int, *, file: str | None = None) -> list[Point]:
        """The next points, of a file perhaps, by ascending id; fewer than `limit` are the last."""
        which = models.Filter(must=[_among("file", [file])]) if file else None
        found, _ = self._with(
            lambda client: client.scroll(
                self._name,
                which,
                limit=limit + 1,
                offset=after,
                with_payload=True,
                with_vectors=True,
            )
        )
        return [_stored(each) for each in found if each.id != after][:limit]

    def count(self) -> int:
        """How many points there are."""
        return self._with(lambda client: client.count(self._name, exact=True)).count


class LocalIndex(_ClientIndex):
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
            client.create_collection(self._name, **_vectors(dim))
        new.rename(self._folder)

    def write(self, points: Sequence[Point]) -> None:
        """Store the points; Unavailable where that would be more than this engine can search."""
        ids = [point.id for point in points]
        known = len(self._with(lambda client: client.retrieve(self._name, ids, with_payload=False)))
        if self.count() + len(points) - known > LOCAL_LIMIT:
            message = f"without qdrant-edge-py a collection ends at {LOCAL_LIMIT:,} passages"
            hint = "pip install qdrant-edge-py, then ai rag collections rm NAME and index again"
            raise Unavailable(message, hint=hint)
        super().write(points)

    def destroy(self) -> None:
        """Remove the storage."""
        destroy(self._folder)

    def _with(self, work: Callable[[QdrantClient], T]) -> T:
        with (
            alone(self._folder),
            _translated(),
            closing(QdrantClient(path=str(self._folder))) as client,
        ):
            return work(client)


class QdrantServer:
    """A Qdrant server at `url`; `key` is asked for once, when needed, `sleep` is how it waits."""

    def __init__(
        self,
        url: str,
        key: Callable[[], str | None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _checked(url)
        self._sleep = sleep
        self._key = key

    @property
    def is_overheard(self) -> bool:
        """Whether documents leave this machine unencrypted."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or "")

    @cached_property
    def client(self) -> QdrantClient:
        """A connection to it, opened by the first request; proxies of the environment are not."""
        headers = {"api-key": key} if (key := self._key()) else {}
        # The client would ask for the server's version whenever a command starts.
        return QdrantClient(
            self.url,
            headers=headers,
            timeout=_TIMEOUT_S,
            check_compatibility=False,
            trust_env=False,
        )

    def check(self) -> str:
        """Its version; Unavailable where it is too old to search as we do."""
        version = str(self.ask(lambda client: client.info()).version)
        if tuple(map(int, re.findall(r"\d+", version)[:2])) < _OLDEST:
            message = f"{self.url} runs Qdrant {version}"
            raise Unavailable(message, hint="Qdrant 1.10 or a newer one is needed")
        return version

    def ask(self, work: Callable[[QdrantClient], T]) -> T:
        """Do the work, again where that may help: points have ids, so nothing is done twice."""
        retrying = Retrying(
            stop=stop_after_attempt(_TRIES),
            wait=wait_exponential_jitter(multiplier=0.5, max=5),
            retry=retry_if_exception(_is_passing),
            reraise=True,
            sleep=self._sleep,
        )
        try:
            return retrying(lambda: work(self.client))
        except UnexpectedResponse as error:
            raise self._refused(error) from error
        except (ResponseHandlingException, HTTPError, ValueError) as error:
            message = f"the Qdrant server at {self.url} does not answer as one"
            raise Unavailable(
                message, hint="is it running? ai config get rag.qdrant_url"
            ) from error

    def close(self) -> None:
        """Close the connection."""
        if client := self.__dict__.pop("client", None):
            client.close()

    def _refused(self, error: UnexpectedResponse) -> LocalaiError:
        status = error.status_code
        if status in {401, 403}:
            return Denied(f"{self.url} refuses the key", hint="ai secrets set qdrant-api-key")
        if status == 404:  # noqa: PLR2004 - HTTP's own
            message = f"the index of this collection is gone from {self.url}"
            return Conflict(message, hint="ai rag collections rm NAME, then ai rag index PATH")
        return Unavailable(f"{self.url} answered with {status}", hint="look into the server's log")


class ServerIndex(_ClientIndex):
    """One collection of a server, which lets many in at once."""

    def __init__(self, server: QdrantServer, name: str) -> None:
        self._name = name
        self._server = server

    def create(self, dim: int) -> None:
        """Make the collection, and what its points are looked up by."""
        self._server.check()
        self._with(lambda client: client.create_collection(self._name, **_vectors(dim)))
        for key in _KEYS:
            self._with(partial(_indexed, name=self._name, key=key))

    def destroy(self) -> None:
        """Remove the collection."""
        self._with(lambda client: client.delete_collection(self._name))

    def _with(self, work: Callable[[QdrantClient], T]) -> T:
        return self._server.ask(work)


def _indexed(client: QdrantClient, name: str, key: str) -> None:
    client.create_payload_index(name, key, models.PayloadSchemaType.KEYWORD)


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, UnexpectedResponse):
        return error.status_code in _AGAIN
    return isinstance(error, ResponseHandlingException)


def _checked(url: str) -> str:
    hint = "ai config set rag.qdrant_url http://127.0.0.1:6333"
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError as error:
        raise Invalid(f"rag.qdrant_url is no address: {error}", hint=hint) from error
    if not is_one or "@" in parts.netloc:
        message = "rag.qdrant_url is an http or https address without a password in it"
        raise Invalid(message, hint=hint)
    return url.rstrip("/")


def _vectors(dim: int) -> dict[str, Any]:
    return {
        "vectors_config": {DENSE: models.VectorParams(size=dim, distance=models.Distance.COSINE)},
        "sparse_vectors_config": {SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
    }


def _point(point: Point) -> models.PointStruct:
    vectors: dict[str, Any] = {SPARSE: _sparse(point.sparse)}
    if point.dense is not None:
        vectors[DENSE] = list(point.dense)
    return models.PointStruct(id=point.id, vector=vectors, payload=kept_payload(point))


def _stored(record: models.Record) -> Point:
    vectors: Any = record.vector
    pairs = sorted(zip(vectors[SPARSE].indices, vectors[SPARSE].values, strict=True))
    sparse = Sparse(tuple(index for index, _ in pairs), tuple(value for _, value in pairs))
    return Point(str(record.id), _unit(vectors.get(DENSE)), sparse, plain(record.payload))


def _unit(vector: list[float] | None) -> list[float] | None:
    """The vector at length one, as other engines keep it; local mode keeps what it was given."""
    length = math.hypot(*vector) if vector else 0.0
    return [value / length for value in vector] if vector and length else vector


def _sparse(vector: Sparse) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _among(key: str, values: Sequence[str]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))


def _requests(search: Search, limit: int) -> list[models.QueryRequest]:
    which = None if search.root is None else models.Filter(must=[_among("root", [search.root])])
    legs: list[tuple[str, Any]] = [(SPARSE, _sparse(search.sparse))]
    if search.dense is not None:
        legs.append((DENSE, list(search.dense)))
    return [
        models.QueryRequest(
            query=models.NearestQuery(nearest=vector),
            using=name,
            filter=which,
            limit=limit,
            with_payload=True,
        )
        for name, vector in legs
    ]


def _candidate(point: models.ScoredPoint) -> Candidate:
    return Candidate(str(point.id), point.score, is_read=is_directed(point.payload))


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
