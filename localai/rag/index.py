"""What an index of passages is, whichever engine holds it, and the choice between engines.

Those inside the process let one process in at a time, readers too, so every operation opens the
folder, works and closes it under one file lock: a question asked while documents are being
indexed waits for a batch, not for the run.
"""

import fcntl
import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from localai.core.errors import Conflict, Unavailable
from localai.rag.fusion import Fusion, Hit
from localai.rag.kept import KEPT_S
from localai.rag.sparse import Sparse

DENSE = "dense"
SPARSE = "bm25"
# How many candidates each of the two rankings hands to the fusion.
CANDIDATES = 100
# Searching 20,000 passages takes a millisecond in the edge engine; here 1,000 take 40.
LOCAL_LIMIT = 5_000

_DIRECTED = "directed"
_PATIENCE_S = 10.0
_RETRY_S = 0.02


@dataclass(frozen=True)
class Point:
    """A passage to be stored; `dense` is None where the text has no direction."""

    id: str
    dense: Sequence[float] | None
    sparse: Sparse
    payload: dict[str, Any]


@dataclass(frozen=True)
class Search:
    """A question to the index; with a dense vector the two rankings are fused.

    With a `root`, only points whose payload names it are found.
    """

    sparse: Sparse
    dense: Sequence[float] | None
    fusion: Fusion
    limit: int
    root: str | None = None


def kept_payload(point: Point) -> dict[str, Any]:
    """The payload as it is stored: with a mark that tells without the vector whether it has one."""
    return point.payload | {_DIRECTED: point.dense is not None}


def is_directed(payload: dict[str, Any] | None) -> bool:
    """Whether the mark of a stored payload says that the point has a dense vector."""
    return bool((payload or {}).get(_DIRECTED))


def plain(payload: dict[str, Any] | None) -> dict[str, Any]:
    """The payload of a stored point as it was given."""
    return {key: value for key, value in (payload or {}).items() if key != _DIRECTED}


class Index(Protocol):
    """Points, each of whose payloads names the `file` and the `version` of it that it is from."""

    def create(self, dim: int) -> None:
        """Make the place for them, with dense vectors of `dim` numbers."""

    def destroy(self) -> None:
        """Remove it, and what is in it."""

    def write(self, points: Sequence[Point]) -> None:
        """Store the points, on disk when this returns; an id that is there is replaced."""

    def forget(self, files: Sequence[str], *, keep: Sequence[str] = ()) -> None:
        """Remove the files' points, but not those of a version to keep."""

    def search(self, search: Search) -> list[Hit]:
        """The best points first."""

    def count(self) -> int:
        """How many points there are."""

    def points(self, after: str | None, limit: int, *, file: str | None = None) -> list[Point]:
        """The next points, of one file perhaps, by ascending id; fewer than `limit` are the last.

        A dense vector comes back with length one, whatever it had.
        """


def every(index: Index, page: int, *, file: str | None = None) -> Iterator[Point]:
    """Every point, of one file perhaps; between pages others may use the index."""
    after = None
    while found := index.points(after, page, file=file):
        yield from found
        after = found[-1].id


def preferred_engine() -> str:
    """`edge`, Qdrant's engine inside the process, where its wheel exists; `local` elsewhere."""
    return "edge" if importlib.util.find_spec("qdrant_edge") else "local"


def open_index(engine: str, folder: Path, kept_s: float = KEPT_S) -> Index:
    """The index in the folder, held by the engine inside the process that made it.

    It may stay open for `kept_s` seconds after a question.
    """
    if engine == "local":
        from localai.rag.client import LocalIndex  # noqa: PLC0415 - imports for over a second

        return LocalIndex(folder)
    try:
        from localai.rag.edge import EdgeIndex  # noqa: PLC0415 - has no wheel on some machines
    except ImportError as error:
        message = "this collection was made with qdrant-edge-py, which is not installed"
        raise Unavailable(message, hint="pip install qdrant-edge-py") from error
    return EdgeIndex(folder, kept_s)


def destroy(folder: Path) -> None:
    """Remove the index, its lock and what a crash left of making it, if they are there."""
    shutil.rmtree(unfinished(folder), ignore_errors=True)
    if folder.exists():
        with alone(folder):
            shutil.rmtree(folder, ignore_errors=True)
    _lock(folder).unlink(missing_ok=True)


def unfinished(folder: Path) -> Path:
    """Where an index is made before it takes its place."""
    return folder.with_suffix(".new")


@contextmanager
def alone(folder: Path) -> Iterator[Callable[[], bool]]:
    """Hold the index's lock; Conflict if it is gone, or if another process keeps it for long.

    What is yielded says whether anybody waits for it.
    """
    if not folder.exists():
        message = "the index of this collection is gone"
        raise Conflict(message, hint="ai rag collections rm NAME, then ai rag index PATH")
    handle = os.open(_lock(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(handle)
        before = os.fstat(handle).st_mtime_ns
        yield lambda: os.fstat(handle).st_mtime_ns != before
    finally:
        os.close(handle)


def _lock(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _acquire(handle: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                message = "another ai process holds this collection"
                raise Conflict(message, hint="try again when it is done") from error
            os.utime(handle)  # tells the holder that somebody waits
            time.sleep(_RETRY_S)
        else:
            return
