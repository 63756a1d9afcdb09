"""Which model answers: the one that was named, else one of two by the question."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from localai.core import log
from localai.core.errors import LocalaiError
from localai.core.records import Page
from localai.infer.engine import Engine
from localai.infer.failover import Failover, Hand
from localai.infer.library import STARTER, Library, Model
from localai.infer.route import Reason, Role, Route, route

if TYPE_CHECKING:
    from localai.infer.remote import Server

Warn = Callable[[str], None]


class Rights(Protocol):
    """Which models somebody may use."""

    def listed(self, actor: Any) -> Collection[str] | None:
        """Names of models, and roles that stand for theirs; None for all."""

    def refusal(self, actor: Any, model: str) -> LocalaiError:
        """What to raise where somebody asks for another; the refusal is written down."""


class Engines:
    """The models of a home, of which one is loaded at a time: two may not fit the machine.

    `roles` names those for "chat" and "code"; `server` is where models answer instead of here, if
    there is one; `load` loads one by name; `failed` hears the name of each that did not answer;
    `rights` says who may use which.
    """

    def __init__(  # noqa: PLR0913 - a room is handed all that it needs
        self,
        library: Library,
        roles: Mapping[str, str],
        server: "Server | None",
        load: Callable[[Any, str, Warn], Engine],
        require: Callable[[Any, str], object],
        failed: Callable[[str], None],
        rights: Rights,
    ) -> None:
        self._library = library
        self._roles = roles
        self._server = server
        self._load = load
        self._require = require
        self._failed = failed
        self._rights = rights
        self._loaded: tuple[tuple[str, ...], Hand] | None = None

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
        if (chat := self._names(actor, "chat")[0]) != code:
            is_for = [self.may(actor, name) for name in (chat, code)]
            if is_for != [True, True] and any(is_for):
                role: Role = "chat" if is_for[0] else "code"
                return Route(role, reasons=(Reason("the API key is for no other", 0),))
        return route(question, before="code" if before() == code else "chat")

    def may(self, actor: object, name: str) -> bool:
        """Whether the actor may use the model: by its name, or by the role that it has."""
        listed = self._rights.listed(actor)
        if listed is None or name in listed:
            return True
        return any(role in listed and self._names(actor, role)[0] == name for role in self._roles)

    def permit(self, actor: object, *, model: str | None, role: str) -> None:
        """Return if the actor may use the model, or the one for the role; Denied if not."""
        self._permitted(actor, (model,) if model else self._names(actor, role))

    def get(self, actor: object, *, model: str | None, role: str, warn: Warn) -> Engine:
        """The named model, else the one for the role, loaded; `warn` hears what falls short.

        Where the one for the role does not work, the one for the other role takes its place.
        """

        def tell(failed: str, instead: str, error: LocalaiError) -> None:
            warn(f"{failed} does not answer, {instead} does: {error.message}")
            log.write("model.failed-over", model=failed, instead=instead, error=error.message)
            self._failed(failed)

        names = (model,) if model else self._names(actor, role)
        permitted = self._permitted(actor, names)
        if not model and names == (STARTER,):
            warn("no model of yours yet: the starter answers, a tiny one that knows a few skills")
            warn("hint: ai models pull qwen2.5-3b   brings a real one; ai models pull   lists more")
        if self._loaded is None or self._loaded[0] != names:
            self.close()
            self._loaded = names, Hand()
        # For this caller alone: what is loaded later is loaded as theirs.
        loads = {name: partial(self._load, actor, name, warn) for name in permitted}
        return Failover(loads, tell, self._loaded[1])

    def close(self) -> None:
        """Give back what the loaded one holds."""
        if self._loaded is not None:
            self._loaded[1].close()
        self._loaded = None

    def _permitted(self, actor: object, names: Sequence[str]) -> Sequence[str]:
        """Those of the names that the actor may use; Denied where the first is not one."""
        if not self.may(actor, names[0]):
            raise self._rights.refusal(actor, names[0])
        return [name for name in names if self.may(actor, name)]

    def _chosen(self, name: str) -> tuple[str, ...]:
        return tuple(role for role, wanted in self._roles.items() if wanted == name)

    def _names(self, actor: object, role: str) -> tuple[str, ...]:
        """The model for a role, and the one for the other role if that is another."""
        if self._server is None:
            return self._library.choose(actor, role)
        self._require(actor, "models:read")
        named = filter(None, (self._roles[role], *self._roles.values()))
        return tuple(dict.fromkeys(named)) or (self._server.first,)
