"""Finds `<tool_call>...</tool_call>` in a stream of text (the Qwen and Hermes form).

Pure. Never repairs what the model wrote: a malformed call leaves as it is, for the caller to
refuse, and never as text.
"""

import json
import re
import secrets
from collections.abc import Iterator

from localai.infer.engine import ToolCall

OPEN = "<tool_call>"
CLOSE = "</tool_call>"
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]{1,128})"')
_DECODER = json.JSONDecoder()


class ToolCallParser:
    """Splits streamed text into plain text and tool calls."""

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._after_call = False

    def feed(self, text: str) -> Iterator[str | ToolCall]:
        """Yield what is certain so far; holds back only what may begin a tag."""
        self._held += text
        while True:
            tag = CLOSE if self._inside else OPEN
            before, found, after = self._held.partition(tag)
            if not found:
                break
            yield from self._call(before) if self._inside else self._text(before)
            self._held, self._inside = after, not self._inside
        if not self._inside:
            keep = tag_start(self._held, OPEN)
            ready, self._held = (
                self._held[: len(self._held) - keep],
                self._held[len(self._held) - keep :],
            )
            yield from self._text(ready)

    def finish(self) -> Iterator[str | ToolCall]:
        """Yield what was held back; an unclosed call is a call."""
        held, self._held = self._held, ""
        yield from self._call(held) if self._inside else self._text(held)
        self._inside = False

    def _text(self, text: str) -> Iterator[str]:
        # The line breaks after a call belong to its tags, not to the answer.
        text = text.lstrip() if self._after_call else text
        if text:
            self._after_call = False
            yield text

    def _call(self, raw: str) -> Iterator[ToolCall]:
        self._after_call = True
        yield read_call(raw)


def read_call(raw: str) -> ToolCall:
    """The call that `raw` spells: `{"name": ..., "arguments": {...}}`."""
    text = raw.strip()
    call_id = f"call_{secrets.token_hex(6)}"
    try:
        members = dict(_members(text))
        name = json.loads(members["name"])
    except (ValueError, KeyError, RecursionError):
        guess = _NAME.search(text)
        return ToolCall(call_id, guess[1] if guess else "", text)
    if not isinstance(name, str):
        return ToolCall(call_id, "", text)
    return ToolCall(call_id, name, members.get("arguments", members.get("parameters", "{}")))


def _members(text: str) -> list[tuple[str, str]]:
    """The members of the JSON object `text`, each value as it is written."""
    found: list[tuple[str, str]] = []
    at = _expect(text, 0, "{")
    while True:
        key, end = _DECODER.raw_decode(text, _skip(text, at))
        start = _skip(text, _expect(text, end, ":"))
        _, end = _DECODER.raw_decode(text, start)
        if not isinstance(key, str) or key in dict(found):
            raise ValueError(key)
        found.append((key, text[start:end]))
        at = _skip(text, end)
        if text[at : at + 1] != ",":
            break
        at += 1
    if _expect(text, at, "}") != len(text):
        raise ValueError(text)
    return found


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\n", "\r", "\t"}:
        at += 1
    return at


def _expect(text: str, at: int, char: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != char:
        raise ValueError(text)
    return at + 1


def tag_start(text: str, tag: str) -> int:
    """How many characters at the end of `text` may begin the tag."""
    longest = min(len(text), len(tag) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(tag[:n])), 0)
