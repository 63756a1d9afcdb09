"""Mends calls that a small model wrote badly, where there is one way to read them.

What was mended is what is checked, shown to a person and written down; the model is told of it.
Nothing is added: a text that ends too early, a key that stands twice and a number that readers
disagree about are answered with an error instead.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from localai.core.canonical import canonical, parse_object
from localai.core.errors import Invalid
from localai.infer.engine import ToolCall, ToolSpec

_MOST = 100_000  # characters
_DEEPEST = 200  # brackets: one of the library's steps takes longer with each
_WORDS = {"true": True, "false": False}


def mended(call: ToolCall, tools: Sequence[ToolSpec]) -> ToolCall:
    """The call as it can be run; itself where it is well written, or cannot be mended."""
    known = {tool.name: tool for tool in tools}
    call = _unwrapped(call)
    if call.name not in known:
        call = replace(call, name=_nearest(call.name, known) or call.name)
    try:
        given = _read(call.arguments)
    except Invalid:
        return call
    if (tool := known.get(call.name)) is None:
        return call
    fitted = _fitted(given, tool.parameters)
    is_same = fitted == given and _is_well_written(call.arguments)
    return call if is_same else replace(call, arguments=canonical(fitted).decode())


def _unwrapped(call: ToolCall) -> ToolCall:
    """A call whose whole text could not be read, or that stands inside of its own arguments."""
    try:
        found = _read(call.arguments)
    except Invalid:
        return call
    inner = found.get("arguments", found.get("parameters"))
    if found.keys() > {"name"} and isinstance(found["name"], str) and isinstance(inner, dict):
        return replace(call, name=found["name"], arguments=json.dumps(inner, ensure_ascii=False))
    return call


def _read(text: str) -> dict[str, Any]:
    try:
        return parse_object(text)
    except Invalid as error:
        if error.__cause__ and not isinstance(error.__cause__, json.JSONDecodeError):
            raise  # it is JSON, and may be read two ways
        return _repaired(text, error)


def _repaired(text: str, error: Invalid) -> dict[str, Any]:
    import json_repair  # noqa: PLC0415 - 35 ms that a well-written call does not pay

    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    is_whole = body.endswith(("}", '}"'))
    if not is_whole or len(body) > _MOST or body.count("{") + body.count("[") > _DEEPEST:
        raise error
    try:
        found = json_repair.loads(body)
        found = json_repair.loads(found) if isinstance(found, str) else found
    except (ValueError, RecursionError) as failure:
        raise error from failure
    if not isinstance(found, dict) or not found:
        raise error
    return parse_object(json.dumps(found, ensure_ascii=False))


def _is_well_written(text: str) -> bool:
    try:
        parse_object(text)
    except Invalid:
        return False
    return True


def _fitted(given: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments under the tool's own names, each in the type that it takes."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return dict(given)
    fitted: dict[str, Any] = {}
    for name, value in given.items():
        own = name if name in properties else _nearest(name, properties)
        if own is None or own in fitted or (own != name and own in given):
            fitted[name] = value
        elif value is not None or own in schema.get("required", ()):
            fitted[own] = _as(properties[own], value)
    return fitted


def _as(kind: Mapping[str, Any], value: Any) -> Any:
    wanted = kind.get("type")
    if wanted == "array" and isinstance(value, str):
        return _listed(value)
    if wanted == "boolean" and isinstance(value, str):
        return _WORDS.get(value.strip().lower(), value)
    if wanted in {"integer", "number"} and isinstance(value, str):
        try:
            return int(value) if wanted == "integer" else float(value)
        except ValueError:
            return value
    return value


def _listed(text: str) -> Any:
    """A list that was written as text, or a list of the text."""
    try:
        found = json.loads(text)
    except ValueError:
        return [text]
    return found if isinstance(found, list) else [text]


def _nearest(name: str, known: Mapping[str, object]) -> str | None:
    """The one known name that is the same but for case, signs and what stands before a dot."""
    wanted = {_folded(name), _folded(name.rpartition(".")[2])} - {""}
    found = [each for each in known if _folded(each) in wanted]
    return found[0] if len(found) == 1 else None


def _folded(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())
