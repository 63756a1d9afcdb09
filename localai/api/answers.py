"""Records as answers: the very JSON that `--json` prints, with a tag that tells versions apart."""

import hashlib

from fastapi import Request, Response

from localai.api.errors import Changed
from localai.core.records import json_text

_JSON = "application/json"


def shown(record: object, status: int = 200, **headers: str) -> Response:
    """A record as it is shown everywhere."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(json_text(record), status, named, _JSON)


def tagged(record: object, request: Request) -> Response:
    """A record with its tag; 304 and nothing more where the client has it already."""
    text = json_text(record)
    tag = _tag(text)
    if _names(request.headers.get("if-none-match"), tag):
        return Response(None, 304, {"ETag": tag})
    return Response(text, 200, {"ETag": tag}, _JSON)


def refuse_changed(record: object, request: Request) -> None:
    """Raise Changed where the request is meant for another version of the record."""
    wanted = request.headers.get("if-match")
    if wanted is not None and not _names(wanted, _tag(json_text(record))):
        raise Changed("it changed since you read it", hint="read it again, then decide")


def _tag(text: str) -> str:
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _names(header: str | None, tag: str) -> bool:
    """Whether the list of tags in a header has this one, or stands for any."""
    given = {each.strip().removeprefix("W/") for each in (header or "").split(",")}
    return "*" in given or tag in given
