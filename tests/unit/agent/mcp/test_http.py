"""Who is let in at the port."""

import socket
from typing import Any

import anyio
import httpx2
import pytest

from localai.agent.mcp.http import Door
from localai.core.errors import Denied, Unavailable
from localai.core.serving import listening
from localai.rbac.permissions import Actor

KEY = {"Authorization": "Bearer the-key"}


def ask(headers: dict[str, str], host: str = "127.0.0.1") -> tuple[int, Any]:
    """The status and the body, of the door or of what is behind it."""

    async def behind(scope: Any, _: Any, send: Any) -> None:
        body = str(scope["localai.actor"].user_id).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def authenticate(key: str) -> Actor:
        if key == "locked":
            raise Unavailable("the database cannot be used")
        if key != "the-key":
            raise Denied("no such API key")
        return Actor("kim", key="0123456789abcdef")

    async def request() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=Door(behind, authenticate, host))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/mcp", headers=headers)

    answer = anyio.run(request)
    return answer.status_code, answer.text


@pytest.mark.parametrize(
    "given", [KEY, {"authorization": "bearer the-key"}, {"X-API-Key": "the-key"}]
)
def test_a_key_opens(given: dict[str, str]) -> None:
    """In either header; the request is then its owner's."""
    assert ask(given) == (200, "kim")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Authorization": "the-key"},
        {"Authorization": "Basic the-key"},
        {"Authorization": "Bearer "},
        {"X-API-Key": "another"},
        {"Cookie": "key=the-key"},
    ],
)
def test_nothing_else_does(given: dict[str, str]) -> None:
    """And the answer says what to type."""
    status, body = ask(given)
    assert (status, '"category":"denied"' in body) == (401, True)


def test_a_home_that_cannot_be_read_is_no_wrong_key() -> None:
    """A client would ask its user for another one."""
    assert ask({"X-API-Key": "locked"})[0] == 503


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("127.0.0.1:8021", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8021", 200),
        ("192.0.2.7", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8021", 421),
        ("evil.example@localhost", 200),
        ("localhost@evil.example", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_a_request_names_this_machine(name: str, status: int) -> None:
    """A name that a stranger made lead here is not ours; an address was made by nobody."""
    assert ask(KEY | {"Host": name})[0] == status


def test_the_name_that_it_listens_at_is_ours() -> None:
    """Whoever chose it knows it."""
    assert ask(KEY | {"Host": "box.lan:8021"}, host="box.lan")[0] == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8021", 200),
        ("http://localhost:3000", 200),
        ("http://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://192.0.2.7", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
    ],
)
def test_no_foreign_page_may_ask(origin: str, status: int) -> None:
    """Whatever it was given."""
    assert ask(KEY | {"Origin": origin})[0] == status


def test_a_port_that_is_taken_is_told() -> None:
    """With the option that takes another one."""
    refused = pytest.raises(Unavailable, match="cannot be listened on")
    with socket.create_server(("127.0.0.1", 0)) as taken, refused as told:
        listening("127.0.0.1", taken.getsockname()[1], hint="ai serve --port N")
    assert told.value.hint == "ai serve --port N"


def test_strangers_are_sent_away_before_a_key_is_looked_at() -> None:
    """A page that guesses keys would fill the audit."""
    assert ask({"X-API-Key": "another", "Host": "evil.example"})[0] == 421
