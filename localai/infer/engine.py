"""The Engine protocol and the records that pass through it.

Knows what a conversation and a streamed answer are; never which library produces it.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from localai.infer.receipt import Receipt

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

    @property
    def described(self) -> dict[str, object]:
        """The tool as templates and servers read it: OpenAI's form."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }
        return {"type": "function", "function": function}


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
    """How the next token is drawn; temperature 0 is greedy, no `max_tokens` means to the end.

    What is None is as the model's own file recommends, else as `USUAL_SAMPLING` has it.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer must be like.

    `citations` is how many passages it may cite, as [1] or [1, 2]; 0 where it cites none. With a
    JSON `schema` all of it is one value of that, and no tool is called. An engine that cannot hold
    a model to these, or to the form of a call, lets it write. A model that can think before it
    answers does so if `thinks`, or as its own template has it where that is None; never where
    the answer is held to citations or a schema. It ends before the first of `stops` in its text.
    With `tops` each text comes with how likely its tokens were, and that many of the likeliest.
    """

    citations: int = 0
    schema: Mapping[str, object] | None = None
    thinks: bool | None = None
    stops: tuple[str, ...] = ()
    tops: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether the answer is held to anything."""
        return self.citations > 0 or self.schema is not None


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
class Chance:
    """How likely a model found a token, as a natural logarithm, and which ones the likeliest."""

    token: bytes
    logprob: float
    tops: tuple[tuple[bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """One step of a streamed answer; the last one carries `usage` and `finish`.

    A `thought` is what a model thinks before it answers, and no part of the answer. A call comes
    with the `receipt` of its generation, if the engine can give one. `chances` are the tokens of
    the text, where the form asks for them.
    """

    text: str = ""
    thought: str = ""
    tool_call: ToolCall | None = None
    receipt: Receipt | None = None
    usage: Usage | None = None
    finish: Finish | None = None
    chances: tuple[Chance, ...] = ()


FREE = Form()
DEFAULT_SAMPLING = Sampling()
USUAL_SAMPLING = Sampling(temperature=0.7, top_p=0.95, top_k=40, min_p=0.05)


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

    def count(self, text: str) -> int:
        """How many tokens the text has; about, where only a server knows."""

    def recall(self, conversation: str) -> None:
        """Take up what is remembered of the conversation, which the next messages go on with.

        It only saves time. What was remembered until now is kept for its own conversation.
        """

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        sampling: Sampling = DEFAULT_SAMPLING,
        form: Form = FREE,
    ) -> Generator[Delta]:
        """Answer `messages` in the form; closing the iterator midway leaves the engine usable."""

    def close(self) -> None:
        """Give the memory back; the engine cannot be used afterwards."""
