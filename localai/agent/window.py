"""What of a long conversation a model still reads; pure.

The system's words and the latest turns always stay. When the messages outgrow their room, the
oldest questions are left out with all that came of them, until half of the room is free. Nothing
moves again before that is used up, so the engine finds the beginning that it remembers, and what
is left out depends on what was said, not on when it is asked.
"""

import json
from collections.abc import Callable, Sequence
from itertools import accumulate

from localai.infer.engine import Message, ToolSpec

_MOST_ANSWER = 1024
_AROUND = 8  # tokens that a template puts around a message


def room(context: int, fixed: int) -> int:
    """Tokens for messages: the context but for what is fixed, and a quarter or 1,024 to answer."""
    return context - fixed - min(context // 4, _MOST_ANSWER)


def told(tools: Sequence[ToolSpec], context: int, count: Callable[[str], int]) -> list[ToolSpec]:
    """The first tools, as many as leave three fifths of the context to talk; all where it is 0.

    A small model reads of the tools that it learned, and is not drowned in others.
    """
    texts = [json.dumps(tool.described) for tool in tools]
    most = context * 2 // 5
    # No token is less than a byte, so a large context need not be counted.
    if not context or sum(len(text.encode()) + _AROUND for text in texts) <= most:
        return list(tools)
    taken = accumulate(count(text) + _AROUND for text in texts)
    return [tool for tool, size in zip(tools, taken, strict=True) if size <= most]


def first_kept(messages: Sequence[Message], room: int, count: Callable[[str], int]) -> int:
    """Where what the model reads begins: at 0, or at a later question."""
    texts = [_text(message) for message in messages]
    # No token is less than a byte, so a short conversation need not be counted.
    if sum(len(text.encode()) + _AROUND for text in texts) <= room:
        return 0
    sizes = [count(text) + _AROUND for text in texts]
    questions = [n for n, message in enumerate(messages) if message.role == "user"]
    first, taken = 0, 0
    for end, size in enumerate(sizes):
        taken += size
        if taken <= room:
            continue
        for question in questions:
            if first < question <= end and taken > room // 2:
                taken -= sum(sizes[first:question])
                first = question
    return first


def _text(message: Message) -> str:
    return "\n".join([message.content, *(call.arguments for call in message.tool_calls)])
