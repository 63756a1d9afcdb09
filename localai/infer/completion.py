"""Answers for other programs: what was asked for goes to a model as it is, and nothing is run.

Another program has its own conversation, its own tools and its own instructions.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from localai.core.measure import Measures, operation
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
from localai.infer.engines import Engines

AUTO: Final = "auto"
ALIASES: Final = (AUTO, "chat", "code")


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


Told = tuple[str, Delta]
"""The name of the model that answers, and the next step of its answer."""


class Completions:
    """The models of a home as other programs ask them.

    `ready` gives a model, loaded; `require` checks a permission.
    """

    def __init__(
        self,
        engines: Callable[[], Engines],
        ready: Callable[..., Engine],
        require: Callable[[Any, str], object],
        measures: Measures,
    ) -> None:
        self._engines = engines
        self._ready = ready
        self._require = require
        self._measures = measures

    def names(self, actor: object) -> tuple[str, ...]:
        """What can be asked for: the aliases, then every model."""
        found = self._engines().page(actor, _unsaid).items
        return tuple(dict.fromkeys((*ALIASES, *(model.name for model in found))))

    def begin(self, actor: object, asked: Asked) -> Generator[Told]:
        """The answer, of which nothing is computed before it is iterated; close it to end it.

        Denied, and NotFound where there is no such model, are raised here.
        """
        self._require(actor, "chat:use")
        model, role = self._meant(actor, asked)
        return self._told(actor, asked, model, role)

    def _meant(self, actor: object, asked: Asked) -> tuple[str | None, str]:
        """The model's own name, or the role whose model it is."""
        if asked.model == AUTO:
            said = (each.content for each in reversed(asked.messages) if each.role == "user")
            return None, self._engines().route(actor, next(said, ""), lambda: None).role
        if asked.model in ALIASES:
            return None, asked.model
        return self._engines().known(actor, asked.model), "chat"

    def _told(self, actor: object, asked: Asked, model: str | None, role: str) -> Generator[Told]:
        engine = self._ready(actor, model=model, role=role, warn=_unsaid)
        with operation(self._measures, "chat"), closing(_stream(engine, asked)) as deltas:
            for delta in deltas:
                yield engine.name, delta


def _stream(engine: Engine, asked: Asked) -> Generator[Delta]:
    if not asked.must_call:
        return engine.stream(
            asked.messages, tools=asked.tools, sampling=asked.sampling, form=asked.form
        )
    messages, form = demand(asked.messages, asked.tools)
    return called(engine.stream(messages, sampling=asked.sampling, form=form))


def _unsaid(_: str) -> None:
    """What a person at a terminal is told; a program reads the log."""
