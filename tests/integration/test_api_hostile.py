"""What strangers send to the port: forged, malformed, too large, too slow, too much at once."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import api_server
import httpx
import pytest
from api_server import APPROVALS, Server

from localai.api import application, bounds, waits
from localai.core import serving as core_serving

JSON = {"Content-Type": "application/json"}
NEW = {"tool_name": "deploy", "arguments": {}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with api_server.serving(tmp_path_factory.mktemp("api")) as served:
        yield served


@pytest.fixture
def user(server: Server) -> Iterator[httpx.Client]:
    with closing(server.client("user")) as client:
        yield client


def talk(server: Server, *said: bytes, ends: bool = False) -> bytes:
    """All that the server answers to these bytes until it closes the connection."""
    with socket.create_connection(server.address, timeout=30) as connection:
        for part in said:
            connection.sendall(part)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        heard = b""
        while part := connection.recv(65536):
            heard += part
        return heard


def post(user: httpx.Client, content: bytes, **headers: str) -> tuple[int, str]:
    answer = user.post(APPROVALS, content=content, headers=JSON | headers)
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    return answer.status_code, told["detail"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"tool_name": "a", "tool_name": "b", "arguments": {}}',
        b'{"tool_name": "a", "arguments": {"n": NaN}}',
        b'{"tool_name": "a", "arguments": {"n": -Infinity}}',
        b'{"tool_name": "a", "arguments": {"n": 9007199254740993}}',
        b'{"tool_name": "a", "arguments": {"n": 1e400}}',
        b'{"tool_name": "a", "arguments": {"n": ' + b"9" * 10_000 + b"}}",
        b'{"tool_name": "a", "arguments": {"s": "\\ud800"}}',
        b'{"tool_name": "a", "arguments": {"s": "\xff"}}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_not_read(
    user: httpx.Client, content: bytes
) -> None:
    """Nor is one that is no JSON at all."""
    assert post(user, content)[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tool_name": "deploy"},
        {"tool_name": "deploy", "arguments": []},
        {"tool_name": "deploy", "arguments": {}, "user_id": "admin"},
        {"tool_name": "", "arguments": {}},
        {"tool_name": "\u202edeploy", "arguments": {}},
        {"tool_name": "a" * 101, "arguments": {}},
        {"tool_name": 1, "arguments": {}},
        {"tool_name": "deploy", "arguments": {}, "reason": "x" * 1025},
        {"tool_name": "write_file", "arguments": {"path": 1}},
    ],
)
def test_a_body_of_another_shape_is_refused(user: httpx.Client, body: dict[str, Any]) -> None:
    """What is not known is refused as well: a slip of the hand would be lost."""
    assert post(user, json.dumps(body).encode())[0] == 422


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "a b"]
)
def test_a_page_cannot_post_without_being_asked(user: httpx.Client, kind: str) -> None:
    """Only application/json is read, which a browser sends nowhere unasked."""
    assert post(user, json.dumps(NEW).encode(), **{"Content-Type": kind})[0] == 415


def test_a_body_that_is_too_large_is_refused_by_what_it_says_and_by_what_comes(
    server: Server, user: httpx.Client
) -> None:
    """Before all of it is here."""
    large = b'{"tool_name": "' + b"a" * (1 << 20) + b'"}'
    assert post(user, large)[0] == 413

    def chunks() -> Iterator[bytes]:
        yield from (large[start : start + 65536] for start in range(0, len(large), 65536))

    assert user.post(APPROVALS, content=chunks(), headers=JSON).status_code == 413
    key = server.key("user").encode()
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\r\n"
    said = head % (APPROVALS.encode(), key)
    heard = talk(server, said + b"Content-Length: 99999999999999999999\r\n\r\n", ends=True)
    assert heard.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "path",
    [
        f"{APPROVALS}/%2e%2e/%2e%2e/health",
        f"{APPROVALS}/../approvals",
        f"/{APPROVALS}",
        f"{APPROVALS}//",
        f"{APPROVALS}/",
        f"{APPROVALS}/%00",
        f"{APPROVALS}/{'0' * 15}%EF%BC%90",
        f"{APPROVALS}/{'0' * 15}",
        f"{APPROVALS}/%25",
        f"{APPROVALS}/_%",
        "/docs/%2e%2e/%2e%2e/pyproject.toml",
        "/docs/..%2f..%2f..%2fetc%2fpasswd",
        "/DOCS",
        "/%ff",
        "/.env",
    ],
)
def test_only_a_path_that_there_is_leads_anywhere(server: Server, path: str) -> None:
    """As it stands, and read once."""
    said = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {server.key('admin')}\r\n"
    heard = talk(server, said.encode() + b"Connection: close\r\n\r\n")
    assert heard.split(b" ", 2)[1] == b"404"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
def test_foreign_names_and_pages_are_sent_away(
    user: httpx.Client, given: dict[str, str], status: int
) -> None:
    """Whatever key they were given."""
    assert user.get(APPROVALS, headers=given).status_code == status


def test_two_different_keys_are_none(server: Server, user: httpx.Client) -> None:
    """Nobody should have to know which one counts."""
    bearer = {"Authorization": f"Bearer {server.key('admin')}"}
    assert user.get(APPROVALS, headers=bearer).status_code == 401


@pytest.mark.parametrize("given", ["abc-1.2_3", "a" * 64])
def test_a_request_keeps_the_id_that_it_came_with(user: httpx.Client, given: str) -> None:
    """So that what is told can be found again at both ends."""
    answer = user.get(f"{APPROVALS}/{'0' * 16}", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", "<script>", "a\tb"])
def test_an_id_of_another_form_is_replaced(user: httpx.Client, given: str) -> None:
    """It goes into answers and into the log."""
    answer = user.get("/health", headers={"X-Request-Id": given})
    assert len(answer.headers["x-request-id"]) == 16


def test_requests_may_follow_each_other_before_they_are_answered(server: Server) -> None:
    """Each is answered, in order."""
    one = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: n%d\r\n%s\r\n"
    said = b"".join(one % (n, b"Connection: close\r\n" if n == 4 else b"") for n in range(5))
    heard = talk(server, said)
    places = [heard.index(b"x-request-id: n%d" % n) for n in range(5)]
    assert places == sorted(places)
    assert heard.count(b"HTTP/1.1 200 OK") == 5


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_request_is_told_so_and_left(server: Server, said: bytes) -> None:
    """And the server goes on."""
    heard = talk(server, said, ends=True)
    assert heard == b"" or heard.split(b" ", 2)[1].startswith((b"4", b"5"))
    with server.client(None) as stranger:
        assert stranger.get("/health").status_code == 200


def test_who_says_nothing_or_stops_in_the_middle_is_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of headers and of a body; the others are answered meanwhile."""
    monkeypatch.setattr(core_serving, "HEADERS_S", 0.2)
    monkeypatch.setattr(core_serving, "KEEP_S", 1)
    monkeypatch.setattr(bounds, "BODY_S", 0.2)
    with api_server.serving(tmp_path) as server:
        assert talk(server) == b""
        assert talk(server, b"GET /health HTTP/1.1\r\nHo") == b""
        first = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        heard = talk(server, first, b"GET /health HTTP/1.1\r\nHo")
        assert heard.count(b"200 OK") == 1
        key = server.key("user").encode()
        head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\r\n" % (
            APPROVALS.encode(),
            key,
        )
        body = b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        assert talk(server, head + body).startswith(b"HTTP/1.1 408 ")


