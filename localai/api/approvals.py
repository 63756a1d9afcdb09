"""Requests that wait for a person, over HTTP."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Header, Path, Query, Request, Response

from localai.agent.runner import ToolOutcome
from localai.api import examples
from localai.api.answers import refuse_changed, shown, tagged
from localai.api.auth import Caller, Rooms
from localai.api.bodies import Decision, NewApproval, body, taken
from localai.api.described import problems, record
from localai.api.errors import Unread
from localai.api.ids import ID
from localai.app import App
from localai.approvals.looking import Wanted
from localai.approvals.records import Approval, stale
from localai.approvals.repeats import Once
from localai.approvals.statistics import Statistics
from localai.approvals.tables import TRANSITIONS
from localai.core import settings as keys
from localai.core.canonical import canonical, digest
from localai.core.clock import moment
from localai.core.records import Page
from localai.rbac.permissions import Actor

PATH: Final = "/api/v1/approvals"
router = APIRouter(prefix=PATH, tags=["approvals"], default_response_class=Response)

_WEEK_US: Final = 7 * 24 * 3600 * 1_000_000
_MOMENT: Final = {"format": "date-time", "examples": ["2026-11-22T09:30:00Z"]}

Id = Annotated[
    str, Path(pattern="^[0-9a-f]{16}$", description="Whole.", examples=["3f2a9c4e5d6b7a80"])
]
Status = Annotated[
    str | None, Query(description="Those alone.", json_schema_extra={"enum": [*TRANSITIONS]})
]
Named = Annotated[str | None, Query(min_length=1, max_length=200, description="Of this one alone.")]
Since = Annotated[
    str | None, Query(description="Asked for at this moment or later.", json_schema_extra=_MOMENT)
]
Until = Annotated[
    str | None, Query(description="Asked for before this moment.", json_schema_extra=_MOMENT)
]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(
        pattern="^[0-9]{1,17}-[0-9a-f]{16}$",
        description="`next` of the page before; what is in it may change.",
    ),
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[!-~]{1,200}$",
        description="Made up by you: for a day, asking again with it opens nothing new.",
    ),
]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="The ETag that was read: else 412.")
]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="The ETag at hand: 304 if it holds.")
]


@router.get(
    "",
    operation_id="listApprovals",
    summary="List requests, newest first",
    responses=problems(401) | record(Page[Approval], examples.PAGE),
)
def list_(  # noqa: PLR0913 - one a filter
    actor: Caller,
    rooms: Rooms,
    *,
    status: Status = None,
    user_id: Named = None,
    tool_name: Named = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Those that fit every filter that is given. Needs `approvals:read`."""
    wanted = Wanted(
        status=status,
        user=user_id,
        tool=tool_name,
        since_us=moment(since) if since is not None else None,
        until_us=moment(until) if until is not None else None,
    )
    return shown(rooms.approvals.look(actor, wanted, limit=limit, cursor=cursor))


@router.post(
    "",
    operation_id="openApproval",
    summary="Ask for a call",
    status_code=201,
    responses=problems(400, 401, 409, 415, 429)
    | record(Approval, examples.APPROVAL, 201, Location="Where the request is."),
    openapi_extra=taken(NewApproval, another_systems=examples.NEW, a_tool_here=examples.OWN),
)
def open_(
    actor: Caller,
    rooms: Rooms,
    asked: Annotated[NewApproval, body(NewApproval)],
    idempotency_key: Key = None,
) -> Response:
    """A tool of this home is stated as it would run, and run with `POST /{id}/run`.

    Any other name is an action of another system, which claims it and reports how it ended.
    Needs `tools:run`, and what the tool needs.
    """
    once = None
    if idempotency_key is not None:
        once = Once(idempotency_key, digest("localai-idempotency-v1", asked.model_dump()))
    opened = rooms.runner.propose(
        actor,
        asked.tool_name,
        canonical(asked.arguments).decode(),
        reason=asked.reason,
        once=once,
    )
    return shown(opened, 201, Location=f"{PATH}/{opened.id}")


@router.get(
    "/stats",
    operation_id="approvalStatistics",
    summary="Count requests, and how long they waited",
    responses=problems(401) | record(Statistics, examples.STATISTICS),
)
def stats(actor: Caller, rooms: Rooms, since: Since = None) -> Response:
    """Of the last seven days, or since that moment. Needs `approvals:read`."""
    start = moment(since) if since is not None else rooms.clock.now_us() - _WEEK_US
    return shown(rooms.approvals.statistics(actor, start, sweeps=False))


