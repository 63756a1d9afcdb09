"""A collection made anew from its files, with the model and the way to cut words of today.

The new index is filled beside the old one, which answers until both change places in one
transaction. Interrupted, the next run goes on where it ended.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from localai.core.errors import Conflict
from localai.core.files import locked, private_dir
from localai.rag.catalog import Entry, File
from localai.rag.index import Index, every
from localai.rag.ingest import Ingest, file_id
from localai.rag.records import IndexReport, Progress
from localai.rag.sources import Part, Source
from localai.rag.store import Store
from localai.rag.targets import again

if TYPE_CHECKING:
    from localai.core.web import Fetched

_PAGE: Final = 1_000


def rebuild(
    store: Store,
    name: str,
    fetch: Callable[[str], "Fetched"],
    on_progress: Callable[[Progress], None] | None = None,
) -> IndexReport:
    """Make the collection anew; files that are gone are left out, and named as skipped.

    What cannot be read just now, or never again as standard input, is taken from the old index.

    Conflict, and nothing changed, where none of its files can be read.
    """
    with locked(private_dir(store.data) / "rebuild.lock"):
        staged = _staged(store, name)
        report = _fill(store, name, staged, fetch, on_progress)
        abandon(store, name)  # what is staged now is the old index
    return report


def abandon(store: Store, name: str) -> None:
    """Remove what a rebuilding that was interrupted has left."""
    if left := store.catalog.find(_aside(name)):
        store.remove(left)


def _fill(
    store: Store,
    name: str,
    staged: Entry,
    fetch: Callable[[str], "Fetched"],
    on_progress: Callable[[Progress], None] | None,
) -> IndexReport:
    """Fill the new index, again where the collection changed meanwhile, and exchange the two."""
    while True:
        changed = store.catalog.changed(name)
        files = store.catalog.files(name)
        index = store.index(staged)
        run = Ingest(store.catalog, staged, index, store.embedder(staged), on_progress)
        former = partial(_former, store.index(store.catalog.get(name)))
        report = run.again(list(again(files.values(), fetch, former)))
        if files and not store.catalog.files(staged.name):
            message = f"none of the files of {name} is there: it stays as it was"
            raise Conflict(message, hint=f"ai rag collections show {name}")
        if store.catalog.exchange(name, staged.name, unchanged_since=changed):
            return replace(report, collection=name)


def _former(index: Index, file: File) -> Source:
    """The source as the old index has it: passage by passage."""
    passages = [point.payload for point in every(index, _PAGE, file=file_id(file.path))]
    lines = ((each.get("start_line", 0), each) for each in passages)
    return Source(
        key=file.path,
        root=file.root,
        name=file.source,
        text="",
        sha256=file.sha256,
        kind="text",
        parts=tuple(_part(each) for _, each in sorted(lines, key=lambda pair: pair[0])),
        is_trusted=file.is_trusted,
    )


def _part(passage: Mapping[str, Any]) -> Part:
    place = passage.get("place") or f"L{passage['start_line']}-L{passage['end_line']}"
    return Part(place, passage["text"], title=passage["title"])


def _staged(store: Store, name: str) -> Entry:
    """The index to fill; one that another model began is of no use."""
    staged = store.catalog.find(_aside(name))
    if staged and store.has_model_of(staged) and store.is_current(staged):
        return staged
    abandon(store, name)
    return store.begin(_aside(name))


def _aside(name: str) -> str:
    """A name that no command accepts."""
    return f"~{name}"
