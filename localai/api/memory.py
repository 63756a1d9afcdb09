"""Conversations over HTTP: kept, read, found again and forgotten by whom they belong to."""

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from localai.agent.history import Session, Transcript
from localai.agent.search import Found
from localai.agent.session_statistics import SessionStatistics
from localai.api import memory_examples as examples
from localai.api.answers import refuse_changed, shown, tagged
from localai.api.approvals import IfMatch, IfNoneMatch
from localai.api.auth import Caller, Rooms
from localai.api.bodies import INK, body, taken
from localai.api.described import leading, problems, record
from localai.api.memory_bodies import NewConversation, Wanted
from localai.api.rag import PATIENCE_S
from localai.core.records import Page

PATH: Final = "/api/v1/memory/conversations"
ID: Final = "{conversation_id:id}"
router = APIRouter(prefix=PATH, tags=["conversations"], default_response_class=Response)

Id = Annotated[
    str, Path(pattern="^[0-9a-f]{16}$", description="Whole.", examples=["5c1e0f9a7b2d3846"])
]
Words = Annotated[
    str,
    Query(min_length=1, max_length=1000, pattern=INK, description="All of these words."),
]
Project = Annotated[
    str | None, Query(max_length=4096, description="A git repository's; empty outside of any.")
]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[
    str | None, Query(pattern="^[0-9]{1,9}$", description="`next` of the page before.")
]
_LINK: Final = {"parameters": {"conversation_id": "$response.body#/id"}}


@router.get(
    "",
    operation_id="listConversations",
    summary="List your conversations, the last used first",
    responses=problems(401) | record(Page[Session], examples.PAGE),
)
def list_(
    actor: Caller,
    rooms: Rooms,
    project: Project = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Those of the key's user and nobody else's. Needs `sessions:read`."""
    return shown(rooms.history.list(actor, project=project, limit=limit, cursor=cursor))


@router.post(
    "",
    operation_id="saveConversation",
    summary="Keep a conversation",
    status_code=201,
    responses=problems(400, 401, 409, 415)
    | leading(
        record(Session, examples.SESSION, 201, Location="Where the conversation is."),
        getConversation=_LINK,
        forgetConversation=_LINK,
    ),
    openapi_extra=taken(NewConversation, a_conversation=examples.NEW),
)
def save(
    actor: Caller, rooms: Rooms, given: Annotated[NewConversation, body(NewConversation)]
) -> Response:
    """It is the key's user's, and can be gone on with by `ai chat --session ID`.

    Who goes on with it finds it marked as read from strangers, so that what tools may do unasked
    is less; what it says as `system` no model reads. Needs `sessions:write`.
    """
    saved = rooms.history.save(actor, given.name, str(rooms.workspace), given.turns)
    found = rooms.history.read(actor, saved).session
    return shown(found, 201, Location=f"{PATH}/{found.id}")


@router.get(
    "/statistics",
    operation_id="conversationStatistics",
    summary="Count your conversations, and what was said in them",
    responses=problems(401) | record(SessionStatistics, examples.STATISTICS),
)
def statistics(actor: Caller, rooms: Rooms) -> Response:
    """Needs `sessions:read`."""
    return shown(rooms.history.statistics(actor))


@router.get(
    "/search",
    operation_id="searchConversations",
    summary="Find what was said by its words, newest first",
    responses=problems(401) | record(Page[Found], examples.FOUND),
)
def search(  # noqa: PLR0913 - one a filter
    actor: Caller,
    rooms: Rooms,
    q: Words,
    project: Project = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Messages that have all the words, or parts of words. Needs `sessions:read`."""
    return shown(rooms.search.find(actor, q, project=project, limit=limit, cursor=cursor))


@router.post(
    "/search",
    operation_id="recallConversations",
    summary="Find what was said by its words or its meaning",
    responses=problems(400, 401, 409, 415) | record(Page[Found], examples.FOUND),
    openapi_extra=taken(Wanted, by_words=examples.WORDS, by_meaning=examples.MEANING),
)
async def recall(
    actor: Caller, rooms: Rooms, request: Request, wanted: Annotated[Wanted, body(Wanted)]
) -> Response:
    """By meaning, what was said since the last time is first taken into an index.

    Needs `sessions:read`.
    """
    room = rooms.recollection if wanted.meaning else rooms.search
    work = partial(room.find, actor, wanted.q, project=wanted.project, limit=wanted.limit)
    return shown(await request.app.state.asking.do(work, PATIENCE_S))


@router.get(
    f"/{ID}",
    operation_id="getConversation",
    summary="Read one conversation",
    responses=problems(401, 404)
    | record(Transcript, examples.TRANSCRIPT, ETag="Of the conversation as it stands.")
    | {304: {"description": "Not Modified"}},
)
def get(
    conversation_id: Id,
    actor: Caller,
    rooms: Rooms,
    request: Request,
    _if_none_match: IfNoneMatch = None,
) -> Response:
    """All that was said; somebody else's is not found. Needs `sessions:read`."""
    return tagged(rooms.history.read(actor, conversation_id), request)


@router.delete(
    f"/{ID}",
    operation_id="forgetConversation",
    summary="Forget a conversation",
    responses=problems(401, 404, 409, 412) | record(Session, examples.SESSION),
)
def forget(
    conversation_id: Id,
    actor: Caller,
    rooms: Rooms,
    request: Request,
    _if_match: IfMatch = None,
) -> Response:
    """With all that was found of it. Needs `sessions:write`."""
    refuse_changed(rooms.history.read(actor, conversation_id), request)
    return shown(rooms.history.remove(actor, conversation_id))
