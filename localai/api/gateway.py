"""The doors that OpenAI's clients know: models, chat completions, completions, embeddings.

What a model wants to call is told to the client, and never run here.
"""

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from localai.api import gateway_answers, gateway_sending, gateway_wire
from localai.api.answers import shown
from localai.api.auth import Caller, Rooms
from localai.api.bodies import read_object
from localai.api.desk import Desk
from localai.api.fields import Fields
from localai.api.gateway_answers import Answer
from localai.api.gateway_limits import Admitted
from localai.api.gateway_sending import Attended
from localai.api.gateway_wire import Wanted
from localai.app import App
from localai.core.asgi import Receive, Scope, Send
from localai.core.errors import NotFound
from localai.rag.embeddings import DEFAULT, LONGEST, MOST_TEXTS
from localai.rbac.permissions import Actor

PATH: Final = "/v1"
MAX_BODY: Final = 16 << 20
WARNING: Final = "X-Localai-Warning"
router = APIRouter(prefix=PATH, include_in_schema=False)

Given = Annotated[dict[str, Any], Depends(read_object)]


def install(app: FastAPI) -> None:
    """Open these doors; what computes has a desk for language models, and one for embeddings."""
    app.state.models_desk = Desk()
    app.state.embeddings_desk = Desk()
    app.router.routes.extend(router.routes)


def is_here(path: str) -> bool:
    """Whether the path is one of these doors, or could be."""
    return path == PATH or path.startswith(f"{PATH}/")


@router.get("/models")
def models(actor: Caller, rooms: Rooms) -> Response:
    """What can be asked for by name."""
    return shown(gateway_answers.models(rooms.completions.names(actor)))


@router.get("/models/{name:path}")
def model(name: str, actor: Caller, rooms: Rooms) -> Response:
    """One of them."""
    if name not in rooms.completions.names(actor):
        raise NotFound(f"there is no model {name}", hint=f"GET {PATH}/models lists them")
    return shown(gateway_answers.model(name))


@router.post("/chat/completions")
def chat(actor: Admitted, rooms: Rooms, given: Given, request: Request) -> Response:
    """Go on with a conversation."""
    return _answered("chat", actor, rooms, gateway_wire.chat(given), request)


@router.post("/completions")
def complete(actor: Admitted, rooms: Rooms, given: Given, request: Request) -> Response:
    """Answer a text."""
    return _answered("text", actor, rooms, gateway_wire.completion(given), request)


@router.post("/embeddings")
def embed(actor: Admitted, rooms: Rooms, given: Given, request: Request) -> Response:
    """Texts as vectors."""
    fields = Fields(given)
    form = fields.text("encoding_format") or "float"
    if form not in {"float", "base64"}:
        raise fields.wrong("encoding_format", "float or base64 is needed")
    if given.get("input") is None:
        raise fields.wrong("input", "a string or a list of strings is needed")
    fields.refuse("dimensions", "vectors are as long as the model makes them")
    texts = fields.texts("input", MOST_TEXTS)
    work = partial(rooms.embeddings.embed, actor, texts, fields.text("model") or DEFAULT)

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        found = await request.app.state.embeddings_desk.do(work)
        answer = shown(gateway_answers.embeddings(found, is_base64=form == "base64"))
        if found.cut:
            answer.headers[WARNING] = f"{found.cut} cut to {LONGEST} characters"
        await answer(scope, receive, send)

    return Attended(respond)


def _answered(kind: str, actor: Actor, rooms: App, wanted: Wanted, request: Request) -> Response:
    created = rooms.clock.now_us() // 1_000_000
    answer = Answer(kind, created, tells_usage=wanted.tells_usage, one_call=wanted.one_call)
    steps = rooms.completions.begin(actor, wanted.asked)
    desk: Desk = request.app.state.models_desk
    send_it = gateway_sending.streamed if wanted.is_stream else gateway_sending.whole

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        async with desk.steps(steps) as step:
            await send_it(answer, step, scope, receive, send)

    return Attended(respond)
