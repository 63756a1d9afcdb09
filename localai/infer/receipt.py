"""What a generation came from, told so that it can be recognised and repeated.

A model file has gigabytes: it is read for its digest only when somebody needs one.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a generation came about; `seed` is None where nothing was left to chance.

    `prompt_sha256` is over the ids of the tokens that the model read, each as four bytes, the
    lowest first. `model_sha256` is None where the file is not the one any more that was loaded.
    """

    engine: str
    model: str
    model_sha256: str | None
    template_sha256: str
    sampler: Mapping[str, float]
    seed: int | None
    prompt_sha256: str


class Weights:
    """A model's file as it is now; `digest` reads it, or knows already."""

    def __init__(self, file: Path, digest: Callable[[Path], str]) -> None:
        self._file = file
        self._read = digest
        self._state = state_of(file)

    @property
    def version(self) -> str:
        """Another whenever the file is; costs no reading."""
        return "-".join(map(str, self._state))

    @property
    def sha256(self) -> str | None:
        """The file's digest, None where it has changed since."""
        try:
            found = self._digest
            return found if state_of(self._file) == self._state else None
        except OSError:
            return None

    @cached_property
    def _digest(self) -> str:
        return self._read(self._file)


def state_of(file: Path) -> tuple[int, ...]:
    """What is another whenever the file is; mtime can be set at will, ctime cannot."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def file_sha256(file: Path) -> str:
    """The digest of the whole file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """The digest of the text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def tokens_sha256(tokens: Sequence[int]) -> str:
    """The digest of the tokens' ids."""
    return hashlib.sha256(struct.pack(f"<{len(tokens)}i", *tokens)).hexdigest()
