"""A call that must be made: the whole answer is held to the JSON of one, which is then read."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace

from localai.core.records import json_text
from localai.infer.engine import Delta, Form, Message, ToolSpec
from localai.infer.toolcalls import read_call

AS_JSON = "Answer with one JSON value that fits this JSON schema, and nothing else: "

_TOLD = (
    "You can call these tools. Each line describes one, as JSON:\n{tools}\n\n"
    'Answer with one call, and nothing else: {{"name": "TOOL", "arguments": {{...}}}}'
)


def demand(
    messages: Sequence[Message], tools: Sequence[ToolSpec]
) -> tuple[Sequence[Message], Form]:
    """The conversation in which the model is told so, and the form that holds it to a call."""
    told = _TOLD.format(tools="\n".join(json_text(tool.described) for tool in tools))
    return with_instruction(messages, told), Form(schema={"anyOf": list(map(_call, tools))})


def called(deltas: Generator[Delta]) -> Generator[Delta]:
    """The answer as the call that it is; text as it stands where it was cut off before its end."""
    said = ""
    with closing(deltas):
        for delta in deltas:
            said += delta.text
            if delta.finish is None:
                continue
            call = read_call(said)
            if not call.name or delta.finish == "length":
                yield Delta(said)
                yield delta
            else:
                yield Delta(tool_call=call)
                yield replace(delta, finish="tool_calls")


def with_instruction(messages: Sequence[Message], told: str) -> Sequence[Message]:
    """The conversation with this at the end of its first instruction."""
    if messages and messages[0].role == "system":
        first = replace(messages[0], content=f"{messages[0].content}\n\n{told}")
        return [first, *messages[1:]]
    return [Message("system", told), *messages]


def _call(tool: ToolSpec) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": dict(tool.parameters)},
        "required": ["name", "arguments"],
    }
