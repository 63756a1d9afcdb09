"""Documents: what indexes them, and what finds them."""

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from localai.app.governance import Governance
from localai.core import settings as keys
from localai.core.errors import Invalid
from localai.core.settings import Key, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localai.core.web import Fetched
    from localai.rag.client import QdrantServer
    from localai.rag.embeddings import Embeddings
    from localai.rag.exchange import Exchange
    from localai.rag.models import EmbeddingModel, RankingModel
    from localai.rag.records import Chosen, IndexReport, Progress
    from localai.rag.retrieval_models import RetrievalModels
    from localai.rag.sent import Text
    from localai.rag.service import Rag
    from localai.rag.shelf import Repositories
    from localai.rag.store import Store
    from localai.rag.watch import Watch
    from localai.rbac.permissions import Actor


class WithDocuments(Governance):
    """Documents: what indexes them, and what finds them."""

    @cached_property
    def rag(self) -> "Rag":
        """Documents."""
        from localai.rag.service import Rag

        def fetch(url: str) -> "Fetched":
            from localai.core.web import Web

            return Web().fetch(url)

        return Rag(self._store, self.rbac.require, fetch, self._reranker, self.tally)

    @cached_property
    def embeddings(self) -> "Embeddings":
        """Vectors of any text."""
        from localai.rag.embeddings import Embeddings

        return Embeddings(self._store, self.rbac.require, self.model_rights, self.quotas)

    @cached_property
    def _store(self) -> "Store":
        from localai.rag.catalog import Catalog
        from localai.rag.kept import KEPT_S
        from localai.rag.store import Store

        catalog = Catalog(self.database, self.clock)
        model = partial(self._as_it_stands, keys.RAG_MODEL)
        server = (lambda: self.qdrant) if self.settings[keys.RAG_QDRANT_URL] else None
        folder, kept_s = self.directories.data / "rag", self.kept_loaded_s or KEPT_S
        return Store(catalog, folder, self._embedder, model, server, self.line, kept_s)

    def _embedder(self, name: str) -> "EmbeddingModel":
        """The embedding model of that name, where it is kept loaded or else here."""

        def here() -> "EmbeddingModel":
            from localai.rag.embed import Embedder

            return Embedder(name, self.embeddings_dir)

        if (line := self.line()) is None:
            return here()
        from localai.rag.attached import AttachedEmbedder

        return AttachedEmbedder(name, line, here)

    @cached_property
    def qdrant(self) -> "QdrantServer":
        """Where passages are kept instead of here, if a server is set."""
        from localai.rag.client import QdrantServer

        key = lambda: self.secrets.find("qdrant-api-key")  # noqa: E731 - read when it is needed
        return QdrantServer(self.settings[keys.RAG_QDRANT_URL], key)

    def _reranker(self) -> "RankingModel | None":
        """The reranker of the settings, kept as long as it is that one."""
        name = self._as_it_stands(keys.RAG_RERANKER)
        return self._named_reranker(name) if name else None

    def _named_reranker(self, name: str) -> "RankingModel":
        ranks = self._ranks  # looked at once: another thread may just be reloading it
        if ranks is None or ranks.name.lower() != name.lower():
            ranks = self._ranks = self._ranker(name)
        return ranks

    def _ranker(self, name: str) -> "RankingModel":
        def here() -> "RankingModel":
            from localai.rag.rerank import Reranker

            return Reranker(name, self.embeddings_dir)

        if (line := self.line()) is None:
            return here()
        from localai.rag.attached import AttachedReranker

        return AttachedReranker(name, line, here)

    def _as_it_stands(self, key: Key[str]) -> str:
        """A setting that another process may have changed since this one began."""
        return Settings(self.directories.config_file, flags=self._flags)[key]

    @property
    def embeddings_dir(self) -> Path:
        """Where embedding models and rerankers lie."""
        return self.directories.cache / "embeddings"

    @cached_property
    def rag_models(self) -> "RetrievalModels":
        """Embedding models and rerankers."""
        from localai.rag.retrieval_models import RetrievalModels

        def used() -> tuple[str, str]:
            return self._as_it_stands(keys.RAG_MODEL), self._as_it_stands(keys.RAG_RERANKER)

        def hub() -> "Repositories":
            from localai.infer import hub

            return hub

        return RetrievalModels(self.embeddings_dir, self.rbac.require, used, hub)

    @property
    def has_chosen_embeddings(self) -> bool:
        """Whether somebody said which embedding model this home uses."""
        return self.settings.show(keys.RAG_MODEL.name).source != "default"

    def keep_rag_model(self, actor: "Actor") -> None:
        """Write down that the embedding model stays the one that it is."""
        self.admin.configure(actor, keys.RAG_MODEL.name, self.settings[keys.RAG_MODEL])

    def use_rag_model(
        self, actor: "Actor", name: str | None, *, no_reranker: bool = False
    ) -> "Chosen":
        """Choose the embedding model or the reranker by its name, or no reranker."""
        if not name and not no_reranker:
            raise Invalid("no model was named", hint="ai rag models use NAME, or --no-reranker")
        found = self.rag_models.at_hand(actor, name) if name else None
        if no_reranker:
            self.admin.configure(actor, keys.RAG_RERANKER.name, "")
        if found:
            key = keys.RAG_RERANKER if found.kind == "reranker" else keys.RAG_MODEL
            self.admin.configure(actor, key.name, found.name)
        self._read_settings()
        model, reranker = self.settings[keys.RAG_MODEL], self.settings[keys.RAG_RERANKER]
        return self._chosen(actor, model, reranker)

    def reload_rag_models(self, actor: "Actor") -> "Chosen":
        """The models of the settings as they stand, read from their files anew.

        Unavailable where one of them is not here, or the Qdrant server that is set does not answer.
        """
        self.rbac.require(actor, "rag:write")
        if self.settings[keys.RAG_QDRANT_URL]:
            self.qdrant.check()
        model = self._store.reload()
        self._ranks = None
        if reranker := self._reranker():
            reranker.load()
        return self._chosen(actor, model, reranker.name if reranker else "")

    def _chosen(self, actor: "Actor", model: str, reranker: str) -> "Chosen":
        from localai.rag.records import Chosen

        return Chosen(model, reranker, tuple(self.rag.of_other_models(actor)))

    def index_sent(
        self,
        actor: "Actor",
        *,
        collection: str,
        texts: "Sequence[Text]",
        paths: "Sequence[str]",
        on_progress: "Callable[[Progress], None]",
    ) -> "IndexReport":
        """Take in texts, and files of the workspace; Denied for a path that leads out of it."""
        from localai.rag.within import Within

        self.rbac.require(actor, "rag:write")
        own = (*self.directories.all, self.settings[keys.MODELS_DIR], self._log_file)
        within = Within(self.workspace, [folder for folder in own if folder])
        return self.rag.index(
            actor,
            [within.place(path) for path in paths],
            collection=collection,
            texts=texts,
            on_progress=on_progress,
        )

    @cached_property
    def exchange(self) -> "Exchange":
        """Collections as archives."""
        from localai.rag.exchange import Exchange

        return Exchange(self._store, self.directories.data / "rag", self.clock, self.rbac.require)

    def watch_documents(
        self, actor: "Actor", paths: "Sequence[Path]", *, collection: str, exclude: "Sequence[str]"
    ) -> "Watch":
        """What keeps a collection in step with the paths. Close it when it is to end."""
        from localai.rag.watch import Watch

        def release() -> None:
            self.tally.flush()  # a database that is closed takes no counts
            self.database.close()

        index = partial(self.rag.index, actor, collection=collection, exclude=exclude)
        own = self.directories.all
        return Watch(index, paths, release=release, own=own, clock=self.clock)
