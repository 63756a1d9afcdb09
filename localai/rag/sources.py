"""Files to text: which files under a path are documents, and what they say.

Only reads. Never follows a symbolic link, so nothing outside the named path is ever taken in.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

Kind = Literal["markdown", "text", "code"]

MAX_BYTES = 2_000_000

_NOT_DOCUMENTS = frozenset({"node_modules", "__pycache__"})
_MARKDOWN = frozenset({".md", ".markdown", ".mdx"})
_CODE_LIST = (
    ".bash .c .cc .cfg .conf .cpp .dart .go .h .hpp .html .ini .java .jl .js .json .jsx"
    " .cs .css .kt .lua .m .php .pl .ps1 .py .pyi .r .rb .rs .scala .scss .sh .sql .swift"
    " .tf .toml .ts .tsx .vue .xml .yaml .yml .zig .zsh"
)
_CODE = frozenset(_CODE_LIST.split())


@dataclass(frozen=True)
class Source:
    """One file as text; `sha256` is of its bytes, `name` is relative to the root.

    A `title` stands before its passages instead of the name.
    """

    path: Path
    root: Path
    name: str
    text: str
    sha256: str
    kind: Kind
    title: str = ""


@dataclass(frozen=True)
class Refused:
    """A file or folder that is not taken in; `is_error` when reading it failed."""

    path: Path
    reason: str
    is_error: bool = False


def walk(top: Path, exclude: Sequence[str] = ()) -> Iterator[Path | Refused]:
    """Every file at or under `top`, in a stable order; hidden ones are passed over in silence."""
    if top.is_file():
        yield top
        return
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Refused(folder, f"cannot be read: {error.strerror}", is_error=True)
            continue
        wanted = [entry for entry in entries if _is_wanted(entry, top, exclude)]
        yield from (_found(entry) for entry in wanted if not entry.is_dir(follow_symlinks=False))
        inner = [Path(entry.path) for entry in wanted if entry.is_dir(follow_symlinks=False)]
        folders.extend(reversed(inner))


def read(path: Path, root: Path) -> Source | Refused:
    """The file's text, NFC and with plain newlines; Refused says why there is none."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return Refused(path, f"larger than {MAX_BYTES // 1_000_000} MB")
        data = path.read_bytes()
    except OSError as error:
        return Refused(path, f"cannot be read: {error.strerror}", is_error=True)
    text = _decoded(data)
    if text is None:
        return Refused(path, "not text in UTF-8 or CP949")
    digest = hashlib.sha256(data).hexdigest()
    return Source(path, root, shown(path, root), text, digest, kind_of(path))


def kind_of(path: Path) -> Kind:
    """How the file's text is built, judged by its suffix."""
    suffix = path.suffix.lower()
    if suffix in _MARKDOWN:
        return "markdown"
    return "code" if suffix in _CODE else "text"


def shown(path: Path, root: Path) -> str:
    """The path as people read it: from the root where it lies there, NFC, always encodable."""
    relative = path.relative_to(root) if path.is_relative_to(root) else path
    text = os.fsencode(relative).decode("utf-8", "replace")
    return unicodedata.normalize("NFC", text)


def _is_wanted(entry: os.DirEntry[str], top: Path, exclude: Sequence[str]) -> bool:
    if entry.name.startswith(".") or entry.name in _NOT_DOCUMENTS:
        return False
    return not _is_excluded(Path(entry.path).relative_to(top), exclude)


def _is_excluded(path: Path, patterns: Sequence[str]) -> bool:
    """Match as readers of .gitignore expect: a bare name at any depth, else the whole path."""
    for pattern in patterns:
        wanted = pattern.rstrip("/").removeprefix("./").removeprefix("**/")
        if fnmatchcase(path.as_posix(), wanted):
            return True
        if "/" not in wanted and fnmatchcase(path.name, wanted):
            return True
    return False


def _found(entry: os.DirEntry[str]) -> Path | Refused:
    path = Path(entry.path)
    if "\ufffd" in shown(path, path.parent):
        return Refused(path, "a name that is not UTF-8")
    if entry.is_symlink():
        return Refused(path, "a symbolic link")
    return path if entry.is_file() else Refused(path, "not a regular file")


def _decoded(data: bytes) -> str | None:
    if b"\0" in data or data.startswith(b"%PDF-"):
        return None
    for encoding in ("utf-8-sig", "cp949"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        # macOS writes names, and some programs texts, in NFD; a query is typed in NFC.
        plain = text.replace("\r\n", "\n").replace("\r", "\n")
        return unicodedata.normalize("NFC", plain)
    return None
