"""The one language model that a process keeps loaded for whoever asks next."""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from localai.core.errors import Conflict, Unavailable
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

MAX_WAITING: Final = 32
_ENDING_S: Final = 60.0
Warn = Callable[[str], None]


@dataclass(frozen=True)
class Loaded:
    """The model at hand; `idle_s` since it last answered, None while it does."""

    model: str
    context: int
    idle_s: float | None
    waiting: int


class Resident:
    """Loads the model that is asked for in place of the one before: two may not fit the machine.

    `load` loads one by name, and again where `version` says that its file is another one. Whoever
    wants an answer waits for a turn, in the order in which they came; for several threads.
    """

    def __init__(
        self,
        load: Callable[[Any, str, Warn], Engine],
        version: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._load = load
        self._version = version
        self._loaded_version: object = None
        self._state = threading.Condition()
        self._line: deque[object] = deque()
        self._is_answering = False
        self._counting = 0
        self._engine: tuple[str, Engine] | None = None
        self._known: dict[str, tuple[int, bool]] = {}
        self._used = time.monotonic()
        self._is_closed = False

    def get(self, actor: object, name: str, warn: Warn) -> "Lent":
        """The model, as an engine; loaded now if it never was, to know what it is like."""
        if name not in self._known:
            with self.beside(actor, name, warn):
                pass
        return Lent(self, actor, name, warn, *self._known[name])

    @property
    def is_busy(self) -> bool:
        """Whether it answers, loads or unloads."""
        return self._is_answering

    @property
    def loaded(self) -> Loaded | None:
        """What is at hand."""
        with self._state:
            if self._engine is None:
                return None
            idle = None if self._is_answering else time.monotonic() - self._used
            name, engine = self._engine
            return Loaded(name, engine.context, idle, len(self._line))

    def unload(self, idle_s: float = 0) -> bool:
        """Give the model's memory back if nobody has asked it for so long; whether that was so."""
        with self._state:
            is_due = time.monotonic() - self._used >= idle_s
            if self._engine is None or self._is_answering or self._line or not is_due:
                return False
            self._is_answering = True
        try:
            self._close()
        finally:
            self._leave()
        return True

    def close(self) -> None:
        """Give the model's memory back once the answer under way has ended, which it does soon."""
        with self._state:
            self._is_closed = True
            self._state.notify_all()
            # Only some can be told; others are waited for.
            if self._engine and (stop := getattr(self._engine[1], "stop", None)):
                stop()
            if not self._state.wait_for(lambda: not self._is_answering, _ENDING_S):
                return  # freed under a thread that uses it, it would take the process along
        self._close()

    @contextmanager
    def turn(self, actor: object, name: str, warn: Warn) -> Iterator[Engine]:
        """The model, for one at a time; Conflict where too many wait already."""
        self._wait()
        try:
            yield self._at_hand(actor, name, warn)
        finally:
            self._leave()

    @contextmanager
    def beside(self, actor: object, name: str, warn: Warn) -> Iterator[Engine]:
        """The model for what needs no turn, such as counting, if it is at hand; else as `turn`."""
        with self._state:
            engine = self._engine[1] if self._engine and self._engine[0] == name else None
            self._counting += engine is not None
        if engine is None:
            with self.turn(actor, name, warn) as loaded:
                yield loaded
            return
        try:
            yield engine
        finally:
            with self._state:
                self._counting -= 1
                self._state.notify_all()

    def _wait(self) -> None:
        ticket = object()
        with self._state:
            if len(self._line) >= MAX_WAITING:
                message = f"{MAX_WAITING} wait for a model already"
                raise Conflict(message, hint="try again when they are done")
            self._line.append(ticket)
            try:
                self._state.wait_for(lambda: self._is_closed or self._is_next(ticket))
                if self._is_closed:
                    raise Unavailable("the process that keeps the model is ending")
                self._is_answering = True
            finally:
                self._line.remove(ticket)
                self._state.notify_all()

    def _is_next(self, ticket: object) -> bool:
        return self._line[0] is ticket and not self._is_answering

    def _leave(self) -> None:
        with self._state:
            self._is_answering = False
            self._used = time.monotonic()
            self._state.notify_all()

    def _at_hand(self, actor: object, name: str, warn: Warn) -> Engine:
        version, held = self._version(name), self._engine
        if held and held[0] == name and version == self._loaded_version:
            return held[1]
        self._close()
        engine = self._load(actor, name, warn)
        self._known[name] = engine.context, engine.calls_tools
        self._engine, self._loaded_version = (name, engine), version
        return engine

    def _close(self) -> None:
        with self._state:
            found, self._engine = self._engine, None
            self._state.wait_for(lambda: not self._counting)
        if found is not None:
            found[1].close()


class Lent:
    """A model that is kept, as an engine of its own: each answer waits for its turn."""

    def __init__(  # noqa: PLR0913 - a model, whose it is, and what it is like
        self,
        resident: Resident,
        actor: object,
        name: str,
        warn: Warn,
        context: int,
        calls_tools: bool,  # noqa: FBT001 - as the engine has it
    ) -> None:
        self.name = name
        self.context = context
        self.calls_tools = calls_tools
        self._conversation = ""
        self._turn = partial(resident.turn, actor, name, warn)
        self._beside = partial(resident.beside, actor, name, warn)

    def count(self, text: str) -> int:
        """How many tokens the text has."""
        with self._beside() as engine:
            return engine.count(text)

    def recall(self, conversation: str) -> None:
        """Take up what is remembered of the conversation, once it is its turn."""
        self._conversation = conversation

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        sampling: Sampling = DEFAULT_SAMPLING,
        form: Form = FREE,
    ) -> Generator[Delta]:
        """Answer `messages` in the form, when it is its turn."""
        with self._turn() as engine:
            engine.recall(self._conversation)
            answer = engine.stream(messages, tools=tools, sampling=sampling, form=form)
            with closing(answer):
                yield from answer

    def close(self) -> None:
        """The model stays for others."""
