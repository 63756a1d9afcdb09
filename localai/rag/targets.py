"""Targets: which sources are meant by what was typed - a path, a pattern, an address, a pipe."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

from localai.core.address import address, is_address
from localai.core.errors import Invalid, LocalaiError, NotFound
from localai.rag.catalog import File
from localai.rag.pages import held
from localai.rag.places import (
    Original,
    Pattern,
    Tree,
    Trees,
    is_under,
    is_wild,
    must_exist,
    resolved,
)
from localai.rag.records import Piped
from localai.rag.sources import Held, Lead, Refused, Source, Untouched, most_bytes, taken

if TYPE_CHECKING:
    from localai.core.web import Fetched
    from localai.rag.seen import Seen

_PIPE: Final = "-"
_PIPED: Final = "stdin:"
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
        found = dict.fromkeys(map(resolved, places))
        wild = [path for path in found if self._is_pattern(path)]
        paths = found.keys() - set(wild)
        roots = {file.root for file in self._files.values()}
        outermost = [each for each in found if each in paths and paths.isdisjoint(each.parents)]
        for path in outermost:
            self._must_be_there(path)
        if outermost:
            look, is_trusted = self._look, self._is_trusted
            yield Trees(Tree.of(each, roots, look, is_trusted=is_trusted) for each in outermost)
        for path in wild:
            pattern = Pattern.of(path, roots, self._look, is_trusted=self._is_trusted)
            self._must_match(pattern)
            yield pattern

    def _is_pattern(self, path: Path) -> bool:
        return is_wild(path) and not path.exists() and not self._is_known(path)

    def _is_known(self, path: Path) -> bool:
        return any(is_under(key, str(path)) for key in self._files)

    def _must_be_there(self, path: Path) -> None:
        if not self._is_known(path):
            must_exist(path)

    def _look(self, path: Path) -> Untouched | Refused | None:
        if self._seen is None or not self._seen.is_untouched(path):
            return None
        known = self._files.get(str(path))
        if known and known.sha256:
            return Untouched(known.path, known.source)
        return self._seen.refused(str(path))

    def _must_match(self, pattern: Pattern) -> None:
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


def again(
    files: Iterable[File],
    fetch: Callable[[str], "Fetched"],
    former: Callable[[File], Source],
) -> Iterator[Target]:
    """The sources of a collection, each by itself, under the names that they have there.

    `former` is what was said by one that cannot be read just now.
    """
    for file in files:
        is_page = is_address(file.path)
        target = _Address(file.path, fetch, is_known=True) if is_page else Original(file)
        yield _Remembered(target, partial(former, file))


@dataclass(frozen=True)
class _Remembered:
    """A target of one source that falls back on what the source said before."""

    target: Target
    former: Callable[[], Source]

    def find(self, exclude: Sequence[str]) -> list[Lead]:
        return [partial(self._read, lead) for lead in self.target.find(exclude)]

    def holds(self, key: str) -> bool:
        return self.target.holds(key)

    def shown(self, key: str) -> str:
        return self.target.shown(key)

    def _read(self, lead: Lead) -> Source | Refused | Untouched | None:
        found = lead()
        is_unread = isinstance(found, Refused) and found.is_error
        return self.former() if is_unread else found


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
