"""Whether the server lives, whether it can work, and its figures."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from localai.api.answers import shown
from localai.api.auth import Caller, Rooms, caller
from localai.api.described import problems, record
from localai.api.figures import MEDIA_TYPE, PATH
from localai.api.readiness import Examiner, Readiness
from localai.core.strangers import has_key
from localai.rbac.permissions import Actor

router = APIRouter(tags=["health"], default_response_class=Response)


async def _somebody(request: Request) -> Actor | None:
    """Whose key came with the request; None where none did."""
    return await caller(request) if has_key(request.headers) else None


Anybody = Annotated[Actor | None, Depends(_somebody)]


@router.get(
    "/health",
    operation_id="health",
    summary="Whether the server lives",
    responses=record({"type": "object"}, {"status": "alive"}),
)
async def health() -> Response:
    """Nothing is looked at: whoever answers lives."""
    return shown({"status": "alive"})


@router.get(
    "/ready",
    operation_id="ready",
    summary="Whether the server can work",
    responses=record(Readiness, {"ready": True}) | problems(401, 503),
    openapi_extra={"security": [{}, {"bearer": []}, {"key": []}]},
)
def ready(request: Request, somebody: Anybody) -> Response:
    """Database, models, index and notifications; who has a key reads how each of them stands."""
    examiner: Examiner = request.app.state.examiner
    found = examiner.look()
    status = 200 if found.ready else 503
    return shown(found if somebody else {"ready": found.ready}, status)


@router.get(
    PATH,
    operation_id="metrics",
    summary="Figures, as Prometheus reads them",
    responses=problems(401, 403) | {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
def metrics(actor: Caller, rooms: Rooms) -> Response:
    """For keys that may read the audit (`audit:read`)."""
    return Response(rooms.exposition.text(actor), media_type=MEDIA_TYPE)
