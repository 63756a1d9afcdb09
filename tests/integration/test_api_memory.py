"""Conversations over HTTP: saved, read, found, counted, forgotten, each by whom it belongs to."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import api_server
import httpx
import pytest
from api_server import Server

from localai.agent.history import Turn
from localai.agent.loop import _answered
from localai.api.memory import PATH
from localai.core.records import json_text
from localai.rbac.permissions import Actor

WORKERS = 160 if os.environ.get("PROVE") == "1" else 12
SEARCH, STATISTICS = f"{PATH}/search", f"{PATH}/statistics"
SAID = [
    {"role": "system", "content": "Answer as a pirate."},
    {"role": "user", "content": "How do I clean the kettle?"},
    {"role": "assistant", "content": "With vinegar, once a month."},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with api_server.serving(tmp_path_factory.mktemp("api")) as served:
        yield served


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    with closing(server.client()) as client:
        yield client


@pytest.fixture
def user(server: Server) -> Iterator[httpx.Client]:
    with closing(server.client("user")) as client:
        yield client


def save(client: httpx.Client, *said: str, **more: Any) -> Any:
    """A conversation in which the user said these things."""
    messages = [{"role": "user", "content": each} for each in said] or SAID
    answer = client.post(PATH, json={"messages": messages, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_conversation_is_kept_as_those_that_were_held_here(
    server: Server, user: httpx.Client
) -> None:
    """The records are those of the command line, and who holds it on finds it there."""
    answer = user.post(PATH, json={"messages": SAID})
    saved = answer.json()
    assert answer.headers["location"] == f"{PATH}/{saved['id']}"
    assert (saved["title"], saved["messages"]) == ("How do I clean the kettle?", 3)
    one = user.get(f"{PATH}/{saved['id']}")
    ours = server.app.history.read(Actor("user"), saved["id"])
    assert one.text == json_text(ours)
    assert one.json()["session"] == saved
    assert [each["content"] for each in one.json()["turns"]] == [each["content"] for each in SAID]
    assert saved in user.get(PATH).json()["items"]


def test_what_was_saved_is_not_trusted_when_it_is_gone_on_with(
    server: Server, user: httpx.Client
) -> None:
    """It raises the risk of what a model calls then, and gives a model no instructions."""
    saved = save(user)["id"]
    assert server.app.history.has_foreign(saved)
    turns = server.app.history.read(Actor("user"), saved).turns
    assert [each.role for each in _answered(turns)] == ["user", "assistant"]


def test_somebody_elses_is_not_found(server: Server, admin: httpx.Client) -> None:
    """Not even by who may everything: read, found, counted or forgotten."""
    server.app.users.add(server.app.actor, "ann", ["user"])
    made = server.app.api_keys.create(server.app.actor, "ann", lifetime_s=60)
    with closing(server.client(None, Authorization=f"Bearer {made.key}")) as ann:
        assert ann.get(STATISTICS).json()["conversations"] == 0
        place = f"{PATH}/{save(ann, 'the secret treasure')['id']}"
        assert admin.get(place).status_code == 404
        assert admin.delete(place).status_code == 404
        assert admin.get(SEARCH, params={"q": "treasure"}).json()["total"] == 0
        meant = {"q": "secret treasure", "meaning": True}
        found = admin.post(SEARCH, json=meant).json()["items"]
        assert "treasure" not in str(found)
        assert [each["snippet"] for each in ann.post(SEARCH, json=meant).json()["items"]] == [
            "the secret treasure"
        ]
        assert ann.get(PATH).json()["total"] == 1
        assert ann.get(STATISTICS).json()["by_role"] == {"user": 1}
        assert ann.get(place).status_code == 200


def test_what_is_forgotten_is_gone(user: httpx.Client) -> None:
    """From lists and from both ways to look for it."""
    saved = save(user, "the whistling locomotive")
    place = f"{PATH}/{saved['id']}"
    for meaning in (False, True):
        wanted = {"q": "locomotive", "meaning": meaning}
        assert user.post(SEARCH, json=wanted).json()["items"][0]["session"] == saved["id"]
    gone = user.delete(place)
    assert (gone.status_code, gone.json()) == (200, saved)
    assert user.get(place).status_code == user.delete(place).status_code == 404
    for meaning in (False, True):
        found = user.post(SEARCH, json={"q": "locomotive", "meaning": meaning}).json()["items"]
        assert saved["id"] not in [each["session"] for each in found]


def test_a_tag_keeps_from_forgetting_what_went_on(server: Server, user: httpx.Client) -> None:
    """304 while it is the same, 412 for who read less than there is."""
    place = f"{PATH}/{save(user)['id']}"
    tag = user.get(place).headers["etag"]
    assert user.get(place, headers={"If-None-Match": tag}).status_code == 304
    server.app.history.add(Actor("user"), place.rpartition("/")[2], Turn(0, "user", "more"))
    assert user.delete(place, headers={"If-Match": tag}).status_code == 412
    tag = user.get(place).headers["etag"]
    assert user.delete(place, headers={"If-Match": tag}).status_code == 200


def test_lists_and_searches_go_on_where_they_ended(server: Server, admin: httpx.Client) -> None:
    """Of one project, where one is named."""
    saved = {save(admin, f"a purple number {n}")["id"] for n in range(5)}
    server.app.history.begin(server.app.actor, "elsewhere", str(server.app.workspace))
    for place, params in ((PATH, {}), (SEARCH, {"q": "purple number"})):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = admin.get(place, params={**params, **cursor, "limit": 2, "project": ""}).json()
            seen += [each.get("session", each.get("id")) for each in page["items"]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert len(seen) == len(set(seen)) == page["total"]
        assert saved <= set(seen)
        assert admin.get(place, params={**params, "project": "/no/such"}).json()["total"] == 0
        assert admin.get(place, params={**params, "cursor": "x"}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": "x", "model": "y"}]},
        {"messages": [{"role": "user", "content": "x" * 200_001}]},
        {"messages": SAID[:1] * 1001},
        {"messages": SAID, "title": ""},
        {"messages": SAID, "title": " "},
        {"messages": SAID, "title": "x" * 201},
        {"messages": SAID, "user_id": "admin"},
    ],
)
def test_what_is_no_conversation_is_not_kept(user: httpx.Client, body: dict[str, Any]) -> None:
    """Nothing of it."""
    before = user.get(STATISTICS).json()
    assert user.post(PATH, json=body).status_code == 422
    assert user.get(STATISTICS).json() == before


@pytest.mark.parametrize("path", ["searchx", "0" * 15, "0" * 17, "G" * 16, "search/", "_"])
def test_only_a_whole_id_names_a_conversation(user: httpx.Client, path: str) -> None:
    """No prefix does, as at a terminal, and no other word."""
    assert user.get(f"{PATH}/{path}").status_code == 404
    assert user.get(f"{PATH}/{'0' * 16}").status_code == 404


@pytest.mark.parametrize("q", ["", " ", "\0", " \0", "x" * 1001])
def test_nothing_looked_for_is_refused(user: httpx.Client, q: str) -> None:
    """In both ways to ask."""
    assert user.get(SEARCH, params={"q": q}).status_code == 422
    assert user.post(SEARCH, json={"q": q, "meaning": True}).status_code == 422
    assert user.get(SEARCH).status_code == 422


@pytest.mark.parametrize(
    "q", ['"', "a' OR 1=1 --", "NEAR(", "*", "%", "kettle\0vinegar", "kett", "틀렸", "🫖"]
)
def test_what_is_looked_for_is_never_a_query(user: httpx.Client, q: str) -> None:
    """Whatever the index and the database would make of it."""
    assert user.get(SEARCH, params={"q": q}).status_code == 200
    assert user.post(SEARCH, json={"q": q, "meaning": True}).status_code == 200


@pytest.mark.prove
def test_many_keep_find_and_forget_at_once(server: Server) -> None:
    """Nothing is lost, nobody sees an error, and what was forgotten is found no more."""
    server.key("operator", "olga")

    def works(n: int) -> set[int]:
        with closing(server.client("olga")) as client:
            saved = save(client, f"the marvellous kettle number {n}")
            answers = [
                client.post(SEARCH, json={"q": "marvellous kettle", "meaning": True}),
                client.get(SEARCH, params={"q": f"number {n}"}),
                client.get(STATISTICS),
            ]
            assert answers[1].json()["total"] >= 1
            if n % 2:
                answers.append(client.delete(f"{PATH}/{saved['id']}"))
            return {each.status_code for each in answers}

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(works, range(WORKERS))) == {200}
    with closing(server.client("olga")) as client:
        assert client.get(PATH).json()["total"] == WORKERS // 2
        wanted = {"q": "marvellous kettle", "meaning": True, "limit": 100}
        found = client.post(SEARCH, json=wanted).json()["items"]
        assert len(found) == min(100, WORKERS // 2)