def test_more_at_once_than_can_be_are_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait take no place from the others."""
    monkeypatch.setattr(application, "MAX_WAITING", 2)
    with api_server.serving(tmp_path) as server, ExitStack() as streams:
        client = streams.enter_context(closing(server.client()))
        heard: list[Iterator[str]] = []
        for _ in range(2):
            stream = streams.enter_context(client.stream("GET", f"{APPROVALS}/events"))
            heard.append(stream.iter_lines())  # which ends the stream when nobody keeps it
            next(heard[-1])
        refused = client.get(f"{APPROVALS}/events")
        assert (refused.status_code, refused.json()["category"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert client.get(APPROVALS).status_code == 200


def test_a_stream_that_is_left_gives_its_place_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes next finds it."""
    monkeypatch.setattr(application, "MAX_WAITING", 1)
    monkeypatch.setattr(waits, "_BEATS_S", 0.0)
    with api_server.serving(tmp_path) as server, closing(server.client()) as client:
        for _ in range(3):
            for _ in range(100):
                with client.stream("GET", f"{APPROVALS}/events") as stream:
                    if stream.status_code == 200:
                        next(stream.iter_lines())
                        break
                    stream.read()
            else:
                pytest.fail("the place was not given back")


def test_the_loop_answers_while_rooms_are_busy(server: Server) -> None:
    """A writer holds the database, and whoever asks for nothing of it is answered."""
    with closing(server.client("user")) as client, server.client(None) as stranger:
        ask = partial(client.post, APPROVALS, json=NEW)
        thread = threading.Thread(target=ask)
        with server.app.database.transaction():
            thread.start()
            assert [stranger.get("/health").status_code for _ in range(20)] == [200] * 20
            assert thread.is_alive()
        thread.join()
