"""Every operation, asked by every role, about one's own request and another's."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import api_server
import httpx
import pytest
from api_server import APPROVALS, ROLES, Server

from localai.agent.history import Turn
from localai.api import examples, memory, rag
from localai.approvals.records import Approval
from localai.rag.sent import Text
from localai.rbac.permissions import Actor

ONE = f"{APPROVALS}/{{approval_id}}"
KEPT = f"{memory.PATH}/{{conversation_id}}"
COLLECTION = f"{rag.COLLECTIONS}/{{name}}"
ALL = dict.fromkeys(ROLES, 200)
DECIDING = {"admin": 200, "operator": 200, "viewer": 403, "user": 403}
WORKING = {"admin": 200, "operator": 200, "viewer": 403, "user": 200}


NOBODYS = dict.fromkeys(ROLES, 404)

Named = dict[str, str]
"""What stands in the path of something that was made, by its name there."""


def _pending(server: Server, owner: str) -> Named:
    return _named(server.ask(owner))


def _approved(server: Server, owner: str) -> Named:
    return _named(server.approve(server.ask(owner)))


def _claimed(server: Server, owner: str) -> Named:
    approved = server.approve(server.ask(owner))
    return _named(server.app.approvals.elsewhere.claim(server.app.actor, approved.id))


def _runnable(server: Server, owner: str) -> Named:
    asked = server.ask(owner, "write_file", path=f"{owner}.txt", content="x")
    return _named(server.approve(asked))


def _named(approval: Approval) -> Named:
    return {"approval_id": approval.id}


def _kept(server: Server, owner: str) -> Named:
    said = [Turn(0, "user", "hello")]
    return {"conversation_id": server.app.history.save(Actor(owner), "t", "/nowhere", said)}


def _indexed(server: Server, owner: str) -> Named:
    """Collections belong to the home, whoever made them."""
    made = [each.name for each in server.app.rag.collections(server.app.actor).items]
    if "made" not in made:
        texts = [Text("a.txt", "The otter eats fish.")]
        server.app.rag.index(server.app.actor, (), collection="made", texts=texts)
    return {"name": "made"}


@dataclass(frozen=True)
class Case:
    """What an operation answers to each role about its own request, and about another's."""

    method: str
    path: str
    own: Mapping[str, int]
    other: Mapping[str, int]
    make: Callable[[Server, str], Named] | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)
    without_key: int = 401

    def at(self, server: Server, owner: str) -> str:
        """The path for something of this owner, made as the case needs it."""
        return self.path.format(**self.make(server, owner)) if self.make else self.path

    def __str__(self) -> str:
        words = (self.method, self.path, str(self.sent.get("json", {}).get("action", "")))
        return " ".join(filter(None, words))


def _put(action: str, make: Callable[[Server, str], Named], other: Mapping[str, int]) -> Case:
    own = DECIDING if action in {"approve", "reject"} else WORKING
    return Case("PUT", ONE, own, other, make, {"json": {"action": action}})


