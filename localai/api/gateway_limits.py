"""The limits of an API key at the gateway's doors, and the headers that tell how they stand.

https://platform.openai.com/docs/guides/rate-limits
"""

from collections.abc import Iterator
from typing import Annotated, Final

from fastapi import Depends, Request

from localai.api.auth import Caller, Rooms
from localai.core.asgi import Message, Scope
from localai.rbac.permissions import Actor
from localai.rbac.quotas import Standing

_STANDINGS: Final = "localai.standings"
_SECOND: Final = 1_000_000
_MINUTE_S: Final = 60


def admitted(actor: Caller, rooms: Rooms, request: Request) -> Actor:
    """Whose request it is, which is counted; TooOften where it is one too many."""
    found = rooms.quotas.admit(actor)
    request.scope[_STANDINGS] = found.standings
    if found.refusal is not None:
        raise found.refusal
    return actor


Admitted = Annotated[Actor, Depends(admitted)]


def with_limits(scope: Scope, message: Message) -> Message:
    """The beginning of an answer with headers that tell how the limits stood; others as they are.

    Tokens are those that were left when the request came.
    """
    standings = scope.get(_STANDINGS)
    if message["type"] != "http.response.start" or not standings:
        return message
    told = [header for each in standings for header in _headers(each)]
    return {**message, "headers": [*message.get("headers", ()), *told]}


def _headers(standing: Standing) -> Iterator[tuple[bytes, bytes]]:
    told = {
        "limit": str(standing.limit),
        "remaining": str(standing.left),
        "reset": span(standing.full_in_us),
    }
    for name, value in told.items():
        yield f"x-ratelimit-{name}-{standing.kind}".encode(), value.encode()


def span(microseconds: int) -> str:
    """A span of time as OpenAI writes it: 120ms, 1.5s, 6m0s."""
    if microseconds < _SECOND:
        return f"{-(-microseconds // 1000)}ms"
    minutes, seconds = divmod(microseconds / _SECOND, _MINUTE_S)
    whole = f"{int(minutes)}m" if minutes else ""
    return f"{whole}{round(seconds, 3):g}s"
