"""What OpenAPI says of answers, read from the records that are answered."""

from dataclasses import fields, is_dataclass
from functools import cache, reduce
from http import HTTPStatus
from operator import or_
from types import UnionType
from typing import Any, Final, TypeAlias, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, create_model

from localai.api.errors import MEDIA_TYPE

_Answers: TypeAlias = dict[int | str, dict[str, Any]]
PROBLEM: Final = "Problem"
_REFERENCE: Final = "#/components/schemas/{model}"

PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Why it was not done (RFC 9457), and what to do next.",
    "properties": {
        "type": {"type": "string", "examples": ["urn:localai:problem:not_found"]},
        "title": {"type": "string", "examples": ["There is no such thing."]},
        "status": {"type": "integer", "examples": [404]},
        "detail": {"type": "string", "examples": ["no approval 3f2a9c4e5d6b7a80"]},
        "category": {
            "type": "string",
            "enum": [
                *("invalid", "denied", "not_found", "conflict", "unavailable", "pending"),
                *("rejected", "expired", "internal"),
            ],
        },
        "hint": {"type": ["string", "null"], "examples": ["ai approvals list"]},
        "request_id": {"type": "string", "examples": ["9b1f0d3c5e7a2846"]},
    },
    "required": ["type", "title", "status", "detail", "category", "hint", "request_id"],
}
# What each status has beside its document.
_HEADERS: Final = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "`Bearer`"}},
    429: {"Retry-After": {"schema": {"type": "integer"}, "description": "In seconds."}},
    503: {"Retry-After": {"schema": {"type": "integer"}, "description": "In seconds."}},
}
# Any request may be answered so, whatever it asks for.
ALWAYS: Final = (403, 408, 413, 421, 422, 431, 500, 503)

schemas: Final[dict[str, dict[str, Any]]] = {PROBLEM: PROBLEM_SCHEMA}


def problems(*statuses: int) -> _Answers:
    """The answers that tell of problems with these statuses."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model=PROBLEM)}}},
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status in sorted({*statuses, *ALWAYS})
    }


def record(kind: Any, example: Any, status: int = 200, **headers: str) -> _Answers:
    """The answer that shows a record of this kind; `headers` say what stands beside it."""
    schema = kind if isinstance(kind, dict) else reference(kind)
    told = {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
        for name, text in headers.items()
    }
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": schema, "example": example}},
            **({"headers": told} if told else {}),
        }
    }


def leading(answers: _Answers, **links: dict[str, Any]) -> _Answers:
    """The same answers; what they say is what these operations take, each as its link has it."""
    named = {name: {"operationId": name, **taken} for name, taken in links.items()}
    return {status: told | {"links": named} for status, told in answers.items()}


def reference(kind: Any) -> dict[str, Any]:
    """Where the schema of a record stands; it is written there."""
    name = _name(kind)
    if name not in schemas:
        found = TypeAdapter(_model(kind)).json_schema(mode="serialization", ref_template=_REFERENCE)
        schemas.update(found.pop("$defs", {}))
        schemas[name] = found | {"title": name}
    return {"$ref": _REFERENCE.format(model=name)}


def _name(kind: Any) -> str:
    return "".join(part.__name__ for part in (*get_args(kind), get_origin(kind) or kind))


@cache
def _model(kind: Any) -> Any:
    """A model of what is shown of a record: its fields, and nothing that it is made from."""
    origin = get_origin(kind) or kind
    if not is_dataclass(origin):
        return kind
    hints = get_type_hints(origin)
    inner = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
    shown = {each.name: (_shown(hints[each.name], inner), ...) for each in fields(origin)}
    doc = (origin.__doc__ or "").strip()
    return create_model(_name(kind), __doc__=doc, **shown)  # type: ignore[call-overload]


def _shown(hint: Any, inner: dict[Any, Any]) -> Any:
    hint = inner.get(hint, hint)
    if is_dataclass(hint):
        return _model(hint)  # type: ignore[arg-type]
    if (origin := get_origin(hint)) is None:
        return hint
    parts = tuple(_shown(each, inner) for each in get_args(hint))
    if origin is UnionType:
        return reduce(or_, parts)
    return origin[parts] if parts else hint
