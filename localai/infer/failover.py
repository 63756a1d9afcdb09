"""An engine made of several: where one will not load or dies, the next one answers."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing

from localai.core.errors import LocalaiError, NotFound, Unavailable
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


class Failover:
    """The first of `loads`, by name, that works; the last one's failure is raised.

    `tell` hears which one failed, which one follows, and why. What was said before an engine
    died stays said: the error is raised, and the next engine takes the next turn.
    """

    def __init__(
        self, loads: Mapping[str, Load], tell: Callable[[str, str, LocalaiError], None]
    ) -> None:
        self._loads = loads
        self._tell = tell
        self._waiting: list[tuple[str, Load]] = []
        self._conversation: str | None = None
        self._loaded: Engine | None = None
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
        self._conversation = conversation
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
            except Unavailable as error:
                if not self._waiting:
                    raise
                self._tell(engine.name, self._waiting[0][0], error)
                self.close()
                self._loaded = self._next()
                if is_begun:
                    raise
            else:
                return

    def close(self) -> None:
        """Close the engine at hand."""
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None

    def _load(self) -> Engine:
        """The engine at hand; where the last one failed, all are tried anew."""
        if self._loaded is None:
            self._waiting = list(self._loads.items())
            self._loaded = self._next()
        return self._loaded

    def _next(self) -> Engine:
        while True:
            name, load = self._waiting.pop(0)
            try:
                engine = load()
            except (NotFound, Unavailable) as error:
                if not self._waiting:
                    raise
                self._tell(name, self._waiting[0][0], error)
            else:
                if self._conversation is not None:
                    engine.recall(self._conversation)
                return engine
