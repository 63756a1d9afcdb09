"""A collection made anew from its files, with the model and the way to cut words of today.

The new index is filled beside the old one, which answers until both change places in one
transaction. Interrupted, the next run goes on where it ended.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from localai.core.errors import Conflict
from localai.core.files import locked, private_dir
from localai.rag.catalog import Entry
from localai.rag.ingest import Ingest
from localai.rag.records import IndexReport, Progress
from localai.rag.store import Store
from localai.rag.targets import again

if TYPE_CHECKING:
    from localai.core.web import Fetched


def rebuild(
    store: Store,
    name: str,
    fetch: Callable[[str], "Fetched"],
    on_progress: Callable[[Progress], None] | None = None,
) -> IndexReport:
    """Make the collection anew; files that are gone are left out, and named as skipped.

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
        report = run.again(list(again(files.values(), fetch)))
        if files and not store.catalog.files(staged.name):
            message = f"none of the files of {name} is there: it stays as it was"
            raise Conflict(message, hint=f"ai rag collections show {name}")
        if store.catalog.exchange(name, staged.name, unchanged_since=changed):
            return replace(report, collection=name)


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
