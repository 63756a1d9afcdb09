"""App: one home's rooms, each built on first touch. The only place that wires rooms together."""

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localai.core import settings as keys
from localai.core.directories import Directories, locate, project
from localai.core.errors import Denied, Invalid, LocalaiError, NotFound, Unavailable
from localai.core.redact import remember
from localai.core.settings import Key, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localai.agent.builtin.rooms import Recalled, Rooms
    from localai.agent.grounding import Documents
    from localai.agent.history import History
    from localai.agent.loop import Agent
    from localai.agent.mcp.connections import Connections
    from localai.agent.mcp.servers import Servers
    from localai.agent.recollection import Recollection
    from localai.agent.runner import Runner
    from localai.agent.sandbox.tiers import Sandbox
    from localai.agent.search import Search
    from localai.agent.tools import Registry
    from localai.agent.turn import Request, Shape
    from localai.approvals.gate import Gate
    from localai.approvals.past import Past
    from localai.approvals.policies import Policies
    from localai.approvals.policy import Level, Mode
    from localai.approvals.records import Approval, Reply
    from localai.approvals.service import Approvals
    from localai.core.audit import Audit
    from localai.core.clock import Clock
    from localai.core.db import Database
    from localai.core.secrets import Secrets
    from localai.core.web import Fetched
    from localai.infer.downloads import Downloads, Hub
    from localai.infer.engine import Engine
    from localai.infer.engines import Engines
    from localai.infer.fit import Card
    from localai.infer.library import GgufInfo, Library
    from localai.infer.local import Local
    from localai.infer.parking import Parking
    from localai.infer.remote import Server
    from localai.infer.route import Route
    from localai.notify.announcer import Announcer
    from localai.notify.plan import Plan
    from localai.notify.service import Notify
    from localai.rag.client import QdrantServer
    from localai.rag.embed import Embedder
    from localai.rag.exchange import Exchange
    from localai.rag.records import Answer, Collection, Passage
    from localai.rag.rerank import Reranker
    from localai.rag.retrieval_models import RetrievalModels
    from localai.rag.service import Rag
    from localai.rag.shelf import Repositories
    from localai.rag.store import Store
    from localai.rag.watch import Watch
    from localai.rbac.admin import Administration
    from localai.rbac.codes import Codes
    from localai.rbac.keys import Keys
    from localai.rbac.limits import Limits
    from localai.rbac.permissions import Actor
    from localai.rbac.service import Rbac
    from localai.rbac.users import Users


@dataclass(frozen=True)
class Home:
    """A home as `ai init` leaves it; `keys` names where keys and secrets rest."""

    home: str
    database: str
    profile: str
    operator: str
    roles: tuple[str, ...]
    keys: str
    is_new: bool


@dataclass(frozen=True)
class Chosen:
    """The models for documents; `others` are the collections that another model made."""

    model: str
    reranker: str
    others: tuple["Collection", ...]


