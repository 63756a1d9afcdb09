"""Our answers as OpenAI's clients read them; pure."""

import base64
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from localai.api import gateway_logprobs
from localai.core.ids import new_id
from localai.infer.completion import Told
from localai.infer.engine import Chance, Delta, ToolCall, Usage
from localai.rag.embeddings import Embedded

_PREFIX: Final = {"chat": "chatcmpl-", "text": "cmpl-"}
_OBJECT: Final = {"chat": "chat.completion", "text": "text_completion"}


@dataclass
class Answer:
    """One answer as it grows; `kind` chat has messages, text is the older kind.

    `created` is in seconds since 1970. With `one_call`, further calls are left out.
    """

    kind: str
    created: int
    tells_usage: bool = False
    one_call: bool = False
    model: str = ""
    _id: str = field(default_factory=new_id)
    _text: str = ""
    _thought: str = ""
    _offset: int = 0
    _chances: list[Chance] = field(default_factory=list)
    _calls: list[ToolCall] = field(default_factory=list)
    _last: Delta = field(default_factory=Delta)
    _has_begun: bool = False

    def chunks(self, told: Told) -> Iterator[dict[str, Any]]:
        """What a stream says of the next step; the last step's has the reason it ended."""
        delta = self.take(told)
        if not self._has_begun and self.kind == "chat":
            yield self._chunk({"role": "assistant", "content": ""})
        self._has_begun = True
        if delta.text:
            yield self._chunk({"content": delta.text}, chances=delta.chances)
        if delta.thought:
            yield self._chunk({"reasoning_content": delta.thought})
        if delta.tool_call:
            place = len(self._calls) - 1
            yield self._chunk({"tool_calls": [{"index": place, **_called(delta.tool_call)}]})
        if delta.finish:
            yield self._chunk({}, delta.finish)
            if self.tells_usage:
                yield self._frame(".chunk", []) | {"usage": _usage(delta.usage)}

    def take(self, told: Told) -> Delta:
        """Add the next step; returns what of it is to be said."""
        self.model, delta = told
        if delta.finish:
            self._last = delta
        if (call := delta.tool_call) and not call.name:
            delta = Delta(call.arguments)  # it is no call that a client could make
        elif call and self._calls and self.one_call:
            delta = Delta()
        elif call:
            self._calls.append(call)
        self._offset = len(self._text)
        self._text += delta.text
        self._chances += delta.chances
        self._thought += delta.thought
        return delta

    def whole(self) -> dict[str, Any]:
        """The answer at once, when its last step was taken."""
        if self.kind == "chat":
            said: dict[str, Any] = {"message": self._message()}
        else:
            said = {"text": self._text}
        logprobs = gateway_logprobs.of(self.kind, self._chances)
        choice = {"index": 0, **said, "logprobs": logprobs, "finish_reason": self._last.finish}
        return self._frame("", [choice]) | {"usage": _usage(self._last.usage)}

    def _message(self) -> dict[str, Any]:
        said: dict[str, Any] = {"role": "assistant", "content": self._text, "refusal": None}
        if self._calls:
            said |= {"content": self._text or None, "tool_calls": list(map(_called, self._calls))}
        if self._thought:
            said["reasoning_content"] = self._thought
        return said

    def _chunk(
        self, delta: dict[str, Any], finish: str | None = None, chances: Sequence[Chance] = ()
    ) -> dict[str, Any]:
        if self.kind == "chat":
            said: dict[str, Any] = {"delta": delta}
        else:
            said = {"text": delta.get("content", "")}
        logprobs = gateway_logprobs.of(self.kind, chances, self._offset)
        choice = {"index": 0, **said, "logprobs": logprobs, "finish_reason": finish}
        told = self._frame(".chunk", [choice])
        return told | {"usage": None} if self.tells_usage else told

    def _frame(self, suffix: str, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"{_PREFIX[self.kind]}{self._id}",
            "object": _OBJECT[self.kind] + (suffix if self.kind == "chat" else ""),
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def models(names: Sequence[str]) -> dict[str, Any]:
    """The list of models."""
    return {"object": "list", "data": list(map(model, names))}


def model(name: str) -> dict[str, Any]:
    """One model; when it was made nobody knows."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "localai"}


def embeddings(found: Embedded, *, is_base64: bool) -> dict[str, Any]:
    """Vectors, as lists of numbers or as the base64 of their little-endian 32-bit floats."""
    data = [
        {
            "object": "embedding",
            "index": place,
            "embedding": _packed(vector) if is_base64 else vector,
        }
        for place, vector in enumerate(found.vectors)
    ]
    usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
    return {"object": "list", "data": data, "model": found.model, "usage": usage}


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _called(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _usage(usage: Usage | None) -> dict[str, Any]:
    prompt, cached, written = (
        (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) if usage else (0, 0, 0)
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
