"""Which model answers: the one that was named, else one of two by the question."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from localai.core import log
from localai.core.errors import LocalaiError
from localai.core.records import Page
from localai.infer.engine import Engine
from localai.infer.failover import Failover
from localai.infer.library import STARTER, Library, Model
from localai.infer.route import Reason, Route, route

if TYPE_CHECKING:
    from localai.infer.remote import Server

Warn = Callable[[str], None]


class Engines:
    """The models of a home, of which one is loaded at a time: two may not fit the machine.

    `roles` names those for "chat" and "code"; `server` is where models answer instead of here, if
    there is one; `load` loads one by name; `failed` hears the name of each that did not answer.
    """

    def __init__(  # noqa: PLR0913 - a room is handed all that it needs
        self,
        library: Library,
        roles: Mapping[str, str],
        server: "Server | None",
        load: Callable[[Any, str, Warn], Engine],
        require: Callable[[Any, str], object],
        failed: Callable[[str], None],
    ) -> None:
        self._library = library
        self._roles = roles
        self._server = server
        self._load = load
        self._require = require
        self._failed = failed
        self._loaded: tuple[tuple[str, ...], Engine] | None = None

    def page(self, actor: object, warn: Warn) -> Page[Model]:
        """The models of this home, after those of the server that answers in their place."""
        own = self._library.page(actor)
        if self._server is None:
            return own
        try:
            names = self._server.models()
        except LocalaiError as error:
            warn(f"the server's models are not known: {error.message}")
            return own
        far = [Model(name, self._server.url, 0, "", "", 0, self._chosen(name)) for name in names]
        return Page([*far, *(replace(each, roles=()) for each in own.items)], len(far) + own.total)

    def known(self, actor: object, name: str) -> str:
        """The name, if there is such a model here or on the server; NotFound if not."""
        if self._server is not None and name in self._server.models():
            return name
        return self._library.get(actor, name).name

    def route(self, actor: object, question: str, before: Callable[[], str | None]) -> Route:
        """Chat or code, by the question; one that says neither stays with the model `before`."""
        code, *others = self._names(actor, "code")
        if not others:
            return Route("chat", reasons=(Reason(f"{code} is for both", 0),))
        return route(question, before="code" if before() == code else "chat")

    def get(self, actor: object, *, model: str | None, role: str, warn: Warn) -> Engine:
        """The named model, else the one for the role, loaded; `warn` hears what falls short.

        Where the one for the role does not work, the one for the other role takes its place.
        """

        def tell(failed: str, instead: str, error: LocalaiError) -> None:
            warn(f"{failed} does not answer, {instead} does: {error.message}")
            log.write("model.failed-over", model=failed, instead=instead, error=error.message)
            self._failed(failed)

        names = (model,) if model else self._names(actor, role)
        if not model and names == (STARTER,):
            warn("no model of yours yet: the starter answers, a tiny one that knows a few skills")
            warn("hint: ai models pull qwen2.5-3b   brings a real one; ai models pull   lists more")
        if self._loaded is None or self._loaded[0] != names:
            self.close()
            loads = {name: partial(self._load, actor, name, warn) for name in names}
            self._loaded = names, Failover(loads, tell)
        return self._loaded[1]

    def close(self) -> None:
        """Give back what the loaded one holds."""
        if self._loaded is not None:
            self._loaded[1].close()
        self._loaded = None

    def _chosen(self, name: str) -> tuple[str, ...]:
        return tuple(role for role, wanted in self._roles.items() if wanted == name)

    def _names(self, actor: object, role: str) -> tuple[str, ...]:
        """The model for a role, and the one for the other role if that is another."""
        if self._server is None:
            return self._library.choose(actor, role)
        self._require(actor, "models:read")
        named = filter(None, (self._roles[role], *self._roles.values()))
        return tuple(dict.fromkeys(named)) or (self._server.first,)
