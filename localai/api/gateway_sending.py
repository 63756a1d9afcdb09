"""Answers on their way to a client: whole, or as a stream of server-sent events."""

import json
from collections.abc import Awaitable, Callable
from typing import Final

import anyio.to_thread
from fastapi import Response

from localai.api import gateway_errors
from localai.api.answers import shown
from localai.api.desk import while_here
from localai.api.errors import REQUEST_ID, note, problem
from localai.api.gateway_answers import Answer
from localai.core.asgi import Receive, Scope, Send
from localai.core.errors import LocalaiError
from localai.core.records import json_text
from localai.infer.completion import Told

Step = Callable[[], Awaitable[Told | None]]
Respond = Callable[[Scope, Receive, Send], Awaitable[None]]

_DONE: Final = "data: [DONE]\n\n"
_HEADERS: Final = [(b"content-type", b"text/event-stream; charset=utf-8")]


class Attended(Response):
    """An answer that is given up where its client leaves."""

    def __init__(self, respond: Respond) -> None:
        super().__init__()
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond; what is raised before anything was sent is told as any error."""
        await while_here(receive, lambda: self._respond(scope, receive, send))


async def whole(answer: Answer, step: Step, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the answer when its last step was taken."""
    while (told := await step()) is not None:
        answer.take(told)
    await shown(answer.whole())(scope, receive, send)


async def streamed(answer: Answer, step: Step, scope: Scope, _: Receive, send: Send) -> None:
    """Send each step as it comes; an error after the first one is the last event, and logged."""
    told = await step()
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    try:
        while told is not None:
            for chunk in answer.chunks(told):
                await _say(send, f"data: {json_text(chunk)}\n\n")
            told = await step()
    except LocalaiError as error:
        await anyio.to_thread.run_sync(note, error, scope[REQUEST_ID])
        found = json.loads(bytes(problem(error, scope[REQUEST_ID]).body))
        await _say(send, f"data: {json_text(gateway_errors.told(found))}\n\n")
    else:
        await _say(send, _DONE)
    await send({"type": "http.response.body", "body": b""})


async def _say(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
