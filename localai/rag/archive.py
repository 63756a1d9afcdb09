"""A collection as one file that another machine can read: what is in it, and how it is written.

A zip of three members: `points.jsonl` (a passage a line, in the order of their ids, with its
vectors), `files.jsonl` (a file a line) and `manifest.json`, which is written last and counts
both. Vectors are numbers of 32 bits, little endian, in base64; a dense one has length one.
"""

import base64
import json
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localai.core.errors import Conflict, NotFound, Unavailable
from localai.rag.catalog import File
from localai.rag.index import Point

# A change that older readers would misunderstand needs a new number.
FORMAT = 1

POINTS = "points.jsonl"
FILES = "files.jsonl"
MANIFEST = "manifest.json"

# Vectors hardly shrink, and the higher levels of deflate take three times as long for a tenth.
_LEVEL = 1


@dataclass(frozen=True)
class Manifest:
    """How the collection was made, and how much of it is here; `created_at` is RFC 3339."""

    format: int
    localai: str
    created_at: str
    name: str
    description: str
    model: str
    dim: int
    is_multilingual: bool
    tokenizer_version: int
    average_terms: float
    files: int
    points: int


class Pack:
    """An archive that is being written, member by member."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def add_points(self, points: Iterable[Point]) -> int:
        """Write the passages; how many there were."""
        return self._add(POINTS, map(_point, points))

    def add_files(self, files: Iterable[File]) -> int:
        """Write the files; how many there were."""
        return self._add(FILES, map(asdict, files))

    def add_manifest(self, manifest: Manifest) -> None:
        """Write what the rest is."""
        self._add(MANIFEST, [asdict(manifest)])

    def _add(self, name: str, records: Iterable[Mapping[str, object]]) -> int:
        count = 0
        member = zipfile.ZipInfo(name)  # of no time: the same collection gives the same bytes
        member.compress_type = zipfile.ZIP_DEFLATED
        with self._archive.open(member, "w", force_zip64=True) as file:
            for record in records:
                file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
                count += 1
        return count


@contextmanager
def writing(target: Path) -> Iterator[Pack]:
    """Write an archive beside its place and put it there when it is whole, for the owner alone.

    Conflict where the place is taken: nothing is ever replaced.
    """
    if os.path.lexists(target):
        raise _taken(target)
    with _translated(target):
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    made = Path(name)
    try:
        with _translated(target):
            with os.fdopen(handle, "wb") as file:
                with zipfile.ZipFile(file, "w", compresslevel=_LEVEL) as archive:
                    yield Pack(archive)
                file.flush()
                os.fsync(file.fileno())
            _place(made, target)
    finally:
        made.unlink(missing_ok=True)


def packed(values: Sequence[float], kind: str = "f") -> str:
    """Numbers as text; `kind` is `f` for floats and `I` for whole numbers."""
    return base64.b64encode(struct.pack(f"<{len(values)}{kind}", *values)).decode()


def unpacked(text: str, kind: str = "f") -> tuple[Any, ...]:
    """The numbers in a text; ValueError for a text that holds none."""
    data = base64.b64decode(text, validate=True)
    if len(data) % 4:
        raise ValueError("a number is cut off")
    return struct.unpack(f"<{len(data) // 4}{kind}", data)


def _point(point: Point) -> dict[str, object]:
    return {
        "id": point.id,
        "dense": None if point.dense is None else packed(point.dense),
        "indices": packed(point.sparse.indices, "I"),
        "values": packed(point.sparse.values),
        "payload": point.payload,
    }


def _place(made: Path, target: Path) -> None:
    try:
        os.link(made, target)  # unlike a rename it replaces nothing
    except FileExistsError as error:
        raise _taken(target) from error
    except OSError:  # a file system without links, as on many sticks
        if os.path.lexists(target):
            raise _taken(target) from None
        made.rename(target)


def _taken(target: Path) -> Conflict:
    return Conflict(f"{target} is there already", hint="name another file")


@contextmanager
def _translated(target: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"there is no folder {target.parent}"
        raise NotFound(message, hint="name a file in a folder that is there") from error
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror}"
        raise Unavailable(message, hint="name another place, or make room") from error
