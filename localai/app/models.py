"""Language models, and the conversations that they remember."""

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from localai.app.documents import WithDocuments
from localai.core import settings as keys
from localai.core.errors import Invalid, Lost

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from localai.agent.history import History
    from localai.agent.recollection import Recollection
    from localai.agent.search import Search
    from localai.app.served import Served
    from localai.core.line.method import Method
    from localai.infer.completion import Completions
    from localai.infer.downloads import Downloads, Hub
    from localai.infer.engine import Engine
    from localai.infer.engines import Engines
    from localai.infer.fit import Card
    from localai.infer.library import GgufInfo, Library
    from localai.infer.local import Local
    from localai.infer.meter import Meter
    from localai.infer.parking import Parking
    from localai.infer.remote import Server
    from localai.infer.resident import Resident
    from localai.infer.route import Route
    from localai.rbac.permissions import Actor


class WithModels(WithDocuments):
    """Language models, and the conversations that they remember."""

    @property
    def models_dir(self) -> Path:
        """Where model files lie."""
        return self.settings[keys.MODELS_DIR] or self.directories.models

    @cached_property
    def models(self) -> "Library":
        """Language models."""
        from localai.infer.library import Library

        def inspect(file: Path) -> "GgufInfo":
            from localai.infer.gguf_file import inspect as read_header

            return read_header(file)

        return Library(self.models_dir, self.rbac.require, inspect, self._roles)

    @cached_property
    def downloads(self) -> "Downloads":
        """Language models of the hub."""
        from localai.infer.catalogue import Catalogue
        from localai.infer.downloads import Downloads

        def hub() -> "Hub":
            from localai.infer import hub

            return hub

        own = self.directories.config_file.with_name("catalogue.toml")
        return Downloads(Catalogue(own), self.models, self.rbac.require, hub)

    @cached_property
    def _parking(self) -> "Parking":
        from localai.infer.parking import Parking

        key = lambda: self.secrets.key("parking-key")  # noqa: E731 - read when it is needed
        budget = self.settings[keys.ENGINE_PARKED] * 1_000_000
        folder = self.directories.cache / "conversations"

        def is_there(session: str) -> bool:
            return self.history.exists(session)

        return Parking(folder, key, budget, is_there)

    @cached_property
    def server(self) -> "Server | None":
        """Where models answer instead of here."""
        if not (url := self.settings[keys.ENGINE_URL]):
            return None
        from localai.infer.remote import Server

        timeout = self.settings[keys.ENGINE_TIMEOUT]
        key = lambda: self.secrets.find("engine-api-key")  # noqa: E731 - read when it is needed
        return Server(url, key=key, timeout_s=timeout)

    def _load(self, actor: "Actor", name: str, warn: Callable[[str], None]) -> "Engine":
        if self.server is not None:
            from localai.infer.cost import counted
            from localai.infer.remote import Remote

            if self.server.is_overheard:
                warn(f"{self.server.url} is not encrypted: others on the way can read what is said")
            remote = Remote(name, self.server, self.settings[keys.ENGINE_CONTEXT] or 0)
            remote.spent = self._meter.beside(counted(self.tally, name, remote.context))
            return remote
        if self.kept_loaded_s:
            self.models.file(actor, name)
            return self.resident.get(self.actor, name, warn)  # whoever asks next may be another
        here = partial(self._load_here, actor, name, warn)
        if (line := self.line()) is None:
            return here()
        from localai.infer.attached import Attached

        self.models.file(actor, name)  # whoever may not have it, or asks for none, hears it here
        try:
            attached = Attached(name, line, here, warn, self._engine_settings)
        except Lost as error:
            warn(f"{error.message} {name} is loaded here.")
            return here()
        attached.spent = self._meter.beside(lambda _: None)  # figures are the other process's
        return attached

    @property
    def _engine_settings(self) -> str:
        """All that a model is loaded by, as text to compare."""
        from localai.core.records import json_text

        names = filter(lambda name: name.startswith("engine."), keys.KEYS)
        own = {name: self.settings[keys.KEYS[name]] for name in names}
        return json_text(own | {"models": self.models_dir})

    def _load_here(self, actor: "Actor", name: str, warn: Callable[[str], None]) -> "Engine":
        from localai.core.metrics import MODEL_LOAD
        from localai.infer.cost import counted

        local, started = self.local, perf_counter()
        loaded = local.load(actor, name, warn)
        self.tally.observe(MODEL_LOAD, perf_counter() - started, name)
        loaded.spent = self._meter.beside(counted(self.tally, name, loaded.context))
        return loaded

    @cached_property
    def resident(self) -> "Resident":
        """The language model that a process which serves this home keeps loaded."""
        from localai.infer.resident import Resident

        def version(name: str) -> object:
            from localai.infer.receipt import state_of

            return state_of(self.models.file(self.actor, name))

        return Resident(self._load_here, version)

    def unload(self, idle_s: float = 0) -> None:
        """Give the memory of models back that nobody has used for so long, and none that works."""
        if self._store.unload(idle_s):
            self._ranks = None
        self.resident.unload(idle_s)

    @cached_property
    def served(self) -> "Served":
        """The process that serves this home."""
        from localai.app.served import Served

        return Served(self.line, self.line_place, self.rbac.require)

    def answers(self, address: str, callers: Callable[[], int]) -> "dict[str, Method]":
        """What other processes of this home can ask of this one, which serves at the address."""
        from localai.app import served
        from localai.infer import attached as models
        from localai.rag import attached as documents

        return {
            **models.methods(self.resident, self.actor, lambda: self._engine_settings),
            **documents.methods(self._store.named_embedder, self._named_reranker, self._store.held),
            **served.methods(self, address, callers),
        }

    @cached_property
    def local(self) -> "Local":
        """Language models as this machine runs them."""
        from localai.infer.fit import Wish
        from localai.infer.llamacpp import WHOLE_CONTEXT
        from localai.infer.local import Local

        context, layers = self.settings[keys.ENGINE_CONTEXT], self.settings[keys.ENGINE_GPU_LAYERS]
        wish = Wish(
            context=WHOLE_CONTEXT if context == 0 else context,
            gpu_layers=None if layers < 0 else layers,
            kv_type=self.settings[keys.ENGINE_KV_TYPE] or None,
            flash_attention=self.settings[keys.ENGINE_FLASH_ATTENTION],
        )
        threads = self.settings[keys.ENGINE_THREADS] or None

        def unused() -> "Sequence[Card]":
            from localai.infer import nvidia

            return nvidia.cards()

        return Local(self.models, wish, threads, self._parking, unused)

    @cached_property
    def engines(self) -> "Engines":
        """Language models, ready to answer."""
        from localai.infer.engines import Engines

        models = (self.models, self._roles, self.server)
        return Engines(*models, self._load, self.rbac.require, self._failed, self.model_rights)

    def _failed(self, model: str) -> None:
        from localai.core.metrics import FAILOVERS

        self.tally.count(FAILOVERS, model)

    def ready(
        self, actor: "Actor", *, model: str | None, role: str, warn: Callable[[str], None]
    ) -> "Engine":
        """A model for a turn of a conversation; a turn that none can take counts as failed."""
        from localai.core.measure import failing

        with failing(self.tally, "chat"):
            return self.engines.get(actor, model=model, role=role, warn=warn)

    @cached_property
    def completions(self) -> "Completions":
        """Answers for other programs."""
        from localai.infer.completion import Completions

        return Completions(
            lambda: self.engines,
            self.ready,
            self.rbac.require,
            self.tally,
            self.model_rights,
            self.quotas.spending,
            self._meter,
        )

    @cached_property
    def _meter(self) -> "Meter":
        from localai.infer.meter import Meter

        return Meter()

    def _askable(self, actor: "Actor") -> "Collection[str]":
        from localai.rag.embeddings import DEFAULT

        return {*self.completions.names(actor), DEFAULT, self._as_it_stands(keys.RAG_MODEL)}

    @cached_property
    def _roles(self) -> "Mapping[str, str]":
        from localai.app.roles import Roles

        return Roles(self.directories.config_file, self._flags)

    def use_models(self, actor: "Actor", *, chat: str | None, code: str | None) -> None:
        """Choose the models for questions and for code; what is None stays as it is."""
        if not chat and not code:
            raise Invalid("no model was named", hint="ai models use NAME, or --code NAME")
        for key, name in ((keys.MODELS_CHAT, chat), (keys.MODELS_CODE, code)):
            if name:
                self.admin.configure(actor, key.name, self.engines.known(actor, name))
        self._read_settings()
        self.engines.close()
        for room in ("models", "local", "engines"):
            self.__dict__.pop(room, None)

    def route(self, actor: "Actor", question: str, session: str | None) -> "Route":
        """Chat or code, by the question; one that says neither stays with who answered before."""

        def before() -> str | None:
            return self.history.last_model(actor, session) if session else None

        return self.engines.route(actor, question, before)

    @cached_property
    def history(self) -> "History":
        """Conversations."""
        from localai.agent.history import History

        def forget(user: str, sessions: "Sequence[str]") -> None:
            for session in sessions:
                self._parking.drop(session)
            self.recollection.forget(user, sessions)

        keep_s = self.settings[keys.SESSIONS_KEEP]
        return History(self.database, self.clock, self.rbac.require, forget, keep_s)

    @cached_property
    def search(self) -> "Search":
        """What was said in conversations."""
        from localai.agent.search import Search

        return Search(self.database, self.rbac.require)

    @cached_property
    def recollection(self) -> "Recollection":
        """What was said in conversations, by its meaning."""
        from localai.agent.recollection import Recollection
        from localai.rag.memory import Memory

        return Recollection(self.database, self.rbac.require, partial(Memory, self._store))
