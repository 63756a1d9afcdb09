"""What a model can do here: tools, their sandbox, servers of tools, conversations."""

import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localai.app.models import WithModels
from localai.core import settings as keys
from localai.core.errors import Denied, NotFound

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from localai.agent.builtin.rooms import Recalled, Rooms
    from localai.agent.grounding import Documents
    from localai.agent.loop import Agent
    from localai.agent.mcp.connections import Connections
    from localai.agent.mcp.servers import Servers
    from localai.agent.runner import Runner
    from localai.agent.sandbox.tiers import Sandbox
    from localai.agent.tools import Registry
    from localai.agent.turn import Request, Shape
    from localai.approvals.past import Past
    from localai.approvals.policies import Policies
    from localai.approvals.policy import Level
    from localai.core.web import Fetched
    from localai.rag.records import Answer, Passage
    from localai.rbac.permissions import Actor


class WithAgents(WithModels):
    """What a model can do here: tools, their sandbox, servers of tools, conversations."""

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
            measures=self.tally,
        )

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

    @cached_property
    def agent(self) -> "Agent":
        """Conversations with a model that can call tools."""
        from localai.agent.loop import Agent
        from localai.agent.turn import Budget

        budget = Budget(self.settings[keys.AGENT_STEPS], self.settings[keys.AGENT_TOKENS])
        for switch in keys.PROTECTING:  # refused also where no tool comes to be called
            self._is_on(switch)
        runner = lambda: self.runner  # noqa: E731 - built when tools are told of or called
        require = self.rbac.require
        return Agent(self.history, runner, self.workspace, require, self.tally, budget)

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
        with log.serving("{}:{}".format(*address) if address else "stdio"):
            if address is None:
                stdio.serve(service)
            else:
                authenticate = self.api_keys.authenticate
                http.serve(service, authenticate, *address, announce, self.tally)

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
        leave = Leave(autonomy, is_yolo=yolo)
        return Request(
            text,
            session=session,
            system=system,
            with_tools=with_tools,
            sampling=sampling,
            route=route,
            shape=shape,
            thinks=thinks,
            documents=documents,
            leave=leave,
        )

    def documents(self, actor: "Actor", collection: str) -> "Documents":
        """A collection for a conversation to look things up in; NotFound where there is none."""
        from localai.agent.grounding import Documents

        def find(question: str) -> "Sequence[Passage]":
            found = self.rag.query(actor, question, collection=collection)
            return () if self.rag.is_silent(actor, found) else found.passages

        self.rag.show(actor, collection)
        return Documents(collection, find)

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

        def generate(messages: "Sequence[tuple[str, str]]", passages: int) -> "Generator[str]":
            from localai.infer.engine import Form, Message, Sampling

            engine = self.engines.get(actor, model=None, role="chat", warn=warn)
            told = [Message(role, content) for role, content in messages]
            greedy = Sampling(temperature=0)
            answer = engine.stream(told, sampling=greedy, form=Form(citations=passages))
            with closing(answer):
                for delta in answer:
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


def _installed(workspace: Path) -> "Sequence[Path]":
    """Where this program itself lies, unless somebody is at work on it."""
    places = [Path(sys.prefix) / "bin" / "ai", Path(__file__).parents[1]]
    if sys.prefix != sys.base_prefix:
        places.append(Path(sys.prefix))
    return [each for each in places if not each.is_relative_to(workspace)]


def _shape(file: Path) -> "Shape":
    from localai.agent.turn import Shape
    from localai.infer import schema

    wanted = schema.read(file)
    return Shape(wanted, partial(schema.check, schema=wanted))