NEW = {"json": {"tool_name": "deploy", "arguments": {}}}
OPENED = {role: 201 if code == 200 else code for role, code in WORKING.items()}
TEXTS = {"json": {"collection": "sent", "documents": [{"source": "a.txt", "text": "x"}]}}
FILES = {"json": {"collection": "sent", "paths": ["."]}}
ASKED = {"json": {"question": "What does the otter eat?", "collection": "made", "answer": False}}
SAID = {"json": {"messages": [{"role": "user", "content": "hello"}]}}
FIGURES = {"admin": 200, "operator": 200, "viewer": 200, "user": 403}
CASES = [
    Case("GET", "/health", ALL, ALL, without_key=200),
    Case("GET", "/ready", ALL, ALL, without_key=200),
    Case("GET", "/metrics", FIGURES, FIGURES),
    Case("GET", APPROVALS, ALL, ALL),
    Case("POST", APPROVALS, OPENED, OPENED, sent=NEW),
    Case("POST", "/api/v1/alerts", DECIDING, DECIDING, sent={"json": examples.ALERTS}),
    Case("GET", f"{APPROVALS}/stats", ALL, ALL),
    Case("GET", f"{APPROVALS}/events", ALL, ALL),
    Case("GET", ONE, ALL, ALL, _pending),
    Case("GET", f"{ONE}/wait", ALL, ALL, _pending, {"params": {"timeout": 0}}),
    _put("approve", _pending, DECIDING),
    _put("reject", _pending, DECIDING),
    _put("claim", _approved, DECIDING),
    _put("succeed", _claimed, DECIDING),
    _put("fail", _claimed, DECIDING),
    Case("DELETE", ONE, WORKING, DECIDING, _pending),
    Case("POST", f"{ONE}/run", WORKING, DECIDING, _runnable),
    Case("GET", rag.COLLECTIONS, ALL, ALL),
    Case("GET", COLLECTION, ALL, ALL, _indexed),
    Case("DELETE", COLLECTION, DECIDING, DECIDING, _indexed),
    Case("POST", f"{rag.PATH}/index", DECIDING, DECIDING, sent=TEXTS),
    Case("POST", f"{rag.PATH}/index", DECIDING, DECIDING, sent=FILES),
    Case("POST", f"{rag.PATH}/query", ALL, ALL, _indexed, ASKED),
    Case("POST", f"{rag.PATH}/models/reload", DECIDING, DECIDING),
    Case("GET", memory.PATH, ALL, ALL),
    Case("POST", memory.PATH, OPENED, OPENED, sent=SAID),
    Case("GET", f"{memory.PATH}/statistics", ALL, ALL),
    Case("GET", f"{memory.PATH}/search", ALL, ALL, sent={"params": {"q": "hello"}}),
    Case("POST", f"{memory.PATH}/search", ALL, ALL, sent={"json": {"q": "a", "meaning": True}}),
    Case("GET", KEPT, ALL, NOBODYS, _kept),
    Case("DELETE", KEPT, WORKING, NOBODYS, _kept),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("api")
    settings = {"notify__terminal": "true"}
    with api_server.serving(folder, **settings) as served, served.telling_nobody():
        served.key("operator", "lee")
        yield served


def asked(server: Server, case: Case, path: str, **headers: str) -> int:
    """The status of the answer; a stream is left when it has begun."""
    with (
        httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client,
        client.stream(case.method, path, **case.sent) as answer,
    ):
        return answer.status_code


def test_every_operation_has_a_case(server: Server) -> None:
    """A door that is added says here whom it lets in."""
    with server.client(None) as client:
        paths = client.get("/openapi.json").json()["paths"]
    doors = {(method.upper(), path) for path, found in paths.items() for method in found}
    assert doors == {(case.method, case.path) for case in CASES}


@pytest.mark.prove
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_role_opens_what_it_may_and_nothing_else(server: Server, case: Case) -> None:
    """About what its user asked for, and about what somebody else did."""
    found, wanted = {}, {}
    for role in ROLES:
        key = server.key(role)
        with _working(server, role):
            path = case.at(server, role)
        found[role, "own"] = asked(server, case, path, **{"X-API-Key": key})
        found[role, "other"] = asked(server, case, case.at(server, "lee"), **{"X-API-Key": key})
        wanted |= {(role, "own"): case.own[role], (role, "other"): case.other[role]}
    assert found == wanted


@contextmanager
def _working(server: Server, role: str) -> Iterator[None]:
    """A viewer asks for nothing: what is theirs they asked for when they were more."""
    users, admin = server.app.users, server.app.actor
    if role == "viewer":
        users.set_roles(admin, role, ["user"])
    yield
    if role == "viewer":
        users.set_roles(admin, role, ["viewer"])


FORGED = (
    {},
    {"X-User-Id": "admin", "X-Forwarded-User": "admin", "X-Role": "admin"},
    {"X-API-Key": "admin"},
    {"X-API-Key": f"lai_{'0' * 16}_{'0' * 64}_00000000"},
    {"Authorization": "Basic YWRtaW46YWRtaW4="},
    {"Cookie": "key=admin; session=admin"},
)


@pytest.mark.prove
@pytest.mark.parametrize("case", CASES, ids=str)
def test_without_a_key_nobody_is_anybody(server: Server, case: Case) -> None:
    """Whatever else the request says of who sent it."""
    path = case.at(server, "user")
    for forged in FORGED:
        has_key = forged.keys() & {"X-API-Key", "Authorization"} and case.path != "/health"
        wanted = 401 if has_key else case.without_key
        assert asked(server, case, path, **forged) == wanted, forged


@pytest.mark.prove
@pytest.mark.parametrize("case", [case for case in CASES if "{" in case.path], ids=str)
def test_nobody_learns_from_an_id_that_there_is_not(server: Server, case: Case) -> None:
    """It is not found by who may look, and a key is asked for first."""
    path = case.path.format_map(defaultdict(lambda: "0" * 16))
    with server.client("admin") as admin, server.client(None) as stranger:
        assert admin.request(case.method, path, **case.sent).status_code == 404
        assert stranger.request(case.method, path, **case.sent).status_code == 401
