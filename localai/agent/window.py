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
    """What a model is told of: tools of ours in a quarter of its context, of others in another."""
    if not context:
        return tools
    kept, left = [], {True: context // 4, False: context // 4}
    for tool in tools:
        size = count(json.dumps(tool.described))
        if size <= left[_is_foreign(tool)]:
            kept.append(tool)
            left[_is_foreign(tool)] -= size
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
    sizes = _sizes(texts, count)
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


def taken(messages: Sequence[Message], count: Callable[[str], int]) -> int:
    """Tokens that these take up, calls and what a template puts around them included."""
    return sum(_sizes([_text(message) for message in messages], count))


def _sizes(texts: Sequence[str], count: Callable[[str], int]) -> list[int]:
    return [count(text) + _AROUND for text in texts]


def _text(message: Message) -> str:
    return "\n".join([message.content, *(call.arguments for call in message.tool_calls)])


def clipped(text: str, most: int, count: Callable[[str], int]) -> str:
    """The text if it has `most` tokens, else its beginning and end, with what is left out told."""
    if len(text.encode()) <= most or (tokens := count(text)) <= most:
        return text
    kept = int(len(text) * most / tokens)
    while kept > 0:
        head, tail = kept - kept // 3, kept // 3
        said = f"{text[:head]}\n[clipped: {len(text) - kept} of {len(text)} characters]\n"
        shorter = said + text[len(text) - tail :]
        if count(shorter) <= most:
            return shorter
        kept = kept * 9 // 10
    return "[left out: there is no room for it]"
