"""Files to text: which files under a path are documents, and what they say.

Only reads. Never follows a symbolic link, so nothing outside the named path is ever taken in.
"""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

Kind = Literal["markdown", "text", "code"]

MAX_BYTES = 2_000_000
MAX_DOCUMENT_BYTES = 100_000_000

_NOT_DOCUMENTS = frozenset({"node_modules", "__pycache__"})
_MARKDOWN = frozenset({".md", ".markdown", ".mdx"})
_CODE_LIST = (
    ".bash .c .cc .cfg .conf .cpp .dart .go .h .hpp .ini .java .jl .js .json .jsx"
    " .cs .css .kt .lua .m .php .pl .ps1 .py .pyi .r .rb .rs .scala .scss .sh .sql .swift"
    " .tf .toml .ts .tsx .vue .xml .yaml .yml .zig .zsh"
)
_CODE = frozenset(_CODE_LIST.split())
_DOCUMENT_LIST = ".csv .docx .epub .htm .html .hwpx .ipynb .pdf .pptx .tsv .xhtml .xlsx"
_DOCUMENTS = frozenset(_DOCUMENT_LIST.split())
_IGNORE = ".gitignore"
_MARKS = (b"\xff\xfe", b"\xfe\xff")  # how UTF-16 begins


@dataclass(frozen=True)
class Part:
    """Text from one place of a document: `p. 3`, `Sheet1!A2:F40`."""

    place: str
    text: str
    kind: Kind = "text"


@dataclass(frozen=True)
class Source:
    """One file as text; `sha256` is of its bytes, `name` is relative to the root.

    A document's text is in `parts`, once it was read. A `title` stands before its passages
    instead of the name.
    """

    path: Path
    root: Path
    name: str
    text: str
    sha256: str
    kind: Kind
    title: str = ""
    is_document: bool = False
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A file or folder that is not taken in; `is_error` when reading it failed."""

    path: Path
    reason: str
    is_error: bool = False


def walk(top: Path, exclude: Sequence[str] = ()) -> Iterator[Path | Refused]:
    """Every file at or under `top`, in a stable order.

    Hidden ones are passed over in silence, and so is what a .gitignore under `top` names.
    """
    if top.is_file():
        yield top
        return
    folders: list[tuple[Path, tuple[_Ignored, ...]]] = [(top, ())]
    while folders:
        folder, ignored = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Refused(folder, f"cannot be read: {error.strerror}", is_error=True)
            continue
        if any(entry.name == _IGNORE and entry.is_file(follow_symlinks=False) for entry in entries):
            ignored = (*ignored, _Ignored.of(folder))
        wanted = [entry for entry in entries if _is_wanted(entry, top, exclude, ignored)]
        yield from (_found(entry) for entry in wanted if not entry.is_dir(follow_symlinks=False))
        inner = [Path(entry.path) for entry in wanted if entry.is_dir(follow_symlinks=False)]
        folders.extend((each, ignored) for each in reversed(inner))


@dataclass(frozen=True)
class _Ignored:
    """What the .gitignore of a folder names."""

    folder: Path
    spec: "GitIgnoreSpec"

    @classmethod
    def of(cls, folder: Path) -> "_Ignored":
        from pathspec import GitIgnoreSpec  # noqa: PLC0415 - 40 ms that no question pays

        try:
            text = (folder / _IGNORE).read_text(encoding="utf-8", errors="replace")
            return cls(folder, GitIgnoreSpec.from_lines(text.splitlines()))
        except (OSError, ValueError):  # one that makes no sense hides nothing
            return cls(folder, GitIgnoreSpec.from_lines([]))

    def says(self, entry: os.DirEntry[str]) -> bool | None:
        """Whether it names the entry; None where it is silent, False where it takes it back."""
        name = Path(entry.path).relative_to(self.folder).as_posix()
        is_folder = entry.is_dir(follow_symlinks=False)
        return self.spec.check_file(f"{name}/" if is_folder else name).include


def read(path: Path, root: Path) -> Source | Refused:
    """The file's text, NFC and with plain newlines; Refused says why there is none.

    A document is only looked at: its text is read by a process of its own.
    """
    is_document = path.suffix.lower() in _DOCUMENTS
    most = MAX_DOCUMENT_BYTES if is_document else MAX_BYTES
    try:
        with open(path, "rb", opener=_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):  # it was one when the folder was listed
                return Refused(path, "not a regular file")
            if status.st_size > most:
                return Refused(path, f"larger than {most // 1_000_000} MB")
            if is_document:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                return Source(path, root, shown(path, root), "", digest, "text", is_document=True)
            data = file.read(most)
    except OSError as error:
        return Refused(path, f"cannot be read: {error.strerror}", is_error=True)
    text = decoded(data)
    if text is None:
        return Refused(path, "not text in UTF-8, UTF-16 or CP949")
    digest = hashlib.sha256(data).hexdigest()
    return Source(path, root, shown(path, root), text, digest, kind_of(path))


def _at_once(path: str, flags: int) -> int:
    """Open without following a link or waiting for who writes into a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


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


def _is_wanted(
    entry: os.DirEntry[str], top: Path, exclude: Sequence[str], ignored: Sequence[_Ignored]
) -> bool:
    if entry.name.startswith(".") or entry.name in _NOT_DOCUMENTS:
        return False
    # The nearest .gitignore that has an opinion wins, as git has it.
    said = (each.says(entry) for each in reversed(ignored))
    if next((answer for answer in said if answer is not None), False):
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