class App:
    """The rooms of one home. Close it when the work is done."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        flags: Mapping[str, str] | None = None,
        workspace: Path | None = None,
        acting_as: str | None = None,
    ) -> None:
        self.directories: Directories = locate(home)
        self._acting_as = acting_as
        self._flags = dict(flags or {})
        self._ranks: Reranker | None = None
        self._read_settings()
        self.workspace = (workspace or Path.cwd()).absolute()

    def _read_settings(self) -> None:
        self.settings = Settings(self.directories.config_file, flags=self._flags)

    def close(self) -> None:
        """Give back what was opened."""
        if notify := self.__dict__.get("notify"):
            notify.close()
        if engines := self.__dict__.get("engines"):
            engines.close()
        for name in ("server", "qdrant", "mcp_connections"):
            if server := self.__dict__.get(name):
                server.close()
        if "rbac" in self.__dict__:
            self.rbac.close()
        if "database" in self.__dict__:
            self.database.close()

    def keep_log(self) -> None:
        """Write this process's log into this home."""
        from localai.core import log

        try:
            level = self.settings[keys.LOG_LEVEL]
        except Invalid:  # `ai config check` tells; the command that mends it must still run
            level = keys.LOG_LEVEL.default
        log.configure(self._log_file, level)

    @cached_property
    def clock(self) -> "Clock":
        """The machine's clocks."""
        from localai.core.clock import Clock

        return Clock()

    @cached_property
    def database(self) -> "Database":
        """The database; a home that lost it says so instead of beginning anew."""
        from localai.core.db import Database

        file = self.directories.database_file
        is_there = file.exists() and file.stat().st_size > 0
        if self._anchor.exists() and not is_there:
            message = f"the database {file} is gone, and this home had one"
            hint = f"restore it from a backup; to begin anew, remove {self._anchor}"
            raise Unavailable(message, hint=hint)
        return Database(file)

    @cached_property
    def secrets(self) -> "Secrets":
        """Secrets and keys."""
        from localai.core.secrets import Secrets

        return Secrets(self.directories)

    @cached_property
    def audit(self) -> "Audit":
        """The chained log of what was decided."""
        from localai.core.audit import Audit

        key = lambda: self.secrets.key("audit-key")  # noqa: E731 - read when a row is written
        return Audit(self.database, key, self._anchor, self.clock)

    @cached_property
    def rbac(self) -> "Rbac":
        """Users and permissions."""
        from localai.rbac.service import Rbac

        return Rbac(self.database, self.audit, self.clock)

    @cached_property
    def users(self) -> "Users":
        """Users and roles."""
        from localai.rbac.users import Users

        return Users(self.database, self.audit, self.rbac, self.clock)

    @cached_property
    def api_keys(self) -> "Keys":
        """API keys."""
        from localai.rbac.keys import Keys

        pepper = lambda: self.secrets.key("api-key-pepper")  # noqa: E731 - read when it is needed
        return Keys(self.database, self.audit, self.rbac, self.clock, pepper)

    @cached_property
    def admin(self) -> "Administration":
        """Settings, secrets and audit, under the roles."""
        from localai.rbac.admin import Administration

        file = self.directories.config_file
        return Administration(self.rbac, self.database, self.audit, self.secrets, file)

    def sample_settings(self) -> str:
        """A commented config.toml."""
        from localai.core.config_file import sample

        return sample()

    @cached_property
    def approvals(self) -> "Approvals":
        """What waits for a person."""
        from localai.approvals.service import Approvals

        return Approvals(
            self.database,
            self.audit,
            self.rbac,
            self.clock,
            timeout_s=self.settings[keys.APPROVALS_TIMEOUT],
            grant_s=self.settings[keys.APPROVALS_GRANT],
            pending=self.settings[keys.APPROVALS_PENDING],
            proof=self.codes.claim if self._mode == "strict" else None,
            announce=self._announcer.announce if self._is_telling else None,
        )

    @property
    def _is_telling(self) -> bool:
        """Whether anybody is told: without channels nothing of it is loaded."""
        names = ("smtp.host", "slack.enabled", "webhook.url", "apprise.enabled", "terminal")
        is_set = any(self.settings[keys.named(f"notify.{name}")] for name in names)
        return is_set and self.settings[keys.NOTIFY_ENABLED]

    def send_in_background(self) -> None:
        """Tell people what is due for as long as this process lives, beside its work."""
        if self._is_telling:
            self.notify.drain_in_background(is_heard=sys.stderr.isatty())

    @cached_property
    def notify(self) -> "Notify":
        """What people are told."""
        from localai.notify.build import build

        stands_on = (self.settings, self.secrets, self.database, self.clock, self.directories)
        return build(
            *stands_on,
            plan=self._notify_plan,
            announcer=self._announcer,
            require=self.rbac.require,
            sweep=lambda: self.approvals.sweep(),  # noqa: PLW0108 - which itself announces
        )

    @cached_property
    def _announcer(self) -> "Announcer":
        from localai.notify.announcer import Announcer

        flags = [f"--set={key}={value}" for key, value in self._flags.items()]
        home = [f"--home={self.directories.config}"] if self.directories.is_own_home else []
        command = [sys.executable, "-m", "localai", *home, *flags, "notify", "run", "--once"]
        lock = self.directories.data / "notify.lock"
        return Announcer(self.clock, self._notify_plan, lock, command)

    @cached_property
    def _notify_plan(self) -> "Plan":
        from localai.notify.plan import plan

        return plan(self.settings, self.directories.config / "notifications.toml")

    @cached_property
    def tools(self) -> "Registry":
        """The tools: ours, those of installed packages, and those taken from MCP servers."""
        from localai.agent.builtin import shipped
        from localai.agent.mcp.foreign import Foreign
        from localai.agent.mcp.kept import Kept
        from localai.agent.own_tools import load
        from localai.agent.tools import Registry

        def misfit(value: "Mapping[str, Any]", schema: "Mapping[str, Any]") -> str | None:
            from localai.infer import schema as schemas

            return schemas.misfit(value, schema)

        ours = shipped(self.sandbox, self._rooms)
        own = load({tool.name for tool in ours})
        kept = Kept(self.database, self.audit, self.approvals.standing.void)
        foreign = Foreign(kept, lambda: self.mcp_connections, misfit)
        return Registry((*ours, *own.tools, *foreign.tools()), own.skipped)

    @property
    def _rooms(self) -> "Rooms":
        from localai.agent.builtin.rooms import Recalled, Rooms

        def fetch(url: str) -> "Fetched":
            from localai.core.web import Web

            return Web(stays=True).fetch(url)

        def part(url: str, most_bytes: int, longest_s: float) -> "Fetched":
            from localai.core.web import Web

            return Web(most_bytes=most_bytes, longest_s=longest_s).fetch(url)

        def look_up(actor: "Actor", question: str, collection: str, k: int) -> "Sequence[Passage]":
            found = self.rag.query(actor, question, collection=collection, k=k)
            return () if self.rag.is_silent(actor, found) else found.passages

        def recall(actor: "Actor", text: str, most: int) -> "Recalled":
            here, more = self.project, 2 * most
            by_words = self.search.find(actor, text, project=here, limit=more).items
            by_meaning = self.recollection.find(actor, text, project=here, limit=more).items
            both = {(each.session, each.seq): each for each in (*by_words, *by_meaning)}
            found = [each for each in both.values() if each.session != actor.session][:most]
            return Recalled(found, any(self.history.has_foreign(each.session) for each in found))

        def answering(actor: "Actor", session: str) -> str | None:
            return self.history.last_model(actor, session)

        return Rooms(
            fetch=fetch,
            part=part,
            look_up=look_up,
            recall=recall,
            models=lambda actor: self.engines.page(actor, lambda _: None).items,
            answering=answering,
            choose=self._choose,
        )

    def _choose(self, actor: "Actor", session: str, name: str) -> str:
        known = self.engines.known(actor, name)
        self.history.choose(actor, session, known)
        return known

    def chosen_model(self, actor: "Actor", session: str | None) -> str | None:
        """The model that was chosen for the conversation, where one was and is still there."""
        if session is None or (name := self.history.chosen(actor, session)) is None:
            return None
        with suppress(NotFound):
            return self.engines.known(actor, name)
        return None

    @cached_property
    def sandbox(self) -> "Sandbox":
        """Where programs run that a model asks for."""
        from localai.agent.sandbox.process import Limits
        from localai.agent.sandbox.tiers import Sandbox

        memory, readable = (
            self.settings[keys.SANDBOX_MEMORY] << 20,
            self.settings[keys.SANDBOX_READABLE],
        )
        return Sandbox(
            readable=readable,
            hidden=_installed(self.workspace),
            limits=Limits(seconds=self.settings[keys.SANDBOX_TIMEOUT], memory=memory),
            enabled=self._is_on(keys.SANDBOX_ENABLED),
        )

    @cached_property
    def mcp(self) -> "Servers":
        """The MCP servers whose tools are ours."""
        from localai.agent.mcp.servers import Servers

        void = self.approvals.standing.void
        base = (self.database, self.audit, self.clock, self.rbac.require)
        return Servers(*base, lambda: self.mcp_connections, void)

    @cached_property
    def mcp_connections(self) -> "Connections":
        """The MCP servers that this process speaks with."""
        from localai.agent.mcp.connections import Connections
        from localai.agent.mcp.launch import launch

        return Connections(partial(launch, find=self.secrets.find))

    @cached_property
    def runner(self) -> "Runner":
        """The one path on which tools run."""
        from localai.agent.runner import Rules, Runner

        return Runner(
            self.tools,
            self.approvals,
            self.rbac.require,
            Rules(
                self._mode,
                enabled=self._is_on(keys.APPROVALS_ENABLED),
                written=lambda actor: (*self.policies.rules(), *self.approvals.standing.of(actor)),
                roles=self.rbac.roles,
            ),
            workspace=self.workspace,
            protected=(*self.directories.all, self.models_dir, self._log_file),
            limit=self._limits.take if self._is_on(keys.RATE_LIMITS_ENABLED) else None,
            trail=self.history,
        )

    @cached_property
    def _limits(self) -> "Limits":
        from localai.rbac.limits import Limits

        allowed = self.settings[keys.RATE_LIMITS_CALLS]
        return Limits(self.database, self.audit, self.clock, allowed)

    @cached_property
    def codes(self) -> "Codes":
        """One-time codes of the people who decide."""
        from localai.core.rate import Rate
        from localai.rbac.codes import Codes
        from localai.rbac.limits import Limits

        guesses = Limits(self.database, self.audit, self.clock, Rate(calls=5, seconds=300))
        key = lambda: self.secrets.key("totp-key")  # noqa: E731 - read when it is needed
        return Codes(self.database, self.audit, self.rbac, self.clock, key, guesses.take)

    @cached_property
    def policies(self) -> "Policies":
        """The rules of this home."""
        from localai.approvals.policies import Policies

        def tools() -> "Mapping[str, Sequence[str]]":
            return {tool.name: tool.arguments for tool in self.tools.all()}

        file = self.directories.config_file.with_name("policy.toml")
        standing = self.approvals.standing.live
        return Policies(file, self._mode, self.rbac.require, tools, standing)

    @cached_property
    def past(self) -> "Past":
        """Stored requests, to try a policy on."""
        from localai.approvals.backtest import Judge
        from localai.approvals.past import Past

        unconfined = frozenset(
            tool.name for tool in self.tools.all() if not tool.confinement.is_confined
        )
        enabled = self._is_on(keys.APPROVALS_ENABLED)
        judge = Judge(self._mode, enabled, self.rbac.roles, unconfined)
        sweep = self.approvals.sweep
        return Past(self.database, sweep, self.rbac.require, self.policies, judge)

    @property
    def _mode(self) -> "Mode":
        return "strict" if self.settings[keys.SECURITY_MODE] == "strict" else "normal"

    def _is_on(self, switch: Key[bool]) -> bool:
        """What protects is on unless somebody developing has switched it off."""
        if self._mode == "strict" and not self.settings[switch]:
            message = f"strict mode refuses {switch.name} = false"
            raise Denied(message, hint=f"ai config set {switch.name} true")
        return self.settings[switch]

    def gate(
        self,
        actor: "Actor",
        ask: "Callable[[Approval], Reply] | None" = None,
        *,
        wait_s: float = 0,
        announce: "Callable[[Approval], None] | None" = None,
    ) -> "Gate":
        """Asks through `ask` where it is given, else waits for another terminal."""
        from localai.approvals.gate import Ask, Wait

        if ask is not None:
            return Ask(self.approvals, actor, ask)
        return Wait(self.approvals, actor, wait_s, announce)

    @property
    def project(self) -> str:
        """The git repository that the workspace is in; empty where it is in none."""
        return project(self.workspace)

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
    def _parking(self) -> "Parking":
        from localai.infer.parking import Parking

        key = lambda: self.secrets.key("parking-key")  # noqa: E731 - read when it is needed
        budget = self.settings[keys.ENGINE_PARKED] * 1_000_000
        folder = self.directories.cache / "conversations"

        def is_there(session: str) -> bool:
            return self.history.exists(session)

        return Parking(folder, key, budget, is_there)

    @cached_property
    def agent(self) -> "Agent":
        """Conversations with a model that can call tools."""
        from localai.agent.loop import Agent
        from localai.agent.turn import Budget

        budget = Budget(self.settings[keys.AGENT_STEPS], self.settings[keys.AGENT_TOKENS])
        return Agent(self.history, self.runner, self.rbac.require, self._removed, budget)

    def serve_mcp(
        self,
        *,
        wait_s: float,
        address: tuple[str, int] | None,
        announce: Callable[[str], None],
    ) -> None:
        """Lend tools and documents to another program until it leaves, over standard input.

        With an address (host and port) to all that come there with an API key, until Ctrl-C.
        """
        from localai.agent.mcp import http, stdio
        from localai.agent.mcp.calls import CONVERSATION, Calls
        from localai.agent.mcp.server import Context, Service
        from localai.agent.mcp.shelf import Shelf
        from localai.core import log
        from localai.core.ids import new_id

        agent = None if address else self.actor.agent(CONVERSATION + new_id())

        def who(ctx: "Context") -> "Actor":
            return agent or http.caller(ctx)

        calls = Calls(self.runner, self.approvals, self.gate)
        shelf = Shelf(self.rag, self.rbac.permissions)
        service = Service(who, calls, shelf, self.runner, self.rbac.permissions, wait_s=wait_s)
        self.database.version()  # opened here, where there is one thread
        log.adopt("mcp", "uvicorn", "starlette", "asyncio")
        if address is None:
            stdio.serve(service)
        else:
            http.serve(service, self.api_keys.authenticate, *address, announce)

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
    def rag(self) -> "Rag":
        """Documents."""
        from localai.rag.service import Rag

        def fetch(url: str) -> "Fetched":
            from localai.core.web import Web

            return Web().fetch(url)

        return Rag(self._store, self.rbac.require, fetch, self._removed, self._reranker)

    @cached_property
    def _store(self) -> "Store":
        from localai.rag.catalog import Catalog
        from localai.rag.store import Store

        def embedder(name: str) -> "Embedder":
            from localai.rag.embed import Embedder

            return Embedder(name, self.embeddings_dir)

        catalog = Catalog(self.database, self.clock)
        model = partial(self._as_it_stands, keys.RAG_MODEL)
        server = (lambda: self.qdrant) if self.settings[keys.RAG_QDRANT_URL] else None
        return Store(catalog, self.directories.data / "rag", embedder, model, server)

    @cached_property
    def qdrant(self) -> "QdrantServer":
        """Where passages are kept instead of here, if a server is set."""
        from localai.rag.client import QdrantServer

        key = lambda: self.secrets.find("qdrant-api-key")  # noqa: E731 - read when it is needed
        return QdrantServer(self.settings[keys.RAG_QDRANT_URL], key)

    def _reranker(self) -> "Reranker | None":
        """The reranker of the settings, kept as long as it is that one."""
        if not (name := self._as_it_stands(keys.RAG_RERANKER)):
            return None
        if self._ranks is None or self._ranks.name.lower() != name.lower():
            from localai.rag.rerank import Reranker

            self._ranks = Reranker(name, self.embeddings_dir)
        return self._ranks

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
        return Chosen(model, reranker, tuple(self.rag.of_other_models(actor)))

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

        index = partial(self.rag.index, actor, collection=collection, exclude=exclude)
        own = self.directories.all
        return Watch(index, paths, release=self.database.close, own=own, clock=self.clock)

    @cached_property
    def recollection(self) -> "Recollection":
        """What was said in conversations, by its meaning."""
        from localai.agent.recollection import Recollection
        from localai.rag.memory import Memory

        return Recollection(self.database, self.rbac.require, partial(Memory, self._store))

    def ask_documents(  # noqa: PLR0913 - a question and how to answer it
        self,
        actor: "Actor",
        question: str,
        *,
        collection: str,
        k: int,
        answer: bool,
        show: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> "Answer":
        """Passages and, if `answer`, what a model answers from them."""
        from localai.rag.records import MULTILINGUAL_MODEL

        def generate(messages: "Sequence[tuple[str, str]]", passages: int) -> "Iterator[str]":
            from localai.infer.engine import Form, Message, Sampling

            engine = self.engines.get(actor, model=None, role="chat", warn=warn)
            told = [Message(role, content) for role, content in messages]
            greedy = Sampling(temperature=0)
            for delta in engine.stream(told, sampling=greedy, form=Form(citations=passages)):
                yield delta.text

        if self.settings[keys.RAG_QDRANT_URL] and self.qdrant.is_overheard:
            warn(f"{self.qdrant.url} is not encrypted: others on the way can read your documents")
        ask = generate if answer else None
        found = self.rag.answer(
            actor, question, collection=collection, k=k, generate=ask, show=show
        )
        if self.rag.misses_language(actor, found):
            warn(f"{found.model} knows no Korean: the documents were searched for words alone")
            warn(f"hint: ai rag models pull {MULTILINGUAL_MODEL}")
            use = f"ai rag models use {MULTILINGUAL_MODEL}"
            warn(f"      {use}   then: ai rag collections rebuild {collection}")
        return found

    def documents(self, actor: "Actor", collection: str) -> "Documents":
        """A collection for a conversation to look things up in; NotFound where there is none."""
        from localai.agent.grounding import Documents

        def find(question: str) -> "Sequence[Passage]":
            found = self.rag.query(actor, question, collection=collection)
            return () if self.rag.is_silent(actor, found) else found.passages

        self.rag.show(actor, collection)
        return Documents(collection, find)

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
    def engines(self) -> "Engines":
        """Language models, ready to answer."""
        from localai.infer.engines import Engines

        return Engines(
            self.models, self._roles, self.server, self._load, self.rbac.require, self._failed
        )

    def _failed(self, model: str) -> None:
        from localai.infer.failover import FAILOVERS

        self._count(FAILOVERS, {"model": model})

    def _removed(self, citations: int) -> None:
        from localai.rag.records import REMOVED_CITATIONS

        self._count(REMOVED_CITATIONS, {}, citations)

    def _count(self, name: str, labels: "Mapping[str, str]", by: int = 1) -> None:
        """Count what changes no state: a database that cannot take it fails no answer."""
        from localai.core.counters import count

        with suppress(LocalaiError), self.database.transaction() as connection:
            count(connection, name, labels, by)

    @property
    def _roles(self) -> dict[str, str]:
        return {"chat": self.settings[keys.MODELS_CHAT], "code": self.settings[keys.MODELS_CODE]}

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
            from localai.infer.remote import Remote

            if self.server.is_overheard:
                warn(f"{self.server.url} is not encrypted: others on the way can read what is said")
            return Remote(name, self.server, self.settings[keys.ENGINE_CONTEXT] or 0)
        return self.local.load(actor, name, warn)

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

    def request(  # noqa: PLR0913 - one an option of a chat
        self,
        text: str | None,
        *,
        session: str | None,
        route: str,
        system: str | None,
        with_tools: bool | None,
        temperature: float | None,
        max_tokens: int | None,
        seed: int | None,
        schema: Path | None = None,
        thinks: bool | None = None,
        documents: "Documents | None" = None,
        autonomy: "Level" = "normal",
        yolo: bool = False,
    ) -> "Request":
        """One turn of a conversation, as it is asked for; `schema` is a file.

        Denied where strict mode is to let something pass unasked.
        """
        from localai.agent.turn import Request
        from localai.approvals.policy import Leave
        from localai.infer.engine import Sampling

        sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
        shape = _shape(schema) if schema else None
        if self._mode == "strict" and (yolo or autonomy == "trusting"):
            message = "strict mode lets no agent pass unasked"
            raise Denied(message, hint="leave out --yolo and --autonomy trusting")
        leave = Leave(autonomy, yolo)
        return Request(
            text, session, system, with_tools, sampling, route, shape, thinks, documents, leave
        )

    @cached_property
    def actor(self) -> "Actor":
        """Whose LOCALAI_API_KEY it is, else the operator, who may act as another user.

        The operator is made from the login name when this home is used for the first time.
        """
        if (key := os.environ.get("LOCALAI_API_KEY")) is not None:
            if self._acting_as:
                message = "an API key acts as its own user"
                raise Denied(message, hint="unset LOCALAI_API_KEY, or leave out --as")
            remember(key)
            return self.api_keys.authenticate(key)
        found = self.rbac.find_operator() if self.database.version() else None
        operator = found or self._make()[0]
        return self.users.trial(operator, self._acting_as) if self._acting_as else operator

    def initialise(self, profile: str | None = None) -> Home:
        """Make folders, database, keys and the operator; what is there stays."""
        from localai.core.config_file import write_setting

        if profile is not None:
            write_setting(self.directories.config_file, keys.PROFILE.name, profile)
            self._read_settings()
        operator, is_new = self._make()
        return Home(
            home=str(self.directories.config),
            database=str(self.directories.database_file),
            profile=self.settings[keys.PROFILE],
            operator=operator.user_id,
            roles=self.rbac.roles(operator.user_id),
            keys=self.secrets.kind or "",
            is_new=is_new,
        )

    def _make(self) -> tuple["Actor", bool]:
        from localai.core.files import private_dir

        try:
            for folder in self.directories.all:
                private_dir(folder)
        except OSError as error:
            message = f"this home cannot be made: {error.strerror}: {error.filename}"
            raise Unavailable(message, hint="ai --home DIR ... takes another place") from error
        self.database.upgrade()
        return self.rbac.ensure_operator(_login())

    @property
    def _log_file(self) -> Path:
        return self.settings[keys.LOG_FILE] or self.directories.logs / "localai.log"

    @property
    def _anchor(self) -> Path:
        return self.directories.keys / "audit.anchor"


def _installed(workspace: Path) -> "Sequence[Path]":
    """Where this program itself lies, unless somebody is at work on it."""
    places = [Path(sys.prefix) / "bin" / "ai", Path(__file__).parent]
    if sys.prefix != sys.base_prefix:
        places.append(Path(sys.prefix))
    return [each for each in places if not each.is_relative_to(workspace)]


def _shape(file: Path) -> "Shape":
    from localai.agent.turn import Shape
    from localai.infer import schema

    wanted = schema.read(file)
    return Shape(wanted, partial(schema.check, schema=wanted))


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "operator"
