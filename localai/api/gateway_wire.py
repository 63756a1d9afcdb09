"""What OpenAI's clients send, as our records; pure.

Fields that we do not know are passed over, as OpenAI's own servers do it. Those that we know and
cannot honour are refused: an answer that silently is another would be worse than none.
https://platform.openai.com/docs/api-reference/chat
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from localai.api.fields import Fields
from localai.core.records import json_text
from localai.infer import schema as schemas
from localai.infer.completion import Asked
from localai.infer.demanded import AS_JSON, with_instruction
from localai.infer.engine import Form, Message, Sampling, ToolCall, ToolSpec

_MOST_MESSAGES: Final = 4_096
_MOST_PARTS: Final = 1_024
_MOST_TOOLS: Final = 128
_MOST_STOPS: Final = 4
_MOST_TOPS: Final = 20
_MOST_TOPS_OF_TEXT: Final = 5
_USUAL_LENGTH: Final = 16  # tokens, of the older kind of completion, where no other is asked for
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
# Whether a model thinks first, by how hard it is to try; what is not here is the model's own way.
_THINKS: Final = {"none": False, "minimal": False, "medium": True, "high": True, "xhigh": True}


@dataclass(frozen=True)
class Wanted:
    """What to ask a model, and how its answer is to be sent."""

    asked: Asked
    is_stream: bool
    tells_usage: bool
    one_call: bool = False


def chat(given: Mapping[str, Any]) -> Wanted:
    """A conversation to go on with; Invalid where it asks for what cannot be done."""
    fields = Fields(given)
    _refuse_chat(fields)
    messages: Sequence[Message] = [
        _message(each) for each in fields.parts("messages", _MOST_MESSAGES)
    ]
    if not messages:
        raise fields.wrong("messages", "at least one is needed")
    tools, must_call = _tools(fields)
    form, told = _form(fields)
    form = replace(form, tops=_tops(fields))
    if form.schema is not None and tools:
        raise fields.wrong("tools", "an answer of a response_format calls none: leave one out")
    asked = Asked(
        fields.needed("model"),
        with_instruction(messages, told) if told else messages,
        tools=tools,
        must_call=must_call,
        sampling=_sampling(fields, "max_completion_tokens", "max_tokens"),
        form=form,
    )
    one_call = fields.given.get("parallel_tool_calls") is False
    return Wanted(asked, *_sending(fields), one_call=one_call)


def completion(given: Mapping[str, Any]) -> Wanted:
    """A text to answer; it is one message, for models that were trained on conversations."""
    fields = Fields(given)
    _refuse_unknown_to_engines(fields)
    fields.refuse("best_of", "one answer at a time is given", 1)
    fields.refuse("echo", "the prompt is not repeated")
    fields.refuse("suffix", "nothing is filled in before a suffix")
    prompts = fields.texts("prompt", _MOST_MESSAGES)
    if len(prompts) != 1:
        raise fields.wrong("prompt", "one string is needed")
    sampling = _sampling(fields, "max_tokens", usual=_USUAL_LENGTH)
    tops = fields.whole("logprobs", 0)
    if tops is not None and tops > _MOST_TOPS_OF_TEXT:
        raise fields.wrong("logprobs", f"a whole number up to {_MOST_TOPS_OF_TEXT} is needed")
    form = Form(stops=_stops(fields), tops=tops)
    messages = [Message("user", prompts[0])]
    asked = Asked(fields.needed("model"), messages, sampling=sampling, form=form)
    return Wanted(asked, *_sending(fields))


def _refuse_chat(fields: Fields) -> None:
    _refuse_unknown_to_engines(fields)
    for name in ("functions", "function_call"):
        fields.refuse(name, "tools and tool_choice are their names now", "none")
    fields.refuse("audio", "sound is neither read nor made here")
    fields.refuse("modalities", "text alone is made here", ["text"])
    fields.refuse("web_search_options", "nothing is searched on the web here")


def _refuse_unknown_to_engines(fields: Fields) -> None:
    fields.refuse("n", "one answer at a time is given", 1)
    fields.refuse("logit_bias", "the engine takes no bias")
    for name in ("frequency_penalty", "presence_penalty"):
        fields.refuse(name, "the engine has no such penalty: leave it out, or give 0")


def _sending(fields: Fields) -> tuple[bool, bool]:
    options = fields.part("stream_options")
    return fields.flag("stream"), options is not None and options.flag("include_usage")


def _sampling(fields: Fields, *lengths: str, usual: int | None = None) -> Sampling:
    found = [length for name in lengths if (length := fields.whole(name, 1)) is not None]
    return Sampling(
        temperature=fields.number("temperature", 0, 2),
        max_tokens=next(iter(found), usual),
        seed=fields.whole("seed"),
        top_p=fields.number("top_p", 0, 1),
    )


def _tops(fields: Fields) -> int | None:
    """How many of the likeliest tokens are told; None where no probabilities are."""
    tops = fields.whole("top_logprobs", 0)
    if tops is not None and tops > _MOST_TOPS:
        raise fields.wrong("top_logprobs", f"a whole number up to {_MOST_TOPS} is needed")
    if fields.flag("logprobs"):
        return tops or 0
    if tops:
        raise fields.wrong("top_logprobs", "logprobs must be true as well")
    return None


def _stops(fields: Fields) -> tuple[str, ...]:
    found = fields.texts("stop", _MOST_STOPS)
    if not all(found):
        raise fields.wrong("stop", "an empty string would end every answer")
    return found


def _form(fields: Fields) -> tuple[Form, str]:
    """What the answer is held to, and what the model is told of it."""
    stops, thinks = _stops(fields), _THINKS.get(fields.text("reasoning_effort") or "")
    asked = fields.part("response_format")
    kind = asked.needed("type") if asked else "text"
    if asked is None or kind == "text":
        return Form(thinks=thinks, stops=stops), ""
    if kind == "json_object":
        return Form(schema={"type": "object"}, stops=stops), ""
    if kind != "json_schema":
        raise asked.wrong("type", "text, json_object or json_schema is needed")
    described = asked.part("json_schema")
    schema = described.mapping("schema") if described else None
    if schema is None:
        raise asked.wrong("json_schema", 'an object with a "schema" is needed')
    schemas.accept(schema, "response_format.json_schema.schema")
    return Form(schema=schema, stops=stops), f"{AS_JSON}{json_text(schema)}"


def _message(fields: Fields) -> Message:
    role = _ROLES.get(fields.needed("role"))
    if role is None:
        raise fields.wrong("role", f"one of {', '.join(_ROLES)} is needed")
    calls = fields.parts("tool_calls", _MOST_TOOLS) if role == "assistant" else ()
    content = _content(fields)
    if content is None and not calls:
        raise fields.wrong("content", "a string or a list of text parts is needed")
    return Message(
        role,
        content or "",
        tool_calls=tuple(map(_call, calls)),
        tool_call_id=fields.needed("tool_call_id") if role == "tool" else None,
        name=fields.text("name"),
    )


def _content(fields: Fields) -> str | None:
    if not isinstance(fields.given.get("content"), list):
        return fields.text("content")
    return "".join(map(_part, fields.parts("content", _MOST_PARTS)))


def _part(fields: Fields) -> str:
    kind = fields.needed("type")
    if kind not in {"text", "refusal"}:
        told = kind if _NAME.fullmatch(kind) else "this"
        raise fields.wrong("type", f"text alone is read here, and {told} is not text")
    return fields.needed(kind)


def _call(fields: Fields) -> ToolCall:
    function = fields.part("function")
    if function is None:
        raise fields.wrong("function", "an object is needed")
    return ToolCall(fields.needed("id"), function.needed("name"), function.needed("arguments"))


def _tools(fields: Fields) -> tuple[Sequence[ToolSpec], bool]:
    """The tools that the model may call, and whether it must call one."""
    tools = [_tool(each) for each in fields.parts("tools", _MOST_TOOLS)]
    choice = fields.given.get("tool_choice")
    if choice is None or choice == "auto":
        return tools, False
    if choice == "none":
        return (), False
    if choice == "required":
        chosen = tools
    elif isinstance(choice, dict):
        function = (fields.part("tool_choice") or fields).part("function")
        name = function.needed("name") if function else None
        chosen = [tool for tool in tools if tool.name == name]
    else:
        raise fields.wrong("tool_choice", "none, auto, required or a function is needed")
    if not chosen:
        raise fields.wrong("tool_choice", "there is no such tool among the tools")
    return chosen, True


def _tool(fields: Fields) -> ToolSpec:
    function = fields.part("function")
    if fields.text("type") != "function" or function is None:
        raise fields.wrong("type", "functions alone can be called here")
    name = function.needed("name")
    if not _NAME.fullmatch(name):
        raise function.wrong("name", "letters, digits, _ and - are needed, 64 at most")
    parameters = function.mapping("parameters") or {"type": "object", "properties": {}}
    return ToolSpec(name, function.text("description") or "", parameters)
