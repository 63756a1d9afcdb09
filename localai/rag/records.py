"""What enters and leaves the room: reports, collections, passages, answers."""

from dataclasses import dataclass
from typing import IO, Literal

# The embedding model that ships; English, 192 numbers.
SHIPPED_MODEL = "localai/static-192"
# The one of the package localai-minilm; English, 384 numbers.
COMPANION_MODEL = "localai/minilm-l6-v2-int8"
# A small one of fastembed's list that knows Korean and English.
MULTILINGUAL_MODEL = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"


Action = Literal["added", "updated", "unchanged", "removed", "skipped"]
Trust = Literal["trusted", "untrusted"]
CollectionTrust = Literal["trusted", "untrusted", "mixed"]


@dataclass(frozen=True)
class Piped:
    """Standard input, and the name that it goes by; its suffix says how it is read."""

    name: str | None
    stream: IO[bytes]


@dataclass(frozen=True)
class Progress:
    """How far an index run has come: `done` of `total` files looked at, and the last of them."""

    done: int
    total: int
    source: str
    action: Action


@dataclass(frozen=True)
class Skipped:
    """A file that was not indexed, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class IndexReport:
    """What an index run did, in files; `chunks` counts the passages that it wrote."""

    collection: str
    added: int
    updated: int
    unchanged: int
    removed: int
    skipped: tuple[Skipped, ...]
    chunks: int
    seconds: float


@dataclass(frozen=True)
class Touched:
    """A file that an index run took in anew or removed."""

    source: str
    action: Action


@dataclass(frozen=True)
class WatchRun(IndexReport):
    """An index run of a watch, in RFC 3339; `skipped` are those that the run before did not name.

    `files` are the first of those that were added, updated or removed.
    """

    at: str | None
    files: tuple[Touched, ...]


@dataclass(frozen=True)
class Collection:
    """One collection of indexed files; times are RFC 3339 in UTC.

    `trust` is `mixed` where some of its files are trusted and others are not.
    `size_bytes` is what its index takes on disk.
    """

    name: str
    description: str
    model: str
    dim: int
    engine: str
    files: int
    chunks: int
    size_bytes: int
    roots: tuple[str, ...]
    created_at: str | None
    updated_at: str | None
    trust: CollectionTrust = "trusted"


@dataclass(frozen=True)
class Chosen:
    """The models for documents; `others` are the collections that another model made."""

    model: str
    reranker: str
    others: tuple[Collection, ...]


@dataclass(frozen=True)
class Exported:
    """What was written to an archive, and which files were not whole just then."""

    collection: str
    file: str
    files: int
    chunks: int
    left_out: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True)
class Imported:
    """The collection that an archive became; `is_ready` where its embedding model is here."""

    collection: str
    files: int
    chunks: int
    model: str
    is_ready: bool
    has_replaced: bool


@dataclass(frozen=True)
class Passage:
    """A piece of a file; `n` is what an answer cites.

    `location` gives its lines as `L12-L30`, or its place in a document: `p. 3`, `Sheet1!A2:F40`.
    It is `untrusted` where a stranger may have written it: a page, a pipe, what was marked so.
    `uri` is where it can be opened; empty for what was piped in.
    """

    n: int
    source: str
    title: str
    location: str
    score: float
    text: str
    trust: Trust = "trusted"
    uri: str = ""


@dataclass(frozen=True)
class Answer:
    """The passages found for a question, best first; `model` is the one that embedded them.

    `answer` is None where no language model was asked for one.
    """

    question: str
    collection: str
    answer: str | None
    passages: tuple[Passage, ...]
    model: str
    timings_ms: dict[str, float]
