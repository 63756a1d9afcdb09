"""What of a long conversation a model still reads; pure.

The system's words and the latest turns always stay. When the messages outgrow their room, the
oldest questions are left out with all that came of them, until half of the room is free. Nothing
moves again before that is used up, so the engine finds the beginning that it remembers, and what
is left out depends on what was said, not on when it is asked.
"""

import json
from collections.abc import Callable, Sequence

from localai.infer.engine import Message, ToolSpec

_MOST_ANSWER = 1024
_AROUND = 8  # tokens that a template puts around a message


def told(
    tools: Sequence[ToolSpec], context: int, count: Callable[[str], int]
) -> Sequence[ToolSpec]:
    """The tools that a model is told of: ours, and as many of others as a quarter of it holds."""
    if not context or not any(_is_foreign(tool) for tool in tools):
        return tools
    kept, left = [], context // 4
    for tool in tools:
        size = count(json.dumps(tool.described))
        if size <= left or not _is_foreign(tool):
            kept.append(tool)
            left -= size
    return kept


def room(context: int, fixed: int) -> int:
    """Tokens for messages: the context but for what is fixed, and a quarter or 1,024 to answer."""
    return context - fixed - min(context // 4, _MOST_ANSWER)


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


def _is_foreign(tool: ToolSpec) -> bool:
    return "." in tool.name  # the dot after the server's name


def _text(message: Message) -> str:
    return "\n".join([message.content, *(call.arguments for call in message.tool_calls)])
