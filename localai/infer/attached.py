"""A model that another process of this home keeps loaded, and how that process is asked."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from localai.core.errors import Lost
from localai.core.line.client import Line
from localai.core.line.method import Method, Tell
from localai.infer.answer import unheard
from localai.infer.engine import (
    DEFAULT_SAMPLING,
    FREE,
    Delta,
    Engine,
    Form,
    Message,
    Sampling,
    ToolSpec,
    Usage,
)

if TYPE_CHECKING:
    from localai.infer.resident import Resident

_LOAD: Final = "model.load"
_COUNT: Final = "model.count"
_STREAM: Final = "model.stream"
_BYTES = 3  # of a token, about
_COUNTED = 512  # texts whose tokens are counted once


@dataclass(frozen=True)
class Wanted:
    """A model, and the settings under which it is to be loaded."""

    model: str
    settings: str


@dataclass(frozen=True)
class About:
    """What a model is like, once it is loaded."""

    context: int
    calls_tools: bool


_Answer: Any = About | None


@dataclass(frozen=True)
class Text:
    """A text for a model."""

    model: str
    text: str


@dataclass(frozen=True)
class Talk:
    """A conversation for a model."""

    model: str
    conversation: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    sampling: Sampling
    form: Form


class Attached:
    """An engine whose model `ai serve` keeps; where that ends, it is loaded `here`.

    `spent` hears what each answer cost. Lost where it keeps models under other settings.
    """

    def __init__(
        self, name: str, line: Line, here: Callable[[], Engine], warn: Tell, settings: str = ""
    ) -> None:
        self.name = name
        self._line = line
        self._here = here
        self._warn = warn
        self._conversation = ""
        self._own: Engine | None = None
        self.spent: Callable[[Usage], None] = unheard
        self._counted = lru_cache(_COUNTED)(self._count)
        about: About | None = line.call(_LOAD, Wanted(name, settings), _Answer, warn)
        if about is None:
            raise Lost("`ai serve` was started under other settings.")
        self.context, self.calls_tools = about.context, about.calls_tools

    def count(self, text: str) -> int:
        """How many tokens the text has."""
        return self._counted(text)

    def recall(self, conversation: str) -> None:
        """Take up what is remembered of the conversation."""
        self._conversation = conversation
        if self._own is not None:
            self._own.recall(conversation)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        sampling: Sampling = DEFAULT_SAMPLING,
        form: Form = FREE,
    ) -> Generator[Delta]:
        """Answer `messages` in the form; what was said before `ai serve` ended stays said."""
        if self._own is None:
            talk = Talk(self.name, self._conversation, (*messages,), (*tools,), sampling, form)
            is_begun = False
            try:
                with closing(self._line.stream(_STREAM, talk, Delta, self._warn)) as answer:
                    for delta in self._weighed(messages, answer):
                        is_begun = True
                        yield delta
            except Lost as error:
                if is_begun:
                    raise
                self._do_without(error)
            else:
                return
        own = self._loaded_here()
        yield from own.stream(messages, tools=tools, sampling=sampling, form=form)

    def close(self) -> None:
        """Give back what was loaded here."""
        if self._own is not None:
            self._own.close()

    def _weighed(self, messages: Sequence[Message], answer: Generator[Delta]) -> Generator[Delta]:
        """The answer, whose cost is told at its end; guessed at where it was closed before."""
        steps, usage = 0, None
        try:
            for delta in answer:
                steps += 1
                usage = delta.usage
                yield delta
        finally:
            read = sum(len(each.content.encode()) for each in messages) // _BYTES
            if steps:  # else nothing was read here, and whoever answers instead charges it
                self.spent(usage or Usage(read, 0, steps, 0.0, 0.0))

    def _count(self, text: str) -> int:
        if self._own is None:
            try:
                return self._line.call(_COUNT, Text(self.name, text), int)
            except Lost as error:
                self._do_without(error)
        return self._loaded_here().count(text)

    def _do_without(self, error: Lost) -> None:
        self._warn(f"{error.message} {self.name} is loaded here.")

    def _loaded_here(self) -> Engine:
        if self._own is None:
            self._own = self._here()
            self._own.recall(self._conversation)
        return self._own


def methods(
    resident: "Resident", actor: object, settings: Callable[[], str] = str
) -> Mapping[str, Method]:
    """What a process answers that keeps a model, under these settings."""

    def load(asked: Wanted, tell: Tell) -> About | None:
        if asked.settings != settings():
            return None
        with resident.turn(actor, asked.model, tell) as engine:
            return About(engine.context, engine.calls_tools)

    def count(asked: Text, tell: Tell) -> int:
        with resident.beside(actor, asked.model, tell) as engine:
            return engine.count(asked.text)

    def stream(asked: Talk, tell: Tell) -> Generator[Delta]:
        engine = resident.get(actor, asked.model, tell)
        engine.recall(asked.conversation)
        return engine.stream(
            asked.messages, tools=asked.tools, sampling=asked.sampling, form=asked.form
        )

    return {_LOAD: Method(Wanted, load), _COUNT: Method(Text, count), _STREAM: Method(Talk, stream)}
