"""What stays open until something happens to requests: a long question, and a stream of events."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Final

import anyio
import anyio.to_thread
from fastapi import APIRouter, FastAPI, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from localai.api import examples
from localai.api.answers import shown
from localai.api.approvals import PATH, Id
from localai.api.auth import Caller, Rooms
from localai.api.described import problems, record
from localai.api.ids import ID
from localai.api.seats import Seats
from localai.app import App
from localai.approvals.changes import Change
from localai.approvals.records import Approval
from localai.core.asgi import Receive, Scope, Send
from localai.core.errors import Invalid, LocalaiError
from localai.core.records import json_text
from localai.rbac.permissions import Actor

router = APIRouter(prefix=PATH, tags=["approvals"], default_response_class=Response)

_LOOKS_S: Final = 0.25
_BEATS_S: Final = 15.0  # of silence, after which a stream says that it still lives
_DIGITS: Final = 18
_STREAM: Final = "text/event-stream"

Timeout = Annotated[
    float, Query(alias="timeout", ge=0, le=60, description="Seconds to wait at most.")
]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="Go on after this event.")
]


@router.get(
    "/events",
    operation_id="approvalEvents",
    summary="Hear what happens to requests",
    responses=problems(401)
    | {200: {"content": {_STREAM: {"schema": {"type": "string"}, "example": examples.EVENT}}}},
)
async def events(
    actor: Caller, rooms: Rooms, request: Request, last_event_id: LastEventId = None
) -> Response:
    """Server-sent events, each with the request as it stands when it is sent.

    `event` is what happened, such as `approval.requested`; `id` is for `Last-Event-ID`, by which a
    client that was cut off misses nothing. Needs `approvals:read`.
    """
    newest = await anyio.to_thread.run_sync(rooms.approvals.changes.newest, actor)
    last = newest if last_event_id is None else min(_number(last_event_id), newest)
    told = _told(request.app, rooms, actor, last)
    return _Seated(request.app.state.waiting, told)


@router.get(
    f"/{ID}/wait",
    operation_id="waitForApproval",
    summary="Wait until a request is decided",
    responses=problems(401, 404) | record(Approval, examples.APPROVAL),
)
async def wait(
    approval_id: Id,
    actor: Caller,
    rooms: Rooms,
    request: Request,
    seconds: Timeout = 30,
) -> Response:
    """The request as soon as it is not pending, or as it stands when the time is over.

    Where it was replaced, the one that stands in its place. Needs `approvals:read`.
    """
    look = partial(_latest, rooms, actor, approval_id)
    until = anyio.current_time() + seconds
    async with request.app.state.waiting.one():
        found = await anyio.to_thread.run_sync(look)
        while found.status == "pending" and (left := until - anyio.current_time()) > 0:
            if _is_ending(request.app) or await request.is_disconnected():
                break
            await anyio.sleep(min(_LOOKS_S, left))
            found = await anyio.to_thread.run_sync(look)
    return shown(found)


def _latest(rooms: App, actor: Actor, approval_id: str) -> Approval:
    return rooms.approvals.latest(actor, rooms.approvals.get(actor, approval_id).id)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise Invalid(f"{text!r} is not the id of an event", hint="leave Last-Event-ID out")
    return int(text)


async def _told(app: FastAPI, rooms: App, actor: Actor, last: int) -> AsyncIterator[str]:
    """The stream; it ends with the server, or where the reader may not read any more."""
    yield f"retry: 1000\nid: {last}\n\n"
    spoke = anyio.current_time()
    while not _is_ending(app):
        try:
            last, found = await anyio.to_thread.run_sync(rooms.approvals.changes.after, actor, last)
        except LocalaiError:
            return
        for change in found:
            yield _event(change)
        if not found and anyio.current_time() - spoke < _BEATS_S:
            await anyio.sleep(_LOOKS_S)
            continue
        if not found:
            yield ":\n\n"
        spoke = anyio.current_time()


def _event(change: Change) -> str:
    return f"id: {change.id}\nevent: {change.event}\ndata: {json_text(change)}\n\n"


def _is_ending(app: FastAPI) -> bool:
    ending: anyio.Event | None = getattr(app.state, "ending", None)
    return ending is not None and ending.is_set()


class _Seated(StreamingResponse):
    """A stream that has a place for as long as it lasts."""

    def __init__(self, seats: Seats, content: AsyncIterator[str]) -> None:
        super().__init__(content, media_type=_STREAM)
        self._seats = seats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream; Busy before anything is sent where there is no place."""
        async with self._seats.one():
            await super().__call__(scope, receive, send)
