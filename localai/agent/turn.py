"""A turn of a conversation: what was asked for, and what it has come to so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localai.agent.events import Called, Found
from localai.approvals.policy import USUAL, Leave
from localai.infer.engine import DEFAULT_SAMPLING, Sampling, ToolCall, Usage
from localai.infer.receipt import Receipt

if TYPE_CHECKING:
    from localai.agent.grounding import Documents
    from localai.rag.records import Passage

MOST_ALIKE = 2  # calls with the same words in a turn; a third one is not run


Proposed = tuple[ToolCall, Receipt | None]


@dataclass(frozen=True)
class Budget:
    """How far a turn goes by itself: steps with tools, and tokens read and written in all."""

    steps: int = 20
    tokens: int = 100_000


@dataclass(frozen=True)
class Shape:
    """The JSON that an answer must be: its schema, and what raises where it is not."""

    schema: Mapping[str, object]
    check: Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What the user asks for; without text, a conversation goes on after a decision.

    `with_tools` None lets the tools in where the model was trained to call them. With a `shape`
    the answer is JSON, and no tool is called. `thinks` is as an engine takes it. With `documents`
    the answer rests on what is found there, and tools are let in only where `with_tools` says so.
    `leave` is how far the model may go without asking.
    """

    text: str | None
    session: str | None = None
    system: str | None = None
    with_tools: bool | None = None
    sampling: Sampling = DEFAULT_SAMPLING
    route: str = "chat"
    shape: Shape | None = None
    thinks: bool | None = None
    documents: "Documents | None" = None
    leave: Leave = USUAL


@dataclass
class Progress:
    """What a turn has gathered so far; `room` is in tokens, None where nobody knows it."""

    session: str
    text: str = ""
    calls: list[Called] = field(default_factory=list)
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0, 0.0, 0.0))
    dropped: int = 0
    untold: int = 0
    found: Found | None = None
    room: int | None = None
    stopped: str | None = None

    @property
    def passages(self) -> "tuple[Passage, ...]":
        """What was found for the question."""
        return self.found.passages if self.found else ()

    @property
    def pending(self) -> tuple[str, ...]:
        """The requests that wait for a person."""
        return tuple(call.pending for call in self.calls if call.pending)

    @property
    def spent(self) -> int:
        """Tokens that were computed for this turn; what was still in memory cost nothing."""
        usage = self.usage
        return usage.prompt_tokens - usage.cached_tokens + usage.completion_tokens

    def take(self, tokens: int) -> None:
        """Use up some of the room that is left in the context, where that is known."""
        if self.room is not None:
            self.room = max(0, self.room - tokens)

    def is_repeated(self, call: ToolCall) -> bool:
        """Whether this very call was made often enough in this turn."""
        alike = [(each.name, each.arguments) for each in self.calls]
        return alike.count((call.name, call.arguments)) >= MOST_ALIKE

    def count(self, usage: Usage) -> None:
        """Add a generation: tokens add up, the first one's time to first token stands."""
        so_far = self.usage
        self.take(usage.completion_tokens)
        self.usage = Usage(
            prompt_tokens=so_far.prompt_tokens + usage.prompt_tokens,
            cached_tokens=so_far.cached_tokens + usage.cached_tokens,
            completion_tokens=so_far.completion_tokens + usage.completion_tokens,
            ttft_ms=so_far.ttft_ms or usage.ttft_ms,
            tokens_per_second=usage.tokens_per_second or so_far.tokens_per_second,
        )
