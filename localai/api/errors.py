"""The one place where an error becomes an HTTP answer: a problem document (RFC 9457).

https://www.rfc-editor.org/rfc/rfc9457
"""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from localai.core import log
from localai.core.errors import (
    Conflict,
    Denied,
    Expired,
    Invalid,
    LocalaiError,
    NotFound,
    Pending,
    Rejected,
    TooOften,
    Unavailable,
)
from localai.core.records import json_text
from localai.core.redact import redact
from localai.core.strangers import Misdirected

MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "localai.request_id"
_MOST_WRONG = 20  # of what is wrong with a request, so many are told


class Malformed(Invalid):
    """The body is not JSON with one reading."""


class Unsupported(Invalid):
    """The body is of another media type than application/json."""


class TooLarge(Invalid):
    """The body is larger than anything here needs."""


class LongHeaders(Invalid):
    """The headers are longer than anything here needs."""


class TooSlow(Invalid):
    """The body did not come in time."""


class Unread(Invalid):
    """The digest of what was read must come with the request."""


class Changed(Conflict):
    """It is not any more what the request says it was."""


class NoKey(Denied):
    """No API key that holds came with the request."""


class Busy(Unavailable):
    """As many requests as can be are under way."""


STATUS: Final[dict[type[LocalaiError], int]] = {
    Malformed: 400,
    NoKey: 401,
    Denied: 403,
    NotFound: 404,
    TooSlow: 408,
    Conflict: 409,
    Pending: 409,
    Rejected: 409,
    Expired: 410,
    Changed: 412,
    TooLarge: 413,
    Unsupported: 415,
    Misdirected: 421,
    Invalid: 422,
    Unread: 428,
    TooOften: 429,
    LongHeaders: 431,
    LocalaiError: 500,
    Unavailable: 503,
}
_RETRY_S = 1
_NOT_ALLOWED = HTTPStatus.METHOD_NOT_ALLOWED


def status_of(error: LocalaiError) -> int:
    """The HTTP status of an error: that of the nearest class which has one."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(error: LocalaiError, request_id: str) -> Response:
    """The answer that tells an error: what it is, and what to do next."""
    status = status_of(error)
    told = {
        "type": f"urn:localai:problem:{error.category}",
        "title": (type(error).__doc__ or "").partition("\n")[0].strip(),
        "status": status,
        "detail": redact(error.message),
        "category": error.category,
        "hint": redact(error.hint) if error.hint else None,
        "request_id": request_id,
    }
    return _answer(told, status, _headers(error, status))


def install(app: FastAPI) -> None:
    """Let every error that leaves a door of this application be told so."""
    app.add_exception_handler(LocalaiError, _known)
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(HTTPException, _foreign)
    app.add_exception_handler(Exception, _bug)


# Plain functions, which run beside the event loop: a log may have to wait for a disk.


def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, LocalaiError)  # noqa: S101 - it is installed for these
    request_id = request.scope[REQUEST_ID]
    note(error, request_id)
    return problem(error, request_id)


def note(error: LocalaiError, request_id: str) -> None:
    """Write an error into the log, under its request; may wait for a disk."""
    if error.category == "internal":
        log.write("http.bug", error, request_id=request_id)
    elif error.category == "unavailable":
        log.write("server.unavailable", request_id=request_id, error=error.message)
    else:
        told = {"category": error.category, "message": error.message}
        log.write("http.refused", request_id=request_id, **told)


def _unfit(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    wrong = [
        f"{'.'.join(map(str, each['loc'][1:])) or each['loc'][0]}: {each['msg']}"
        for each in error.errors()[:_MOST_WRONG]
    ]
    told = Invalid("; ".join(wrong), hint="/openapi.json says what is taken")
    return problem(told, request.scope[REQUEST_ID])


def _foreign(request: Request, error: Exception) -> Response:
    """What the routing itself says: no such path, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    phrase = HTTPStatus(error.status_code).phrase
    told = {
        "type": "about:blank",
        "title": phrase,
        "status": error.status_code,
        "detail": f"{request.method} {request.url.path}: {phrase.lower()}",
        "category": "not_found" if error.status_code == HTTPStatus.NOT_FOUND else "invalid",
        "hint": "/openapi.json says what there is",
        "request_id": request.scope[REQUEST_ID],
    }
    headers = {"Allow": _allowed(request)} if error.status_code == _NOT_ALLOWED else {}
    return _answer(told, error.status_code, headers)


def _allowed(request: Request) -> str:
    """Every method of the path: the routing names those of the first route alone."""
    path, routes = request.scope["path"], request.app.routes
    fitting = (route.methods for route in routes if route.path_regex.match(path))
    return ", ".join(sorted(set().union(*fitting)))


def _bug(request: Request, error: Exception) -> Response:
    request_id = request.scope[REQUEST_ID]
    log.write("http.bug", error, request_id=request_id)
    told = LocalaiError(
        f"a bug in localai: {type(error).__name__}", hint="the log has it under this request_id"
    )
    return problem(told, request_id)


def _headers(error: LocalaiError, status: int) -> dict[str, str]:
    if isinstance(error, TooOften):
        return {"Retry-After": str(error.wait_s)}
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, TooSlow | TooLarge):
        return {"Connection": "close"}  # what is left of the body is nobody's
    return {"Retry-After": str(_RETRY_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


def _answer(told: dict[str, Any], status: int, headers: dict[str, str]) -> Response:
    return Response(json_text(told), status, headers, MEDIA_TYPE)
