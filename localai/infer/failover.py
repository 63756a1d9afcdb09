"""An engine made of several: where one will not load or dies, the next one answers."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from localai.core.errors import LocalaiError, Lost, NotFound, Unavailable
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

Load = Callable[[], Engine]


@dataclass(slots=True)
class Hand:
    """The engine at hand, its name, and those that failed before it; callers share it in turn."""

    engine: Engine | None = None
    name: str = ""
    failed: list[str] = field(default_factory=list)
    conversation: str | None = None

    def close(self) -> None:
        """Close the engine."""
        if self.engine is not None:
            self.engine.close()
            self.engine = None


class Failover:
    """The first of `loads`, by name, that works; the last one's failure is raised.

    `tell` hears which one failed, which one follows, and why. What was said before an engine
    died stays said: the error is raised, and the next engine takes the next turn. Callers who
    may use different engines have a `hand` together: one that is not of the `loads` is given up.
    """

    def __init__(
        self,
        loads: Mapping[str, Load],
        tell: Callable[[str, str, LocalaiError], None],
        hand: Hand | None = None,
    ) -> None:
        self._loads = loads
        self._tell = tell
        self._hand = hand or Hand()
        self._load()

    @property
    def name(self) -> str:
        """The name of the model that answers now."""
        return self._load().name

    @property
    def context(self) -> int:
        """How many tokens a conversation with it may have."""
        return self._load().context

    @property
    def calls_tools(self) -> bool:
        """Whether it was trained to call tools."""
        return self._load().calls_tools

    def count(self, text: str) -> int:
        """How many tokens the text has for the engine at hand."""
        return self._load().count(text)

    def recall(self, conversation: str) -> None:
        """What the engine at hand remembers; the next one is asked as well."""
        self._hand.conversation = conversation
        self._load().recall(conversation)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        sampling: Sampling = DEFAULT_SAMPLING,
        form: Form = FREE,
    ) -> Generator[Delta]:
        """Answer with the engine at hand, or with the next where it dies before the first word."""
        while True:
            engine, is_begun = self._load(), False
            answer = engine.stream(messages, tools=tools, sampling=sampling, form=form)
            try:
                with closing(answer):
                    for delta in answer:
                        is_begun = True
                        yield delta
            except Lost:
                raise  # of the process that keeps the model, which the next turn does without
            except Unavailable as error:
                if not (waiting := self._waiting(self._hand.name)):
                    raise
                self._tell(engine.name, waiting[0], error)
                self._hand.failed.append(self._hand.name)
                self.close()
                self._hand.engine = self._next()
                if is_begun:
                    raise
            else:
                return

    def close(self) -> None:
        """Close the engine at hand."""
        self._hand.close()

    def _load(self) -> Engine:
        """The engine at hand; where the last one failed, all are tried anew."""
        if self._hand.name not in self._loads:
            self.close()
        if self._hand.engine is None:
            self._hand.failed.clear()
            self._hand.engine = self._next()
        return self._hand.engine

    def _waiting(self, *besides: str) -> list[str]:
        """The names that were not tried yet."""
        tried = {*self._hand.failed, *besides}
        return [name for name in self._loads if name not in tried]

    def _next(self) -> Engine:
        while True:
            name = self._waiting()[0]
            try:
                engine = self._loads[name]()
            except (NotFound, Unavailable) as error:
                if not (waiting := self._waiting(name)):
                    raise
                self._tell(name, waiting[0], error)
                self._hand.failed.append(name)
            else:
                self._hand.name = name
                if self._hand.conversation is not None:
                    engine.recall(self._hand.conversation)
                return engine
