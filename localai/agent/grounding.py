"""Documents in a conversation: what is looked up for a question, and how the model reads it.

A follow-up such as "and in winter?" finds nothing by itself, so the model first writes it as a
question that stands alone. What it writes is used for looking up only where it says nothing new.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from localai.agent.events import Found
from localai.infer.engine import Engine, Message, Sampling
from localai.rag.prompt import RULES, asked
from localai.rag.records import Passage
from localai.rag.sparse import tokens

_REWRITE = (
    "Write my next question so that it can be understood without this conversation: put in what "
    "its words refer to. Answer with that one question in its own language, and nothing else.\n\n"
    "Next question: "
)
_SAMPLING = Sampling(temperature=0, max_tokens=96)
_LONGEST = 400
# Of the terms that a rewritten question may have, so many were said before.
_KNOWN_SHARE = 0.7


@dataclass(frozen=True)
class Documents:
    """Where a conversation looks things up: a collection and what finds passages in it."""

    collection: str
    find: Callable[[str], Sequence[Passage]]

    def look_up(self, question: str, earlier: Sequence[Message], engine: Engine) -> Found:
        """The passages for a question that may lean on what was said `earlier`."""
        alone = standalone(question, earlier, engine) if earlier else question
        return Found(alone, self.collection, tuple(self.find(alone)))

    def asked(
        self, prompt: str, messages: Sequence[Message], passages: Sequence[Passage]
    ) -> tuple[str, list[Message]]:
        """The instructions and the messages, the last question of which is over the passages."""
        last = max(n for n, message in enumerate(messages) if message.role == "user")
        question = messages[last]
        over = replace(question, content=asked(passages, question.content))
        return f"{prompt}\n\n{RULES}", [*messages[:last], over, *messages[last + 1 :]]


def standalone(question: str, earlier: Sequence[Message], engine: Engine) -> str:
    """The question as it would be put without the conversation; itself where that fails."""
    messages = [*earlier, Message("user", _REWRITE + question)]
    deltas = engine.stream(messages, sampling=_SAMPLING)
    written = " ".join("".join(delta.text for delta in deltas).split())
    said = [message.content for message in earlier if message.role in {"user", "assistant"}]
    return written if _is_faithful(written, question, said) else question


def _is_faithful(written: str, question: str, said: Sequence[str]) -> bool:
    """Whether a rewritten question says what was asked, in words that were said before."""
    terms = set(tokens(written))
    if not terms or len(written) > _LONGEST:
        return False
    wanted = set(tokens(question))
    known = wanted.union(*map(tokens, said))
    return len(terms & known) >= _KNOWN_SHARE * len(terms) and bool(terms & wanted)
