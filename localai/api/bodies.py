"""What comes in a request's body: JSON with one reading, and the models that it must fit."""

from typing import Annotated, Any, Final, Literal, TypeVar

import anyio.to_thread
from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from localai.api.described import reference, schemas
from localai.api.errors import Malformed, Unsupported
from localai.core.canonical import parse_object
from localai.core.errors import Invalid

_JSON: Final = "application/json"
_SHORT: Final = 2 << 10  # bytes, which are parsed sooner than a thread has them
_SAFE: Final = 2**53 - 1
# What is blank to one reader of expressions is not to another: here it is to all of them.
INK: Final = r"[^\s\x00-\x1f\x85]"
VALUE: Final[Any] = {"$ref": "#/components/schemas/Value"}
schemas["Value"] = {
    "description": "Any JSON, with numbers that every reader of JSON reads alike.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "string"},
        {"type": "number", "minimum": -_SAFE, "maximum": _SAFE},
        {"type": "array", "items": VALUE},
        {"type": "object", "additionalProperties": VALUE},
    ],
}

Reason = Annotated[str | None, Field(max_length=1024, description="Why; kept.")]
M = TypeVar("M", bound=BaseModel)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number, which JSON may also spell 5.0."""


class Strict(BaseModel):
    """What is not named here is a slip of the hand, and refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewApproval(Strict):
    """A call that is to wait for a person; a name that is no tool's here is another system's."""

    tool_name: str = Field(
        pattern="^[A-Za-z][A-Za-z0-9_.:/-]{0,99}$",
        description="A tool as in `ai tools list`, or an action as its own system calls it.",
        examples=["deploy"],
    )
    arguments: dict[str, Any] = Field(examples=[{"service": "shop"}])
    reason: Reason = None


# pydantic knows no schema that it has not made.
reference(NewApproval)
schemas["NewApproval"]["properties"]["arguments"]["additionalProperties"] = VALUE


class Decision(Strict):
    """What is to become of a request."""

    action: Literal["approve", "reject", "claim", "succeed", "fail"] = Field(
        description=(
            "A person approves or rejects; another system claims its own approved action, "
            "and says how it ended."
        )
    )
    reason: Reason = None
    action_sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-fA-F]{8,64}$",
        description="The digest of what was read, or its beginning; strict mode needs it.",
    )
    totp: str | None = Field(
        default=None,
        pattern="^[0-9]{6}$",
        description="A one-time code, where approving takes one.",
    )


async def _raw(request: Request) -> bytes:
    """The body as it came; reading it waits for the client, and holds no thread."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _JSON:
        raise Unsupported(f"the body must be {_JSON}", hint="add the header Content-Type")
    return await request.body()


def read_object(raw: Annotated[bytes, Depends(_raw)]) -> dict[str, Any]:
    """The JSON object that came, whatever is in it; a dependency of doors."""
    return _read(raw)


def body(model: type[M]) -> Any:
    """What a door takes that reads this model; what is long is parsed beside the loop."""

    async def parsed(raw: Annotated[bytes, Depends(_raw)]) -> M:
        if len(raw) <= _SHORT:
            return _fitting(model, raw)
        return await anyio.to_thread.run_sync(_fitting, model, raw)

    return Depends(parsed)


def taken(model: type[BaseModel], **examples: dict[str, Any]) -> dict[str, Any]:
    """What OpenAPI says of such a body."""
    told = {name: {"value": value} for name, value in examples.items()}
    content = {_JSON: {"schema": reference(model), "examples": told}}
    return {"requestBody": {"required": True, "content": content}}


def _fitting(model: type[M], raw: bytes) -> M:
    try:
        return model.model_validate(_read(raw))
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from error


def _read(raw: bytes) -> dict[str, Any]:
    try:
        return parse_object(raw.decode())
    except UnicodeDecodeError as error:
        raise Malformed("the body is not UTF-8") from error
    except Invalid as error:
        raise Malformed(error.message, hint=error.hint) from error
