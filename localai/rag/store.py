"""Collections on disk: their rows, their indexes, and the model that embeds for them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from localai.core.files import private_dir
from localai.core.ids import new_id
from localai.rag.catalog import Catalog, Entry
from localai.rag.index import (
    Fusion,
    Index,
    Search,
    alone,
    destroy,
    open_index,
    preferred_engine,
)
from localai.rag.language import is_korean
from localai.rag.records import SHIPPED_MODEL
from localai.rag.sparse import TOKENIZER_VERSION, query_vector, term_ids

if TYPE_CHECKING:
    from localai.rag.embed import Embedder

# Measured with BM25 on Cranfield, CISI and MED: the static model may only help; a transformer
# counts as much as the words do.
_STATIC_FUSION = Fusion(k=10, sparse=1.0, dense=0.5)
_EQUAL_FUSION = Fusion(k=60, sparse=1.0, dense=1.0)

_MARK = ".unsettled"


class Store:
    """The collections of a home; `data` is the folder that holds their indexes."""

    def __init__(
        self, catalog: Catalog, data: Path, embedder: Callable[[], "Embedder"], model: str
    ) -> None:
        self.catalog = catalog
        self.model = model
        self._data = data
        self._make_embedder = embedder
        self._made: Embedder | None = None
        self._indexes: dict[str, Index] = {}

    @property
    def engine(self) -> str:
        """What holds new collections on this machine."""
        return preferred_engine()

    def begin(self, name: str) -> Entry:
        """The new, empty collection for the model of the settings, once that is at hand."""
        embedder = self.embedder()
        embedder.load()
        mine = Entry(
            name=name,
            directory=new_id(),
            engine=self.engine,
            model=embedder.name,
            dim=embedder.dim,
            is_multilingual=embedder.is_multilingual,
            tokenizer_version=TOKENIZER_VERSION,
        )
        with self._settling(self._folder(mine)):
            entry = self.catalog.find(name)
            if entry is None:  # no other process was first
                self.index(mine).create(mine.dim)
                entry = self.catalog.add(mine)
        return entry

    def has_model_of(self, entry: Entry) -> bool:
        """Whether the collection's vectors can be compared with those of the model at hand."""
        return entry.model.casefold() == self.model.casefold()

    def is_current(self, entry: Entry) -> bool:
        """Whether the collection's words were cut as they are now."""
        return entry.tokenizer_version == TOKENIZER_VERSION

    def index(self, entry: Entry) -> Index:
        """What holds the collection's passages."""
        if entry.directory not in self._indexes:
            self._indexes[entry.directory] = open_index(entry.engine, self._folder(entry))
        return self._indexes[entry.directory]

    def search(self, entry: Entry, text: str, k: int, *, root: str | None = None) -> Search | None:
        """The question as vectors, or None where it has no word."""
        words = term_ids(text)
        if not words:
            return None
        # An English model's opinion of Korean is noise, and costs a fifth of the ranking.
        is_readable = entry.is_multilingual or not is_korean(text)
        dense = self.embedder().embed_query(text) if is_readable else None
        fusion = _STATIC_FUSION if entry.model == SHIPPED_MODEL else _EQUAL_FUSION
        return Search(query_vector(words), dense, fusion, k, root)

    def embedder(self) -> "Embedder":
        """The embedding model, loaded when it is first needed."""
        if self._made is None:
            self._made = self._make_embedder()
        return self._made

    def remove(self, entry: Entry) -> None:
        """Remove the collection and its index."""
        with self._settling(self._folder(entry)):
            self.catalog.remove(entry.name)

    @contextmanager
    def _settling(self, folder: Path) -> Iterator[None]:
        """Make or remove a collection, alone; what a crash left halfway is cleared up first.

        A mark beside the folder outlives a crash and says that there is something to clear up.
        """
        private_dir(self._data)
        with alone(self._data):
            for left in self._data.glob(f"*{_MARK}"):
                self._settle(left)
            mark = folder.with_suffix(_MARK)
            mark.touch(mode=0o600)
            yield
            self._settle(mark)

    def _settle(self, mark: Path) -> None:
        if mark.stem not in self.catalog.directories():
            destroy(mark.with_suffix(""))
        mark.unlink()

    def _folder(self, entry: Entry) -> Path:
        return self._data / entry.directory
