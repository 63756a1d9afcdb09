"""Sources: what a file, a page or a pipe says, as text, and what identifies it."""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Kind = Literal["markdown", "rst", "asciidoc", "org", "text", "code"]

MAX_BYTES: Final = 2_000_000
MAX_DOCUMENT_BYTES: Final = 100_000_000

_PROSE: Final[dict[str, Kind]] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".rst": "rst",
    ".rest": "rst",
    ".adoc": "asciidoc",
    ".asciidoc": "asciidoc",
    ".org": "org",
}
_CODE_LIST = (
    ".bash .c .cc .cfg .conf .cpp .dart .go .h .hpp .ini .java .jl .js .json .jsx"
    " .cs .css .kt .lua .m .php .pl .ps1 .py .pyi .r .rb .rs .scala .scss .sh .sql .swift"
    " .tf .toml .ts .tsx .vue .xml .yaml .yml .zig .zsh"
)
_CODE = frozenset(_CODE_LIST.split())
_DOCUMENT_LIST = ".csv .docx .epub .htm .html .hwpx .ipynb .pdf .pptx .tsv .xhtml .xlsx"
_DOCUMENTS = frozenset(_DOCUMENT_LIST.split())
# On Linux a folder may be passed through without the right to list it.
_PASSED = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MARKS = (b"\xff\xfe", b"\xfe\xff")  # how UTF-16 begins


@dataclass(frozen=True)
class Part:
    """Text from one place of a document: `p. 3`, `Sheet1!A2:F40`; `title` stands for the name."""

    place: str
    text: str
    kind: Kind = "text"
    title: str = ""


@dataclass(frozen=True)
class Held:
    """The bytes of what is no file here, and the suffix that says how they are read."""

    data: bytes
    suffix: str


@dataclass(frozen=True)
class Definition:
    """A function, a method or a class: its place in the text, and the names that lead to it."""

    start: int
    end: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A text; `key` identifies it, `root` is what a user named, `sha256` is of its bytes.

    The key of a file is its path, that of a page its address. A document's text is in `parts`,
    once it was read from its `origin`, and the `outline` of code is what it defines. A `title`
    stands before its passages instead of the name.
    """

    key: str
    root: str
    name: str
    text: str
    sha256: str
    kind: Kind
    title: str = ""
    origin: Path | Held | None = None
    is_document: bool = False
    parts: tuple[Part, ...] = ()
    outline: tuple[Definition, ...] = ()
    is_trusted: bool = True


@dataclass(frozen=True)
class Refused:
    """A source, or a folder of them, that is not taken in; `is_error` when reading it failed."""

    key: str
    reason: str
    is_error: bool = False


@dataclass(frozen=True)
class Untouched:
    """A source that nobody changed since it was taken in; it was not read again."""

    key: str
    name: str


# Reads one source; None where it is gone from where it was.
Lead = Callable[[], Source | Refused | Untouched | None]


def read(path: Path, base: Path) -> Source | Refused:
    """The file's text, NFC and with plain newlines; Refused says why there is none.

    A document is only looked at: its text is read by a process of its own.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):  # it was one when the folder was listed
                return Refused(str(path), "not a regular file")
            if status.st_size > most_bytes(path.suffix):
                return _too_large(str(path), path.suffix)
            if is_document(path.suffix):
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                return _document(str(path), shown(path, base), digest, path)
            data = file.read(most_bytes(path.suffix))
    except OSError as error:
        return Refused(str(path), f"cannot be read: {error.strerror}", is_error=True)
    return _text(str(path), shown(path, base), data, path)


def _at_once(path: str, flags: int) -> int:
    """Open without following a link, or waiting for who writes into a pipe.

    The path was resolved, so a link in it was put there since, perhaps to lead elsewhere.
    """
    top, *steps = Path(path).absolute().parts
    handle = os.open(top, _PASSED)
    try:
        for step in steps[:-1]:
            below = os.open(step, _PASSED, dir_fd=handle)
            os.close(handle)
            handle = below
        return os.open(steps[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
    finally:
        os.close(handle)


def taken(key: str, name: str, held: Held) -> Source | Refused:
    """What came from elsewhere, as `read` has a file."""
    if len(held.data) > most_bytes(held.suffix):
        return _too_large(key, held.suffix)
    if is_document(held.suffix):
        return _document(key, name, hashlib.sha256(held.data).hexdigest(), held)
    return _text(key, name, held.data, held)


def spoken(key: str, name: str, text: str) -> Source | Refused:
    """A text that somebody sent, as `read` has a file; no name makes a document of it."""
    held = Held(text.encode("utf-8", "replace"), Path(name).suffix)
    if len(held.data) > MAX_BYTES:
        return Refused(key, f"larger than {MAX_BYTES // 1_000_000} MB")
    return _text(key, name, held.data, held)


def kind_of(suffix: str) -> Kind:
    """How the text of a file is built, judged by its suffix."""
    return _PROSE.get(suffix.lower(), "code" if suffix.lower() in _CODE else "text")


def is_known(suffix: str) -> bool:
    """Whether the suffix says how a file is read; all others are plain text."""
    return is_document(suffix) or kind_of(suffix) != "text"


def is_document(suffix: str) -> bool:
    """Whether files of this suffix are read by a process of its own."""
    return suffix.lower() in _DOCUMENTS


def most_bytes(suffix: str) -> int:
    """How large a file of this suffix may be."""
    return MAX_DOCUMENT_BYTES if is_document(suffix) else MAX_BYTES


def shown(path: Path, base: Path) -> str:
    """The path as people read it: from the base where it lies there, NFC, always encodable."""
    relative = path.relative_to(base) if path.is_relative_to(base) else path
    text = os.fsencode(relative).decode("utf-8", "replace")
    return unicodedata.normalize("NFC", text)


def _document(key: str, name: str, digest: str, origin: Path | Held) -> Source:
    return Source(key, key, name, "", digest, "text", origin=origin, is_document=True)


def _text(key: str, name: str, data: bytes, origin: Path | Held) -> Source | Refused:
    text = decoded(data)
    if text is None:
        return Refused(key, "not text in UTF-8, UTF-16 or CP949")
    digest = hashlib.sha256(data).hexdigest()
    return Source(key, key, name, text, digest, kind_of(origin.suffix), origin=origin)


def _too_large(key: str, suffix: str) -> Refused:
    return Refused(key, f"larger than {most_bytes(suffix) // 1_000_000} MB")


def decoded(data: bytes) -> str | None:
    """The text of a file in UTF-8, UTF-16 or CP949, NFC; None where it is none of these."""
    if data.startswith(b"%PDF-"):
        return None
    encodings = ("utf-16",) if data.startswith(_MARKS) else ("utf-8-sig", "cp949")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        # macOS writes names, and some programs texts, in NFD; a query is typed in NFC.
        return None if "\0" in text else plain(text)
    return None


def plain(text: str) -> str:
    """The text, NFC and with plain newlines."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
