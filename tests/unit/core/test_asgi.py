"""What an HTTP server answered, counted as it began to."""

import asyncio
from typing import Any

import pytest
from measured import Kept

from localai.core.asgi import Measured, Message, Receive, Scope, Send
from localai.core.metrics import HTTP_DURATION, HTTP_REQUESTS

_LEFT = {"type": "http.disconnect"}
_BODY = {"type": "http.request", "body": b"", "more_body": False}


def _start(status: int) -> Message:
    return {"type": "http.response.start", "status": status, "headers": []}


def _serve(
    app: Any,
    *,
    method: str = "POST",
    kind: str = "http",
    body: Message = _BODY,
    kept: Kept | None = None,
) -> Kept:
    """One request to the application; what was counted, whatever it raised."""
    kept, sent = kept or Kept(), []

    async def receive() -> Message:
        return body

    async def send(message: Message) -> None:
        sent.append(message)

    def endpoint(scope: Scope) -> str:
        return str(scope.get("route", "other"))

    scope = {"type": kind, "method": method, "path": "/sessions/5e55"}
    measured = Measured(app, kept, "api", endpoint)
    try:
        asyncio.run(measured(scope, receive, send))
    except (RuntimeError, asyncio.CancelledError):
        assert not sent or sent[0]["type"] == "http.response.start"
    return kept


async def _answers(scope: Scope, receive: Receive, send: Send) -> None:
    scope["route"] = "/sessions/{id}"
    await receive()
    await send(_start(201))
    await send({"type": "http.response.body", "body": b"done"})


@pytest.mark.parametrize(
    ("method", "told"), [("GET", "GET"), ("POST", "POST"), ("BREW", "OTHER"), ("get", "OTHER")]
)
def test_an_answer_is_counted_by_method_and_status(method: str, told: str) -> None:
    """Words that a stranger makes up are one; the endpoint is what routing made of the path."""
    kept = _serve(_answers, method=method)
    assert kept.of(HTTP_REQUESTS) == {("api", told, "201"): 1}
    assert kept.times(HTTP_DURATION) == {("api", "/sessions/{id}"): 1}


def test_a_stream_counts_when_it_begins() -> None:
    """Hours before it ends; what breaks afterwards was answered."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send(_start(200))
        await send({"type": "http.response.body", "body": b": one\n", "more_body": True})
        raise RuntimeError

    kept = _serve(app)
    assert kept.of(HTTP_REQUESTS) == {("api", "POST", "200"): 1}


def test_the_head_of_an_answer_is_not_its_beginning() -> None:
    """A stream's head is sent at once, whatever the first word of it waits for."""
    kept = Kept()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send(_start(200))
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        seen.append(kept.times(HTTP_DURATION))
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        seen.append(kept.times(HTTP_DURATION))

    seen: list[dict[tuple[str, ...], int]] = []
    _serve(app, kept=kept)
    assert seen == [{}, {("api", "other"): 1}]


def test_a_stream_that_waits_for_something_to_say_is_answered_by_its_head() -> None:
    """Nobody waits for its first word, which may come in an hour."""
    kept = Kept()

    async def app(_: Scope, __: Receive, send: Send) -> None:
        kind = (b"content-type", b"text/event-stream; charset=utf-8")
        await send({**_start(200), "headers": [kind]})
        seen.append(kept.times(HTTP_DURATION))

    seen: list[dict[tuple[str, ...], int]] = []
    _serve(app, kept=kept, method="GET")
    _serve(app, kept=kept, method="POST")
    assert seen == [{("api", "other"): 1}, {("api", "other"): 1}]


def test_an_answer_that_breaks_before_its_first_byte_is_an_error_of_ours() -> None:
    """Whatever its head has promised."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send(_start(200))
        raise RuntimeError

    assert _serve(app).of(HTTP_REQUESTS) == {("api", "POST", "500"): 1}


def test_a_client_that_left_before_is_no_answer() -> None:
    """Whether the application notices, raises or goes on; it took no time to answer."""

    async def notices(_: Scope, receive: Receive, __: Send) -> None:
        await receive()

    async def raises(_: Scope, receive: Receive, __: Send) -> None:
        await receive()
        raise RuntimeError

    for app in (notices, raises, _answers):
        kept = _serve(app, body=_LEFT)
        assert kept.of(HTTP_REQUESTS) == {("api", "POST", "499"): 1}
        assert kept.times(HTTP_DURATION) == {}


def test_an_application_that_breaks_is_an_error_of_ours() -> None:
    """Servers answer 500 for one that raises, is cancelled, or says nothing."""

    async def raises(_: Scope, __: Receive, ___: Send) -> None:
        raise RuntimeError

    async def is_cancelled(_: Scope, __: Receive, ___: Send) -> None:
        raise asyncio.CancelledError

    async def is_silent(_: Scope, receive: Receive, __: Send) -> None:
        await receive()

    for app in (raises, is_cancelled, is_silent):
        kept = _serve(app)
        assert kept.of(HTTP_REQUESTS) == {("api", "POST", "500"): 1}
        assert kept.times(HTTP_DURATION) == {("api", "other"): 1}


def test_what_is_no_request_is_none() -> None:
    """A server's own beginning and end pass through the same door."""

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        await receive()

    assert _serve(app, kind="lifespan").counts == {}
