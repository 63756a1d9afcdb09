"""Errors as OpenAI's clients read them: every problem document on its way out, rewritten.

Whatever leaves says how the limits of its API key stand.

https://platform.openai.com/docs/guides/error-codes
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from localai.api.errors import MEDIA_TYPE
from localai.api.gateway_limits import with_limits
from localai.core.asgi import Application, Message, Receive, Scope, Send

_KINDS: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES: Final = {401: "invalid_api_key", 403: "permission_denied", 503: "overloaded"}
_PARAM: Final = re.compile(r"([a-z_]+(?:\.\w+)*)(?=: |\.schema )")


def status_of(problem: Mapping[str, Any]) -> int:
    """The status with which it is told: what is not valid is 400 here."""
    status = int(problem["status"])
    return 400 if status == HTTPStatus.UNPROCESSABLE_ENTITY else status


def told(problem: Mapping[str, Any]) -> dict[str, Any]:
    """The problem in OpenAI's words."""
    status = status_of(problem)
    usual = (
        "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    )
    message, hint = problem["detail"], problem["hint"]
    named = _PARAM.match(message) if status == HTTPStatus.BAD_REQUEST else None
    error = {
        "message": f"{message} ({hint})" if hint else message,
        "type": _KINDS.get(status, usual),
        "param": named[1] if named else None,
        "code": _CODES.get(status) or problem["category"],
    }
    return {"error": error}


class Spoken:
    """An application whose problem documents leave as OpenAI's errors."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but problem documents, which are rewritten when they are whole."""
        held: Message | None = None
        body = b""

        async def spoken(message: Message) -> None:
            nonlocal held, body
            message = with_limits(scope, message)
            if message["type"] == "http.response.start" and _is_problem(message):
                held = message
            elif held is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    await _rewritten(held, json.loads(body), send)

        await self._app(scope, receive, spoken)


def _is_problem(message: Message) -> bool:
    headers = dict(message.get("headers", ()))
    return bool(headers.get(b"content-type", b"").startswith(MEDIA_TYPE.encode()))


async def _rewritten(start: Message, problem: Mapping[str, Any], send: Send) -> None:
    body = json.dumps(told(problem), ensure_ascii=False).encode()
    ours = {b"content-type": b"application/json", b"content-length": str(len(body)).encode()}
    headers = [(name, ours.get(name, value)) for name, value in start["headers"]]
    await send({**start, "status": status_of(problem), "headers": headers})
    await send({"type": "http.response.body", "body": body})
