"""Texts that are no files, such as past messages, found by meaning in an index of their own.

It is made and made again from what the caller keeps, so that losing it loses nothing. Who may
see what is the caller's to check; a collection's name here is one that no command accepts.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from localai.rag.catalog import Entry
from localai.rag.ingest import Ingest
from localai.rag.sources import Source
from localai.rag.store import Store

_NOWHERE: Final = "."


@dataclass(frozen=True)
class Memo:
    """A text under a key; a key's text never changes. A question may be kept to one `root`."""

    key: str
    root: str
    title: str
    text: str


@dataclass(frozen=True)
class Recalled:
    """A piece of a memo that was found."""

    key: str
    score: float
    text: str


class Memory:
    """The memos of one owner."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._name = f"@{owner}"

    def keep(self, keys: Iterable[str], read: Callable[[Sequence[str]], Iterable[Memo]]) -> None:
        """Hold the memos of these keys and no others; `read` gives those that are new."""
        entry = self._entry()
        known = {key for key, file in self._store.catalog.files(self._name).items() if file.sha256}
        wanted = set(keys)
        new = sorted(wanted - known)
        if not new and wanted == known:
            return
        gone = self._store.catalog.files(self._name).keys() - wanted
        self._run(entry).take(map(_source, read(new)), gone=sorted(gone))

    def find(self, text: str, k: int, *, root: str | None = None) -> list[Recalled]:
        """The pieces nearest to the text in words and meaning, best first."""
        entry = self._entry()
        within = None if root is None else root or _NOWHERE
        search = self._store.search(entry, text, k, root=within)
        if search is None:
            return []
        hits = self._store.index(entry).search(search)
        return [Recalled(hit.payload["source"], hit.score, hit.payload["text"]) for hit in hits]

    def forget(self, is_gone: Callable[[str], bool]) -> None:
        """Remove the memos whose keys are gone, where there are any."""
        if entry := self._store.catalog.find(self._name):
            gone = sorted(filter(is_gone, self._store.catalog.files(self._name)))
            self._run(entry).take((), gone=gone)

    def _run(self, entry: Entry) -> Ingest:
        store = self._store
        return Ingest(store.catalog, entry, store.index(entry), store.embedder(entry), None)

    def _entry(self) -> Entry:
        """The index; made anew where another model or another way to cut words made it."""
        entry = self._store.catalog.find(self._name)
        if entry and not (self._store.has_model_of(entry) and self._store.is_current(entry)):
            self._store.remove(entry)
            entry = None
        return entry or self._store.begin(self._name)


def _source(memo: Memo) -> Source:
    root = memo.root or _NOWHERE
    return Source(memo.key, root, memo.key, memo.text, "kept", "text", memo.title)
