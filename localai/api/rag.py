"""Documents over HTTP: what is indexed, and what it says to a question."""

from collections.abc import Callable
from functools import partial
from re import sub
from typing import Annotated, Final

from anyio.from_thread import check_cancelled
from fastapi import APIRouter, FastAPI, Path, Query, Request, Response

from localai.api import rag_examples as examples
from localai.api.answers import refuse_changed, shown, tagged
from localai.api.approvals import IfMatch, IfNoneMatch, Limit
from localai.api.auth import Caller, Rooms
from localai.api.bodies import body, taken
from localai.api.described import leading, problems, record
from localai.api.desk import Desk
from localai.api.gateway import WARNING
from localai.api.gateway_sending import Attended
from localai.api.rag_bodies import NewIndex, Question
from localai.app import App
from localai.core.asgi import Receive, Scope, Send
from localai.core.records import Page
from localai.rag.records import Answer, Chosen, Collection, IndexReport
from localai.rbac.permissions import Actor

PATH: Final = "/api/v1/rag"
COLLECTIONS: Final = f"{PATH}/collections"
MAX_INDEXING: Final = 2  # at once, each of which may hold a model's worth of memory
MAX_ASKING: Final = 3
PATIENCE_S: Final = 10.0  # in line; then another moment is better
_LONGEST_WARNING: Final = 1000

router = APIRouter(prefix=PATH, tags=["documents"], default_response_class=Response)

Name = Annotated[
    str, Path(min_length=1, max_length=64, description="Whole.", examples=["handbook"])
]
Cursor = Annotated[
    str | None, Query(min_length=1, max_length=64, description="`next` of the page before.")
]
_LINK: Final = {"parameters": {"name": "$response.body#/collection"}}
_ASK: Final = {"requestBody": {**examples.PASSAGES, "collection": "$response.body#/collection"}}


def install(app: FastAPI) -> None:
    """Give those that index, and those that ask, a short line each."""
    app.state.indexing = Desk(2 * MAX_INDEXING, MAX_INDEXING)
    app.state.asking = Desk(5 * MAX_ASKING, MAX_ASKING)


@router.get(
    "/collections",
    operation_id="listCollections",
    summary="List collections by name",
    responses=problems(401) | record(Page[Collection], examples.PAGE),
)
def list_(actor: Caller, rooms: Rooms, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """What is indexed. Needs `rag:read`."""
    found = rooms.rag.collections(actor)
    rest = [each for each in found.items if cursor is None or each.name > cursor]
    following = rest[limit - 1].name if rest[limit:] else None
    return shown(Page(rest[:limit], found.total, following))


@router.get(
    "/collections/{name}",
    operation_id="getCollection",
    summary="Read one collection",
    responses=problems(401, 404)
    | record(Collection, examples.COLLECTION, ETag="Of the collection as it stands.")
    | {304: {"description": "Not Modified"}},
)
def get(
    name: Name, actor: Caller, rooms: Rooms, request: Request, _if_none_match: IfNoneMatch = None
) -> Response:
    """Its model, and how much is in it. Needs `rag:read`."""
    return tagged(rooms.rag.show(actor, name), request)


@router.delete(
    "/collections/{name}",
    operation_id="removeCollection",
    summary="Remove a collection's index",
    responses=problems(401, 404, 409, 412) | record(Collection, examples.COLLECTION),
)
async def remove(
    name: Name, actor: Caller, rooms: Rooms, request: Request, _if_match: IfMatch = None
) -> Response:
    """The documents stay where they are; what was sent here is gone. Needs `rag:write`."""
    work = partial(_removed, rooms, actor, name, request)
    return await _desk(request, "indexing").do(work, PATIENCE_S)


@router.post(
    "/index",
    operation_id="indexDocuments",
    summary="Take in texts, and files of the workspace",
    responses=problems(400, 401, 404, 409, 415)
    | leading(
        record(IndexReport, examples.REPORT),
        getCollection=_LINK,
        removeCollection=_LINK,
        queryDocuments=_ASK,
    ),
    openapi_extra=taken(NewIndex, texts=examples.INDEX, files=examples.PATHS),
)
def index(
    actor: Caller, rooms: Rooms, request: Request, given: Annotated[NewIndex, body(NewIndex)]
) -> Response:
    """What did not change is not embedded again; a file that is gone is removed.

    Paths lead nowhere but into the folder in which the server was started, whatever links say, and
    not to what is hidden there. Texts count as written by strangers. Who leaves ends the run, and
    the next one goes on from there. Needs `rag:write`.
    """
    return _attended(_desk(request, "indexing"), partial(_indexed, rooms, actor, given))


@router.post(
    "/query",
    operation_id="queryDocuments",
    summary="Ask a collection",
    responses=problems(400, 401, 404, 409, 415)
    | record(Answer, examples.ANSWER, X_Localai_Warning="What falls short."),
    openapi_extra=taken(Question, an_answer=examples.QUESTION, passages=examples.PASSAGES),
)
def query(
    actor: Caller, rooms: Rooms, request: Request, asked: Annotated[Question, body(Question)]
) -> Response:
    """The passages nearest to the question and, unless `answer` is false, a model's answer.

    It cites passages as `[1]`. Needs `rag:read`, and for an answer `models:read`.
    """
    desk = _desk(request, "models_desk" if asked.answer else "asking")
    return _attended(desk, partial(_asked, rooms, actor, asked))


@router.post(
    "/models/reload",
    operation_id="reloadModels",
    summary="Take the models of the settings as they now stand",
    responses=problems(401) | record(Chosen, examples.CHOSEN),
)
async def reload(actor: Caller, rooms: Rooms, request: Request) -> Response:
    """The embedding model and the reranker, read from their files anew.

    `others` are collections that another model made. 503 where a model is not here, or the Qdrant
    server that is set does not answer. Needs `rag:write`.
    """
    work = partial(rooms.reload_rag_models, actor)
    return shown(await _desk(request, "indexing").do(work, PATIENCE_S))


def _desk(request: Request, name: str) -> Desk:
    found: Desk = getattr(request.app.state, name)
    return found


def _attended(desk: Desk, work: Callable[[], Response]) -> Response:
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await desk.do(work, PATIENCE_S)
        await answer(scope, receive, send)

    return Attended(respond)


def _removed(rooms: App, actor: Actor, name: str, request: Request) -> Response:
    found = rooms.rag.show(actor, name)
    refuse_changed(found, request)
    rooms.rag.remove(actor, name)
    return shown(found)


def _indexed(rooms: App, actor: Actor, given: NewIndex) -> Response:
    report = rooms.index_sent(
        actor,
        collection=given.collection,
        texts=given.texts,
        paths=given.paths,
        on_progress=_while_wanted,
    )
    return shown(report)


def _asked(rooms: App, actor: Actor, asked: Question) -> Response:
    warnings: list[str] = []
    found = rooms.ask_documents(
        actor,
        asked.question,
        collection=asked.collection,
        k=asked.k,
        answer=asked.answer,
        show=_while_wanted,
        warn=warnings.append,
    )
    answer = shown(found)
    if warnings:
        line = " ".join("; ".join(warnings).split())
        answer.headers[WARNING] = sub("[^ -~]", "?", line)[:_LONGEST_WARNING]
    return answer


def _while_wanted(_: object) -> None:
    """End the work here where the client has left."""
    check_cancelled()
