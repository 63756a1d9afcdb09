"""Requests that wait for a person, over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from localai.api.answers import shown, tagged
from localai.api.auth import Caller, Rooms
from localai.api.described import problems, record
from localai.api.ids import ID
from localai.approvals.records import Approval
from localai.core.records import Page

PATH = "/api/v1/approvals"
router = APIRouter(prefix=PATH, tags=["approvals"])
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=100, description="`next` of the page before.")]


@router.get(
    "",
    operation_id="listApprovals",
    summary="List requests, newest first",
    responses=record(Page[Approval], {}) | problems(401, 403, 422),
)
def list_(
    actor: Caller,
    rooms: Rooms,
    *,
    status: str | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Those that fit every filter that is given."""
    return shown(rooms.approvals.list(actor, status=status, limit=limit, cursor=cursor))


@router.get(
    f"/{ID}",
    operation_id="getApproval",
    summary="One request",
    responses=record(Approval, {}) | problems(401, 403, 404),
)
def get(approval_id: str, actor: Caller, rooms: Rooms, request: Request) -> Response:
    """The whole action, and what became of it."""
    return tagged(rooms.approvals.get(actor, approval_id), request)
