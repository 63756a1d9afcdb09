"""Answers for other programs: what was asked for goes to a model as it is, and nothing is run.

Another program has its own conversation, its own tools and its own instructions.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

from localai.core.measure import Measures, operation
from localai.core.records import json_text
from localai.infer.demanded import called, demand
from localai.infer.engine import (
    DEFAULT_SAMPLING,
    FREE,
    Delta,
    Engine,
    Form,
    Message,
    Sampling,
    ToolSpec,
)
from localai.infer.engines import Engines, Rights
from localai.infer.meter import Meter

AUTO: Final = "auto"
ALIASES: Final = (AUTO, "chat", "code")
_FRAME: Final = 12  # tokens, of what a template writes around a message


@dataclass(frozen=True)
class Asked:
    """A conversation to go on with; `model` is a name of `ai models list`, or one of ALIASES.

    Where `must_call`, the answer is a call of one of the tools and nothing else.
    """

    model: str
    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    must_call: bool = False
    sampling: Sampling = DEFAULT_SAMPLING
    form: Form = FREE


class Tokens(Protocol):
    """The tokens set apart for a question and its answer."""

    @property
    def granted(self) -> int | None:
        """How many the answer may take; None where nobody counts them."""

    def spend(self, tokens: int) -> None:
        """Write down how many it took."""


Spending = Callable[[Any, Callable[[], int], int | None], AbstractContextManager[Tokens]]
"""Sets tokens apart for who asks: so many to ask, from one to so many to answer."""

Told = tuple[str, Delta]
"""The name of the model that answers, and the next step of its answer."""


class Completions:
    """The models of a home as other programs ask them.

    `ready` gives a model, loaded; `require` checks a permission; `rights` says which models
    somebody may use, `spending` how many tokens are theirs, and `meter` what an answer took.
    """

    def __init__(  # noqa: PLR0913 - a room is handed all that it needs
        self,
        engines: Callable[[], Engines],
        ready: Callable[..., Engine],
        require: Callable[[Any, str], object],
        measures: Measures,
        rights: Rights,
        spending: Spending,
        meter: Meter,
    ) -> None:
        self._engines = engines
        self._ready = ready
        self._require = require
        self._measures = measures
        self._rights = rights
        self._spending = spending
        self._meter = meter

    def names(self, actor: object) -> tuple[str, ...]:
        """What the actor can ask for: the aliases, then every model."""
        engines, listed = self._engines(), self._rights.listed(actor)
        found = (model.name for model in engines.page(actor, _unsaid).items)
        names = dict.fromkeys((*ALIASES, *found))
        if listed is None:
            return tuple(names)
        others = (name for name in names if name not in ALIASES and engines.may(actor, name))
        permitted = {*listed, *others}
        return tuple(name for name in names if name in permitted)

    def begin(self, actor: object, asked: Asked) -> Generator[Told]:
        """The answer, of which nothing is computed before it is iterated; close it to end it.

        Denied, and NotFound where there is no such model, are raised here.
        """
        self._require(actor, "chat:use")
        model, role = self._meant(actor, asked)
        self._engines().permit(actor, model=model, role=role)
        return self._told(actor, asked, model, role)

    def _meant(self, actor: object, asked: Asked) -> tuple[str | None, str]:
        """The model's own name, or the role whose model it is."""
        listed = self._rights.listed(actor)
        if asked.model in ALIASES and listed is not None and asked.model not in listed:
            raise self._rights.refusal(actor, asked.model)
        if asked.model == AUTO:
            said = (each.content for each in reversed(asked.messages) if each.role == "user")
            return None, self._engines().route(actor, next(said, ""), lambda: None).role
        if asked.model in ALIASES:
            return None, asked.model
        return self._engines().known(actor, asked.model), "chat"

    def _told(self, actor: object, asked: Asked, model: str | None, role: str) -> Generator[Told]:
        engine = self._ready(actor, model=model, role=role, warn=_unsaid)
        size, most = partial(_size, engine, asked), asked.sampling.max_tokens or engine.context
        with operation(self._measures, "chat"), self._spending(actor, size, most or None) as tokens:
            answer = _stream(engine, _within(asked, tokens.granted))
            with closing(self._meter.metered(answer, tokens.spend)) as deltas:
                for delta in deltas:
                    yield engine.name, delta


def _stream(engine: Engine, asked: Asked) -> Generator[Delta]:
    if not asked.must_call:
        return engine.stream(
            asked.messages, tools=asked.tools, sampling=asked.sampling, form=asked.form
        )
    messages, form = demand(asked.messages, asked.tools)
    return called(engine.stream(messages, sampling=asked.sampling, form=form))


def _size(engine: Engine, asked: Asked) -> int:
    """How many tokens it takes to ask; rather too many than too few."""
    calls = [call for each in asked.messages for call in each.tool_calls]
    texts = [each.content for each in asked.messages]
    texts += [f"{call.name} {call.arguments}" for call in calls]
    texts += [json_text(tool.described) for tool in asked.tools]
    return engine.count("\n".join(texts)) + _FRAME * (1 + len(texts))


def _within(asked: Asked, granted: int | None) -> Asked:
    """The same, of which the answer ends where the tokens do."""
    if granted is None:
        return asked
    return replace(asked, sampling=replace(asked.sampling, max_tokens=granted))


def _unsaid(_: str) -> None:
    """What a person at a terminal is told; a program reads the log."""
