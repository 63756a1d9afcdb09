"""Targets: which sources are meant by what was typed - a path, a pattern, an address, a pipe."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

from localai.core.address import address, is_address
from localai.core.errors import Invalid, LocalaiError, NotFound, Unavailable
from localai.rag.catalog import File
from localai.rag.pages import held
from localai.rag.records import Piped
from localai.rag.sources import (
    Held,
    Refused,
    Source,
    Untouched,
    most_bytes,
    read,
    shown,
    taken,
)
from localai.rag.walk import fitting, walk

if TYPE_CHECKING:
    from localai.core.web import Fetched
    from localai.rag.seen import Seen

# Reads one source; None where it is gone from where it was.
Lead = Callable[[], Source | Refused | Untouched | None]

_PIPE: Final = "-"
_PIPED: Final = "stdin:"
_WILD: Final = re.compile(r"[*?\[]")
_PIPE_NAME: Final = re.compile(r"[^\x00-\x1f\x7f/]{1,200}")


class Target(Protocol):
    """Sources that somebody meant."""

    def find(self, exclude: Sequence[str]) -> list[Lead]:
        """The sources that are there now."""

    def holds(self, key: str) -> bool:
        """Whether a source of the collection is meant, be it there or not."""

    def shown(self, key: str) -> str:
        """What people call a source of it."""


class Targets:
    """Reads what was typed, for a collection of these files.

    `fetch` gets a page; what comes from elsewhere, or is not `is_trusted`, says so. What `seen`
    says nobody touched since an earlier run is not read again.
    """

    def __init__(
        self,
        files: Mapping[str, File],
        *,
        fetch: Callable[[str], "Fetched"],
        piped: Piped | None,
        is_trusted: bool,
        seen: "Seen | None" = None,
    ) -> None:
        self._files = files
        self._fetch = fetch
        self._piped = piped
        self._is_trusted = is_trusted
        self._seen = seen

    def of(self, typed: Sequence[str | Path]) -> list[Target]:
        """What each of them means, each once; NotFound where nothing is and nothing was."""
        texts = [each for each in typed if isinstance(each, str)]
        addresses = dict.fromkeys(str(address(each)) for each in texts if is_address(each))
        is_piped = _PIPE in texts
        if self._piped and self._piped.name is not None and not is_piped:
            message = "only standard input takes a name"
            raise Invalid(message, hint="ai rag index - --name NAME")
        places = [
            Path(each)
            for each in typed
            if isinstance(each, Path) or not (each == _PIPE or is_address(each))
        ]
        found: list[Target] = [*self._in_places(places)]
        found += [_Address(url, self._fetch, is_known=url in self._files) for url in addresses]
        found += [self._pipe()] if is_piped else []
        self._try(found)
        return found

    def _in_places(self, places: Sequence[Path]) -> Iterator[Target]:
        """Trees and patterns; a folder inside one that was indexed before keeps its names."""
        resolved = dict.fromkeys(map(_resolved, places))
        wild = [path for path in resolved if self._is_pattern(path)]
        paths = resolved.keys() - set(wild)
        roots = {file.root for file in self._files.values()}
        for path in resolved:
            if path in paths and paths.isdisjoint(path.parents):
                self._must_be_there(path)
                yield self._tree(path, roots)
        for path in wild:
            pattern = self._pattern(path, roots)
            self._must_match(pattern)
            yield pattern

    def _tree(self, path: Path, roots: set[str]) -> "_Tree":
        root = _root(path, roots)
        base = root.parent if root.is_file() else root
        return _Tree(path, root, base, self._is_trusted, self._untouched)

    def _pattern(self, path: Path, roots: set[str]) -> "_Pattern":
        top = next(up for up in path.parents if up.exists() or not _WILD.search(str(up)))
        line = f"/{path.relative_to(top)}".replace(" ", r"\ ")
        return _Pattern(path, self._tree(top, roots), fitting(line))

    def _untouched(self, path: Path) -> Untouched | Refused | None:
        """What is known of a file without reading it, where nobody touched it since."""
        if self._seen is None or not self._seen.is_untouched(path):
            return None
        known = self._files.get(str(path))
        if known and known.sha256:
            return Untouched(known.path, known.source)
        return self._seen.refused(str(path))

    def _is_pattern(self, path: Path) -> bool:
        is_wild = _WILD.search(str(path)) is not None
        return is_wild and not path.exists() and not self._is_known(path)

    def _is_known(self, path: Path) -> bool:
        return any(is_under(key, str(path)) for key in self._files)

    def _must_be_there(self, path: Path) -> None:
        if not self._is_known(path):
            must_exist(path)

    def _must_match(self, pattern: "_Pattern") -> None:
        if not any(map(pattern.holds, self._files)) and not pattern.find(()):
            message = f"nothing is there that {pattern.path} means"
            raise NotFound(message, hint="name a file or a folder that is there")

    def _pipe(self) -> Target:
        if self._piped is None:
            raise Invalid("standard input cannot be read here", hint="ai rag index PATH")
        name = unicodedata.normalize("NFC", self._piped.name or "stdin")
        if not _PIPE_NAME.fullmatch(name) or not name.isprintable():
            message = "this cannot name what is read from standard input"
            raise Invalid(message, hint="ai rag index - --name notes.md")
        return _Pipe(name, self._piped.stream)

    def _try(self, found: Sequence[Target]) -> None:
        """Fetch a new page that was named alone at once: its failure is all there is to say."""
        only = found[0] if len(found) == 1 else None
        if isinstance(only, _Address) and not only.is_known:
            only.fetch_now()


def must_exist(path: Path) -> None:
    """Raise NotFound for a path where nothing is, Unavailable for one that makes no sense."""
    if not _resolved(path).exists():
        message = f"there is no file or folder {path}"
        raise NotFound(message, hint="name one that is there")


def again(files: Iterable[File], fetch: Callable[[str], "Fetched"]) -> Iterator[Target]:
    """The sources of a collection, each by itself, under the names that they have there."""
    for file in files:
        if is_address(file.path):
            yield _Address(file.path, fetch, is_known=True)
        else:
            yield _Original(file)


@dataclass(frozen=True)
class _Tree:
    """A file, or all that is under a folder; names are relative to `base`."""

    path: Path
    root: Path
    base: Path
    is_trusted: bool
    untouched: Callable[[Path], Untouched | Refused | None] = lambda _: None

    def find(self, exclude: Sequence[str]) -> list[Lead]:
        found = walk(self.path, exclude) if self.path.exists() else ()
        return [self.lead(each) for each in found]

    def lead(self, found: Path | Refused) -> Lead:
        return (lambda: found) if isinstance(found, Refused) else partial(self._read, found)

    def holds(self, key: str) -> bool:
        return is_under(key, str(self.path))

    def shown(self, key: str) -> str:
        return shown(Path(key), self.base)

    def _read(self, path: Path) -> Source | Refused | Untouched:
        found = self.untouched(path) or read(path, self.base)
        if not isinstance(found, Source):
            return found
        return replace(found, root=str(self.root), is_trusted=self.is_trusted)


@dataclass(frozen=True)
class _Pattern:
    """The files under a folder that a pattern fits: `notes/**/*.md`."""

    path: Path
    tree: _Tree
    fits: Callable[[Path], bool]

    def find(self, exclude: Sequence[str]) -> list[Lead]:
        top = self.tree.path
        found = walk(top, exclude) if top.is_dir() else ()
        return [self.tree.lead(each) for each in found if self._concerns(each)]

    def holds(self, key: str) -> bool:
        return self.tree.holds(key) and self._fits(key)

    def shown(self, key: str) -> str:
        return self.tree.shown(key)

    def _concerns(self, found: Path | Refused) -> bool:
        if isinstance(found, Refused):
            return found.is_error or self._fits(found.key)
        return self._fits(str(found))

    def _fits(self, key: str) -> bool:
        return self.fits(Path(key).relative_to(self.tree.path))


@dataclass(frozen=True)
class _Original:
    """What was indexed before, where it was; standard input cannot be read again."""

    file: File

    def find(self, exclude: Sequence[str]) -> list[Lead]:  # noqa: ARG002 - it was taken in once
        path, root = Path(self.file.path), Path(self.file.root)
        base = root.parent if root.is_file() else root
        tree = _Tree(path, root, base, self.file.is_trusted)
        is_piped = self.file.path.startswith(_PIPED)
        if path.is_file() and not path.is_symlink():
            return [tree.lead(path)]
        return [tree.lead(Refused(self.file.path, "gone", is_error=is_piped))]

    def holds(self, key: str) -> bool:
        return key == self.file.path

    def shown(self, key: str) -> str:  # noqa: ARG002 - it has one name
        return self.file.source


class _Address:
    """One page of the web."""

    def __init__(self, url: str, fetch: Callable[[str], "Fetched"], *, is_known: bool) -> None:
        self.url = url
        self.is_known = is_known
        self._fetch = fetch
        self._page: Fetched | None = None

    def fetch_now(self) -> None:
        """Fetch the page and keep it until it is read; see Web.fetch for what may be raised."""
        self._page = self._fetch(self.url)

    def find(self, exclude: Sequence[str]) -> list[Lead]:  # noqa: ARG002 - it was named itself
        return [self._read]

    def holds(self, key: str) -> bool:
        return key == self.url

    def shown(self, key: str) -> str:
        return key

    def _read(self) -> Source | Refused | None:
        try:
            page = self._page or self._fetch(self.url)
        except LocalaiError as error:  # the other targets go on
            if self.is_known and isinstance(error, NotFound):
                return None
            return Refused(self.url, error.message, is_error=True)
        found = held(page)
        if isinstance(found, str):
            return Refused(self.url, found)
        return _from_elsewhere(taken(self.url, self.url, found))


@dataclass(frozen=True)
class _Pipe:
    """What standard input says."""

    name: str
    stream: IO[bytes]

    def find(self, exclude: Sequence[str]) -> list[Lead]:  # noqa: ARG002 - it has no path
        return [self._read]

    def holds(self, key: str) -> bool:
        return key == self._key

    def shown(self, key: str) -> str:
        return key.removeprefix(_PIPED)

    @property
    def _key(self) -> str:
        return f"{_PIPED}{self.name}"

    def _read(self) -> Source | Refused:
        suffix = Path(self.name).suffix
        data = self.stream.read(most_bytes(suffix) + 1)
        return _from_elsewhere(taken(self._key, self.name, Held(data, suffix)))


def _from_elsewhere(found: Source | Refused) -> Source | Refused:
    return found if isinstance(found, Refused) else replace(found, is_trusted=False)


def _resolved(path: Path) -> Path:
    try:
        found = path.expanduser().resolve()
        found.exists()
        str(found).encode()
    except (OSError, RuntimeError, ValueError) as error:
        message = f"{shown(path, path.parent)} cannot be read"
        raise Unavailable(message, hint="check its name and who may read it") from error
    return found


def _root(path: Path, roots: set[str]) -> Path:
    """The outermost folder above the path that was indexed before, or the path itself."""
    return next((each for each in reversed([path, *path.parents]) if str(each) in roots), path)


def is_under(key: str, top: str) -> bool:
    """Whether the key is that of a file at or under the path; nothing is under other keys."""
    return key == top or (top.startswith("/") and key.startswith(f"{top.rstrip('/')}/"))