@router.get(
    f"/{ID}",
    operation_id="getApproval",
    summary="Read one request",
    responses=problems(401, 404)
    | record(Approval, examples.APPROVAL, ETag="Of the request as it stands.")
    | {304: {"description": "Not Modified"}},
)
def get(
    approval_id: Id,
    actor: Caller,
    rooms: Rooms,
    request: Request,
    _if_none_match: IfNoneMatch = None,
) -> Response:
    """The whole action, and what became of it. Needs `approvals:read`."""
    return tagged(rooms.approvals.get(actor, approval_id), request)


@router.put(
    f"/{ID}",
    operation_id="decideApproval",
    summary="Decide, claim, or say how it ended",
    responses=problems(400, 401, 404, 409, 410, 412, 415, 428)
    | record(Approval, examples.APPROVAL),
    openapi_extra=taken(Decision, approve=examples.APPROVE, reject=examples.REJECT),
)
def decide(
    approval_id: Id,
    actor: Caller,
    rooms: Rooms,
    request: Request,
    decision: Annotated[Decision, body(Decision)],
    _if_match: IfMatch = None,
) -> Response:
    """Approving and rejecting need `approvals:decide`; the other three `tools:run`.

    An approval holds for the digest alone that is given, or that the request has now.
    """
    found = rooms.approvals.get(actor, approval_id)
    refuse_changed(found, request)
    seen = decision.action_sha256
    if seen is not None and not found.action_sha256.startswith(seen.lower()):
        raise stale(found.id)
    return shown(_ACTIONS[decision.action](rooms, actor, found, decision))


@router.delete(
    f"/{ID}",
    operation_id="cancelApproval",
    summary="Withdraw a request that waits",
    responses=problems(401, 404, 409, 410, 412) | record(Approval, examples.CANCELLED),
)
def cancel(
    approval_id: Id, actor: Caller, rooms: Rooms, request: Request, _if_match: IfMatch = None
) -> Response:
    """Needs `approvals:cancel`; for another user's request `approvals:decide` as well."""
    refuse_changed(rooms.approvals.get(actor, approval_id), request)
    return shown(rooms.approvals.cancel(actor, approval_id))


@router.post(
    f"/{ID}/run",
    operation_id="runApproval",
    summary="Run an approved call, once",
    responses=problems(401, 404, 409, 410) | record(ToolOutcome, examples.OUTCOME),
)
async def run(approval_id: Id, actor: Caller, rooms: Rooms, request: Request) -> Response:
    """The call is stated anew, and runs only if it is what was approved. Needs `tools:run`."""
    state = request.app.state
    async with state.running.one():
        work = partial(rooms.runner.resume, actor, approval_id)
        return shown(await anyio.to_thread.run_sync(work, limiter=state.runners))


def _approve(rooms: App, actor: Actor, found: Approval, said: Decision) -> Approval:
    if said.action_sha256 is None and rooms.settings[keys.SECURITY_MODE] == "strict":
        raise Unread("strict mode wants the digest of what was read", hint="add action_sha256")
    return rooms.approvals.approve(
        actor,
        found.id,
        seen_sha256=said.action_sha256 or found.action_sha256,
        reason=said.reason,
        code=said.totp,
    )


def _reject(rooms: App, actor: Actor, found: Approval, said: Decision) -> Approval:
    seen = said.action_sha256
    return rooms.approvals.reject(actor, found.id, seen_sha256=seen, reason=said.reason)


def _claim(rooms: App, actor: Actor, found: Approval, _: Decision) -> Approval:
    return rooms.approvals.elsewhere.claim(actor, found.id)


def _succeed(rooms: App, actor: Actor, found: Approval, said: Decision) -> Approval:
    return rooms.approvals.elsewhere.report(actor, found.id, said.reason, ok=True)


def _fail(rooms: App, actor: Actor, found: Approval, said: Decision) -> Approval:
    return rooms.approvals.elsewhere.report(actor, found.id, said.reason, ok=False)


Act = Callable[[App, Actor, Approval, Decision], Approval]
_ACTIONS: Mapping[str, Act] = {
    "approve": _approve,
    "reject": _reject,
    "claim": _claim,
    "succeed": _succeed,
    "fail": _fail,
}
