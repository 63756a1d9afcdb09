"""What some tools need of other rooms, which App hands to them. Each room checks who asks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localai.agent.tools import Context
from localai.core.errors import Denied
from localai.rbac.permissions import Actor

if TYPE_CHECKING:
    from localai.agent.search import Found
    from localai.core.web import Fetched
    from localai.infer.library import Model
    from localai.rag.records import Passage

MAX_TEXT = 65_536


@dataclass(frozen=True)
class Recalled:
    """What was said in conversations; `is_foreign` where a stranger's text was read in one."""

    found: "Sequence[Found]"
    is_foreign: bool


@dataclass(frozen=True)
class Rooms:
    """Functions of other rooms.

    `fetch` gets a page of the web; `part` what belongs to one, wherever that is, of so many bytes
    within so many seconds; `look_up` the best passages of a collection for a question;
    `recall` what was said in earlier conversations, but for the one that is going on; `models`
    those that can answer; `answering` which one does in a conversation; `choose` lets another one
    answer there from the next turn on, and returns its name.
    """

    fetch: Callable[[str], "Fetched"]
    part: Callable[[str, int, float], "Fetched"]
    look_up: "Callable[[Actor, str, str, int], Sequence[Passage]]"
    recall: Callable[[Actor, str, int], Recalled]
    models: "Callable[[Actor], Sequence[Model]]"
    answering: Callable[[Actor, str], str | None]
    choose: Callable[[Actor, str, str], str]


def who(context: Context) -> Actor:
    """For whom the tool works."""
    if context.actor is None:
        raise Denied("nobody asks for this")
    return context.actor


def clipped(text: str) -> str:
    """The text, or as much of it as a model is given, with a line that says so."""
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}\n[clipped: the first {MAX_TEXT} of {len(text)} characters]"
