"""Reads an archive of a collection that anybody may have made.

Nothing in it is believed: every value has its type and its bounds, a line and the whole have a
greatest size, and no path in it is ever opened. What does not fit is Invalid.
"""

import io
import math
import re
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

from localai.core.errors import Invalid, LocalaiError, NotFound, Unavailable
from localai.rag.archive import FILES, FORMAT, MANIFEST, POINTS, Manifest, unpacked
from localai.rag.catalog import File
from localai.rag.index import Point
from localai.rag.sparse import Sparse
from localai.rag.values import flag, numbers, record, string, text, whole

MAX_LINE = 2_000_000
MAX_DIM = 65_536
MAX_TERMS = 65_536
MAX_COUNT = 100_000_000
# Real archives unpack to three or four times their size; deflate can reach a thousand.
MAX_GROWTH = 100
SMALL = 16_000_000

_DIRECTORY = 1_000_000  # bytes: ours needs less than a thousand
_EXACT = 1 << 53
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,199}")
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PAYLOAD = {
    "file": str,
    "version": str,
    "root": str,
    "source": str,
    "title": str,
    "text": str,
    "start_line": int,
    "end_line": int,
}

T = TypeVar("T")


class Archive:
    """An open archive; `manifest` was read and fits."""

    def __init__(self, archive: zipfile.ZipFile, file: Path) -> None:
        self._archive = archive
        self._file = file
        self._left = max(SMALL, file.stat().st_size * MAX_GROWTH)
        self.manifest = _manifest(next(self._records(MANIFEST)))

    def files(self) -> Iterator[File]:
        """The files by ascending path, as many as the manifest says."""
        read = map(_file, self._records(FILES))
        with _translated(self._file):
            yield from _ascending(read, self.manifest.files, lambda file: file.path)

    def points(self) -> Iterator[Point]:
        """The passages by ascending id, as many as the manifest says."""
        dim = self.manifest.dim
        read = (_point(each, dim) for each in self._records(POINTS))
        with _translated(self._file):
            yield from _ascending(read, self.manifest.points, lambda point: point.id)

    def _records(self, name: str) -> Iterator[dict[str, Any]]:
        with self._archive.open(name) as member:
            lines = io.BufferedReader(cast("io.RawIOBase", member))
            while line := lines.readline(MAX_LINE + 1):
                self._left -= len(line)
                if len(line) > MAX_LINE or self._left < 0:
                    raise ValueError("larger than an archive of its size can be")
                yield record(line)


@contextmanager
def opened(file: Path) -> Iterator[Archive]:
    """The archive in the file; whatever is wrong with it is Invalid, and says what."""
    if not file.is_file():
        raise NotFound(f"there is no file {file}", hint="ai rag collections export NAME FILE")
    with ExitStack() as held:
        with _translated(file):
            archive = held.enter_context(zipfile.ZipFile(held.enter_context(_Bounded(file))))
            _check_members(archive)
            found = Archive(archive, file)
        yield found


@contextmanager
def _translated(file: Path) -> Iterator[None]:
    try:
        yield
    except LocalaiError:
        raise
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        raise Unavailable(message, hint="check who may read it") from error
    except (
        EOFError,
        LookupError,
        NotImplementedError,
        RecursionError,
        StopIteration,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        message = f"{file} is no whole archive of a collection"
        raise Invalid(message, hint="make it again: ai rag collections export NAME FILE") from error


class _Bounded(io.FileIO):
    """A file that never gives much at once: zipfile believes the sizes that it finds."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = _DIRECTORY + 1 if size is None or size < 0 else min(size, _DIRECTORY + 1)
        found = super().read(wanted) or b""
        if len(found) > _DIRECTORY:
            raise zipfile.BadZipFile("its list of members is too long")
        return found


def _check_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if sorted(each.filename for each in members) != sorted((FILES, MANIFEST, POINTS)):
        raise ValueError("other members than an archive has")
    if any(each.compress_type not in _PLAIN or each.flag_bits & 1 for each in members):
        raise ValueError("packed in another way than archives are")


def _ascending(found: Iterator[T], promised: int, key: Callable[[T], str]) -> Iterator[T]:
    """What is found, where it is in order, each once, and as many as promised."""
    count, before = 0, ""
    for each in found:
        if key(each) <= before:
            raise ValueError("lines that are not in order")
        count, before = count + 1, key(each)
        yield each
    if count != promised:
        raise ValueError(f"{count} lines instead of {promised}")


def _manifest(found: dict[str, Any]) -> Manifest:
    version = whole(found, "format", 1, MAX_COUNT)
    if version > FORMAT:
        message = f"the archive is of a newer localai (format {version}, mine {FORMAT})"
        raise Unavailable(message, hint="pip install --upgrade localai-suite")
    average = found["average_terms"]
    if not (isinstance(average, float | int) and math.isfinite(average) and average >= 0):
        raise ValueError("average_terms is no number")
    model = text(found, "model")
    if not _MODEL.fullmatch(model):  # hints name it, and people type what hints say
        raise ValueError("model is no name of a model")
    return Manifest(
        format=version,
        localai=text(found, "localai"),
        created_at=text(found, "created_at"),
        name=text(found, "name"),
        description=text(found, "description"),
        model=model,
        dim=whole(found, "dim", 1, MAX_DIM),
        is_multilingual=flag(found, "is_multilingual"),
        tokenizer_version=whole(found, "tokenizer_version", 0, MAX_COUNT),
        average_terms=float(average),
        files=whole(found, "files", 0, MAX_COUNT),
        points=whole(found, "points", 0, MAX_COUNT),
    )


def _file(found: dict[str, Any]) -> File:
    digest = text(found, "sha256")
    if not digest:
        raise ValueError("a file without a digest")
    return File(
        path=text(found, "path"),
        root=text(found, "root"),
        source=text(found, "source"),
        sha256=digest,
        chunks=whole(found, "chunks", 0, MAX_COUNT),
        is_trusted=flag(found, "is_trusted"),
        version=text(found, "version"),
    )


def _point(found: dict[str, Any], dim: int) -> Point:
    id_ = found["id"]
    if not isinstance(id_, str) or str(uuid.UUID(id_)) != id_:
        raise ValueError("an id that is no UUID")
    return Point(id_, _dense(found["dense"], dim), _sparse(found), _payload(found["payload"]))


def _dense(packed: object, dim: int) -> tuple[float, ...] | None:
    if packed is None:
        return None
    found = numbers(packed)
    if len(found) != dim or not any(found):
        raise ValueError("a vector of another size, or of none")
    return found


def _sparse(found: dict[str, Any]) -> Sparse:
    values = numbers(found["values"])
    indices = unpacked(string(found["indices"]), "I")
    if len(indices) != len(values) or len(values) > MAX_TERMS:
        raise ValueError("words and weights that do not pair")
    if any(first >= second for first, second in pairwise(indices)):
        raise ValueError("words that are not in order")
    return Sparse(indices, values)


def _payload(found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("a passage without a text")  # noqa: TRY004 - all that is wrong is one kind
    for key, kind in _PAYLOAD.items():
        if type(found[key]) is not kind:
            raise ValueError(f"{key} is of another kind")
    for value in (*found, *found.values()):
        if isinstance(value, str):
            value.encode()  # half of a pair cannot be stored
        elif value is not None and not (isinstance(value, int) and abs(value) < _EXACT):
            raise ValueError("a passage with more than text and numbers")
    return found
