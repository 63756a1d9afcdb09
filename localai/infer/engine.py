"""The Engine protocol and the records that pass through it.

Knows what a conversation and a streamed answer are; never which library produces it.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Finish = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to run a tool; `arguments` is the JSON text exactly as the model wrote it.

    `name` is empty, or a guess, where the model's text was not a well-formed call;
    `arguments` is then the whole text, for the caller to refuse.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told about one tool; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `role` is system, user, assistant or tool."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; temperature 0 is greedy, no `max_tokens` means to the end."""

    temperature: float = 0.7
    max_tokens: int | None = None
    seed: int | None = None
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost; `cached_tokens` of the prompt were still in memory.

    `ttft_ms` runs from the call to the first token, `tokens_per_second` from there to the last.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    ttft_ms: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Delta:
    """One step of a streamed answer; the last one carries `usage` and `finish`."""

    text: str = ""
    tool_call: ToolCall | None = None
    usage: Usage | None = None
    finish: Finish | None = None


DEFAULT_SAMPLING = Sampling()


class Engine(Protocol):
    """Something that answers a conversation, one delta at a time."""

    @property
    def name(self) -> str:
        """The model's name, as people know it."""

    @property
    def context(self) -> int:
        """How many tokens a conversation may have, answer included."""

    @property
    def calls_tools(self) -> bool:
        """Whether the model was trained to call tools: its own template speaks of them."""

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        sampling: Sampling = DEFAULT_SAMPLING,
    ) -> Generator[Delta]:
        """Answer `messages`; closing the iterator midway leaves the engine usable."""

    def close(self) -> None:
        """Give the memory back; the engine cannot be used afterwards."""
