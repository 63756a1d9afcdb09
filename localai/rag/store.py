"""Collections on disk: their rows, their indexes, and the model that embeds for them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from localai.core.errors import Invalid, Unavailable
from localai.core.files import allocated, private_dir
from localai.core.ids import new_id
from localai.rag.catalog import Catalog, Entry
from localai.rag.fusion import Fusion
from localai.rag.index import Index, Search, alone, destroy, open_index, preferred_engine
from localai.rag.kept import KEPT_S
from localai.rag.language import is_korean
from localai.rag.models import EmbeddingModel
from localai.rag.records import SHIPPED_MODEL
from localai.rag.sparse import TOKENIZER_VERSION, query_vector, term_ids
from localai.rag.stopwords import without_stopwords

if TYPE_CHECKING:
    from localai.core.line.client import Line
    from localai.rag.client import QdrantServer

# Models kept in memory at once: that of the settings, and one that a collection was made with.
_LOADED = 2
# Measured on Cranfield, on questions about documents in two languages and on those about code:
# the static model may only help; a transformer counts as much as the words do.
_STATIC_FUSION = Fusion(meaning=0.3)
_TRANSFORMER_FUSION = Fusion(meaning=1.0)

_MARK = ".unsettled"


class Store:
    """The collections of a home.

    New ones are held by the `server`, if there is one, else in the folder `data`. `model` gives
    the name of the setting as it stands, and `embedder` a model by its name; `line` the process
    that holds what lies in the folder, if it is another one. Without one, an index stays open for
    `kept_s` seconds after a question.
    """

    def __init__(  # noqa: PLR0913 - a room is handed all that it needs
        self,
        catalog: Catalog,
        data: Path,
        embedder: Callable[[str], EmbeddingModel],
        model: Callable[[], str],
        server: "Callable[[], QdrantServer] | None" = None,
        line: "Callable[[], Line | None]" = lambda: None,
        kept_s: float = KEPT_S,
    ) -> None:
        self.catalog = catalog
        self.data = data
        self._model = model
        self._server = server
        self._line = line
        self._kept_s = kept_s
        self._embedder = lru_cache(maxsize=_LOADED)(embedder)
        self._indexes: dict[str, Index] = {}
        self._opening = Lock()
        self._used = time.monotonic()

    @property
    def model(self) -> str:
        """The embedding model of the settings, which another process may just have changed."""
        return self._model()

    def own_embedder(self) -> EmbeddingModel:
        """The embedding model of the settings."""
        return self.named_embedder(self.model)

    def reload(self) -> str:
        """The name of the embedding model of the settings, read from its files anew.

        Unavailable where they are not here, or cannot be read.
        """
        self._embedder.cache_clear()
        own = self.own_embedder()
        own.load()
        return own.name

    @property
    def engine(self) -> str:
        """What holds new collections."""
        return "server" if self._server else preferred_engine()

    def begin(self, name: str) -> Entry:
        """The new, empty collection for the model of the settings, once that is at hand."""
        embedder = self._embedder(self.model)
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
        """Whether the collection was made with the model of the settings."""
        return entry.model.casefold() == self.model.casefold()

    def can_ask(self, entry: Entry) -> bool:
        """Whether the model that the collection was made with is on this machine."""
        try:
            return self._embedder(entry.model).is_here
        except Invalid:  # an archive may name a model that nobody here knows
            return False

    def is_current(self, entry: Entry) -> bool:
        """Whether the collection's words were cut as they are now."""
        return entry.tokenizer_version == TOKENIZER_VERSION

    def index(self, entry: Entry) -> Index:
        """What holds the collection's passages."""
        return self.held(entry.engine, entry.directory)

    def held(self, engine: str, directory: str) -> Index:
        """What holds the passages of a directory."""
        with self._opening:
            if directory not in self._indexes:
                self._indexes[directory] = self._opened(engine, directory)
            return self._indexes[directory]

    def named_embedder(self, name: str) -> EmbeddingModel:
        """An embedding model by its name; the last two are kept."""
        self._used = time.monotonic()
        return self._embedder(name)

    def unload(self, idle_s: float = 0) -> bool:
        """Forget the models that are kept, if nobody has asked for one for so long."""
        if is_idle := time.monotonic() - self._used >= idle_s:
            self._embedder.cache_clear()
        return is_idle

    def _opened(self, engine: str, directory: str) -> Index:
        folder = self.data / directory
        if engine != "server":
            here = partial(open_index, engine, folder, self._kept_s)
            return self._attached(engine, directory, here) or here()
        if self._server is None:
            message = "this collection lies on a Qdrant server, and none is set"
            raise Unavailable(message, hint="ai config set rag.qdrant_url URL")
        from localai.rag.client import ServerIndex  # noqa: PLC0415 - imports for over a second

        return ServerIndex(self._server(), f"localai-{directory}")

    def _attached(self, engine: str, directory: str, here: Callable[[], Index]) -> Index | None:
        if (line := self._line()) is None:
            return None
        from localai.rag.attached import AttachedIndex, Held  # noqa: PLC0415 - most run alone

        return AttachedIndex(Held(engine, directory), line, here)

    def search(self, entry: Entry, text: str, k: int, *, root: str | None = None) -> Search | None:
        """The question as vectors, or None where it has no word."""
        words = term_ids(without_stopwords(text))
        if not words:
            return None
        # An English model's opinion of Korean is noise, and costs a fifth of the ranking.
        is_readable = entry.is_multilingual or not is_korean(text)
        dense = self.named_embedder(entry.model).embed_query(text) if is_readable else None
        fusion = _STATIC_FUSION if entry.model == SHIPPED_MODEL else _TRANSFORMER_FUSION
        return Search(query_vector(words), dense, fusion, k, root)

    def embedder(self, entry: Entry) -> Callable[[], EmbeddingModel]:
        """Gives the model that the collection was made with, loaded when it is first needed."""
        return partial(self.named_embedder, entry.model)

    def size(self, directory: str) -> int:
        """How many bytes the index in the directory takes on disk."""
        return allocated(self.data / directory)

    def remove(self, entry: Entry) -> None:
        """Remove the collection and its index."""
        is_elsewhere = entry.engine == "server" or self._line() is not None
        with self._settling(self._folder(entry)):
            self.catalog.remove(entry.name)
            if is_elsewhere or entry.directory in self._indexes:
                self.index(entry).destroy()
                self._indexes.pop(entry.directory, None)

    @contextmanager
    def _settling(self, folder: Path) -> Iterator[None]:
        """Make or remove a collection, alone; what a crash left halfway is cleared up first.

        A mark beside the folder outlives a crash and says that there is something to clear up.
        """
        private_dir(self.data)
        with alone(self.data):
            for left in self.data.glob(f"*{_MARK}"):
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
        return self.data / entry.directory
