"""Turns a conversation into prompt text, through the model's own chat template.

The template comes out of a downloaded file and the contents from anywhere: the template runs
in a sandbox, and no content can spell a token that the model takes for structure.
"""

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise, takewhile

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from localai.core.errors import Invalid
from localai.infer.engine import Message, ToolCall, ToolSpec
from localai.infer.thinking import BEGIN, END
from localai.infer.toolcalls import CLOSE, OPEN

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
# For a model that names neither a template nor ChatML's tokens: one `role: content` a paragraph.
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}assistant:"

_TOOLS = (
    "You can call these tools. Each line describes one, as JSON:\n{tools}\n\n"
    "To call a tool, write exactly this and nothing after it, once for each call:\n"
    f'{OPEN}\n{{{{"name": "TOOL", "arguments": {{{{...}}}}}}}}\n{CLOSE}'
)


@dataclass(frozen=True, slots=True)
class Specials:
    """Spellings of tokens that are more than text.

    `control` steers the model (`<|im_end|>`); `marks` are ordinary tokens that a template may
    use as structure (`<tool_call>`).
    """

    control: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()


class ChatTemplate:
    """One model's chat template, ready to render; "" stands for ChatML or plain text."""

    def __init__(self, source: str, specials: Specials, *, bos: str = "", eos: str = "") -> None:
        self.source = source = source or (CHATML if _speaks_chatml(specials) else PLAIN)
        env = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        env.filters["tojson"] = _tojson
        env.globals.update(raise_exception=_refuse, strftime_now=_strftime_now)
        try:
            parsed = env.parse(source)
            names = {name.name for name in parsed.find_all(nodes.Name)}
            code = env.compile(parsed)
        # Python compiles what Jinja writes, and refuses deep nesting in words of its own.
        except (jinja2.TemplateError, SyntaxError, ValueError, RecursionError) as error:
            raise Invalid(
                "the model's chat template does not parse",
                hint="ai models use NAME   takes another model",
            ) from error
        self._template = env.template_class.from_code(env, code, env.make_globals(None))
        # A template with a call format of its own that we do not read gets ours, as text.
        self.native_tools = "tools" in names and OPEN in source
        self._tokens = {"bos_token": bos, "eos_token": eos}
        # Gemma's vocabulary counts line breaks and HTML among them: only what the template
        # itself writes, and looks like a tag, is structure.
        tags = (mark for mark in specials.marks if mark.startswith(("<", "[")))
        marks = (tag for tag in tags if tag in source)
        self._control = _pattern(specials.control)
        self._everything = _pattern((*specials.control, *marks))

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        *,
        thinks: bool | None = None,
    ) -> list[str]:
        """The prompt, in pieces to be tokenised one by one, special tokens included.

        A special token spelt inside a content is cut in two, between pieces, so that neither
        half is the token; a prompt without one is a single piece, tokenised as it always was.
        Rendering the contents themselves, rather than placeholders, keeps the templates that
        look into them true. `thinks` asks for a thought before the answer, or for none, of models
        that can do both; None is as the template has it.
        """
        if not self.native_tools:
            messages, tools = _as_text(messages, tools), ()
        seam = f"0seam{secrets.token_hex(12)}"
        # Qwen3 and SmolLM3 call it by the first name, Granite by the second.
        asked = {} if thinks is None else {"enable_thinking": thinks, "thinking": thinks}
        try:
            text = self._fill(messages, tools, seam, asked)
        except Invalid:
            if messages[0].role != "system" or len(messages) == 1:
                raise
            text = self._fill(_without_system(messages), tools, seam, asked)
        if thinks is False and text.rstrip().endswith(BEGIN):
            text = f"{text.rstrip()}\n\n{END}\n\n"  # the template cannot leave it out
        return text.split(seam)

    def _fill(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        seam: str,
        asked: Mapping[str, bool],
    ) -> str:
        try:
            return self._template.render(
                messages=[self._message(message, seam) for message in messages],
                tools=[_cut(tool.described, self._everything, seam) for tool in tools] or None,
                add_generation_prompt=True,
                **self._tokens,
                **asked,
            )
        # The template is a stranger's program: whatever it raises, it refuses.
        except Exception as error:
            raise Invalid("the model's chat template refuses this conversation") from error

    def _message(self, message: Message, seam: str) -> object:
        # What the assistant said keeps its marks: they were tokens when it said them.
        pattern = self._control if message.role == "assistant" else self._everything
        return _cut(_plain(message), pattern, seam)


def shared(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two prompts have in common at their beginning."""
    pairs = zip(left, right, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _speaks_chatml(specials: Specials) -> bool:
    return {"<|im_start|>", "<|im_end|>"} <= {*specials.control, *specials.marks}


def _pattern(spellings: Iterable[str]) -> re.Pattern[str] | None:
    wanted = sorted({s for s in spellings if len(s) > 1}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, wanted))) if wanted else None


def _cut(value: object, pattern: re.Pattern[str] | None, seam: str) -> object:
    """`value` with a seam after the first character of every special token in its strings."""
    if pattern is None:
        return value
    if isinstance(value, str):
        # Only forward: a cut can bring an overlapped spelling to light, and a hostile
        # vocabulary may hold a part of the seam.
        cuts = [0]
        while found := pattern.search(value, cuts[-1]):
            cuts.append(found.start() + 1)
        return seam.join(value[start:end] for start, end in pairwise([*cuts, None]))
    if isinstance(value, Mapping):
        return {_cut(k, pattern, seam): _cut(v, pattern, seam) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(item, pattern, seam) for item in value]
    return value


def _plain(message: Message) -> dict[str, object]:
    found: dict[str, object] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        found["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call)},
            }
            for call in message.tool_calls
        ]
    optional = {"tool_call_id": message.tool_call_id, "name": message.name}
    return found | {key: value for key, value in optional.items() if value is not None}


def _arguments(call: ToolCall) -> object:
    try:
        return json.loads(call.arguments)
    except (ValueError, RecursionError):
        return call.arguments


def _as_text(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Sequence[Message]:
    """The conversation for a template that knows no tools: all in system, user and assistant."""
    told = [_said(message) for message in messages]
    if not tools:
        return told
    listing = _TOOLS.format(tools="\n".join(_tojson(tool.described) for tool in tools))
    if told and told[0].role == "system":
        return [replace(told[0], content=f"{told[0].content}\n\n{listing}"), *told[1:]]
    return [Message("system", listing), *told]


def _said(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
    if not message.tool_calls:
        return message
    calls = [
        f"{OPEN}\n{_tojson({'name': call.name, 'arguments': _arguments(call)})}\n{CLOSE}"
        for call in message.tool_calls
    ]
    return Message(message.role, "\n".join([*filter(None, [message.content]), *calls]))


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """The conversation for a template without a system role: the user says it first."""
    system, first, *rest = messages
    return [replace(first, content=f"{system.content}\n\n{first.content}"), *rest]


def _tojson(
    value: object, *, ensure_ascii: bool = False, indent: int | None = None, **_: object
) -> str:
    """JSON as models were trained on it: keys in their order, nothing escaped for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _refuse(reason: str) -> None:
    raise jinja2.TemplateError(reason)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)
