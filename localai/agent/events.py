"""What happens in a turn of a conversation, as it is shown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from localai.infer.engine import Usage

if TYPE_CHECKING:
    from localai.rag.records import Passage


@dataclass(frozen=True)
class Said:
    """A piece of the answer, as it is generated."""

    kind: ClassVar[Literal["said"]] = "said"

    text: str


@dataclass(frozen=True)
class Thought:
    """A piece of what a model thinks before it answers; it is shown, and not kept."""

    kind: ClassVar[Literal["thought"]] = "thought"

    text: str


@dataclass(frozen=True)
class Dropped:
    """From now on the first `messages` of the conversation are not read: they no longer fit."""

    kind: ClassVar[Literal["dropped"]] = "dropped"

    messages: int


@dataclass(frozen=True)
class Calling:
    """A tool is about to be called, with arguments as they will be read."""

    kind: ClassVar[Literal["calling"]] = "calling"

    name: str
    arguments: str


@dataclass(frozen=True)
class Stopped:
    """The model may call no more tools in this turn, and must answer with what it has."""

    kind: ClassVar[Literal["stopped"]] = "stopped"

    why: str


@dataclass(frozen=True)
class Untold:
    """So many tools the model is not told of: its context has no room for them."""

    kind: ClassVar[Literal["untold"]] = "untold"

    tools: int


@dataclass(frozen=True)
class Called:
    """A tool call and what came of it; `pending` is the id of a request that waits."""

    kind: ClassVar[Literal["called"]] = "called"

    name: str
    arguments: str
    ok: bool
    text: str
    pending: str | None = None


@dataclass(frozen=True)
class Found:
    """What was looked up in a collection, as it was put, and found; nothing is an answer, too."""

    kind: ClassVar[Literal["found"]] = "found"

    question: str
    collection: str
    passages: "tuple[Passage, ...]"


@dataclass(frozen=True)
class ChatResult:
    """A turn that is over: the record of `ai chat --json`."""

    kind: ClassVar[Literal["done"]] = "done"

    session: str
    model: str
    route: str
    text: str
    tool_calls: tuple[Called, ...]
    pending: tuple[str, ...]
    usage: Usage


@dataclass(frozen=True)
class GroundedResult(ChatResult):
    """A turn over documents that is over, with the passages that it cites."""

    passages: "tuple[Passage, ...]"


Event = Said | Thought | Calling | Called | Stopped | Dropped | Untold | Found | ChatResult
