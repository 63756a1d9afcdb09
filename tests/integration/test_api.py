"""Requests over HTTP: opened, read, decided, run, followed; on a server at a port of its own."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import api_server
import httpx
import pytest
from api_server import APPROVALS, Server
from opentelemetry import metrics, trace

from localai.api import memory, rag
from localai.core.records import json_text
from localai.rag.sent import Text
from localai.rbac.permissions import Actor

NEW = {"tool_name": "deploy", "arguments": {"service": "shop"}}
NOTE = {"tool_name": "write_file", "arguments": {"path": "note.txt", "content": "milk\n"}}


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


def decide(client: httpx.Client, approval: str, action: str, **more: Any) -> httpx.Response:
    return client.put(f"{APPROVALS}/{approval}", json={"action": action, **more})


def test_a_call_of_a_tool_here_waits_is_approved_and_runs_once(
    server: Server, admin: httpx.Client, user: httpx.Client
) -> None:
    """The request is the one that the tool itself states, and nobody runs it twice."""
    opened = user.post(APPROVALS, json={**NOTE, "reason": "shopping"})
    approval = opened.json()
    assert (opened.status_code, approval["status"], approval["user_id"]) == (201, "pending", "user")
    assert opened.headers["location"] == f"{APPROVALS}/{approval['id']}"
    stated = server.app.runner.restated(
        server.app.actor, server.app.approvals.get(server.app.actor, approval["id"])
    )
    assert approval["action_sha256"] == stated.action.sha256
    run = f"{APPROVALS}/{approval['id']}/run"
    assert user.post(run).status_code == 409
    assert decide(admin, approval["id"], "approve").json()["status"] == "approved"
    ran = user.post(run)
    assert (ran.status_code, ran.json()["approval"]["status"]) == (200, "succeeded")
    assert (server.app.workspace / "note.txt").read_text() == "milk\n"
    assert user.post(run).status_code == 409


def test_what_changed_since_it_was_approved_is_not_run(
    server: Server, admin: httpx.Client, user: httpx.Client
) -> None:
    """The approval is taken back instead."""
    place = server.app.workspace / "changed.txt"
    arguments = {"path": "changed.txt", "content": "mine"}
    asked = user.post(APPROVALS, json={"tool_name": "write_file", "arguments": arguments}).json()
    decide(admin, asked["id"], "approve")
    place.write_text("somebody else's")
    assert user.post(f"{APPROVALS}/{asked['id']}/run").status_code == 409
    assert place.read_text() == "somebody else's"
    assert user.get(f"{APPROVALS}/{asked['id']}").json()["status"] == "revoked"


@pytest.mark.parametrize(("said", "status"), [("succeed", "succeeded"), ("fail", "failed")])
def test_an_action_of_another_system_is_claimed_once_and_reported(
    admin: httpx.Client, user: httpx.Client, said: str, status: str
) -> None:
    """Nothing of it runs here."""
    asked = user.post(APPROVALS, json=NEW).json()
    assert decide(user, asked["id"], "claim").status_code == 409
    decide(admin, asked["id"], "approve")
    assert user.post(f"{APPROVALS}/{asked['id']}/run").status_code == 409
    assert decide(user, asked["id"], said).status_code == 409
    assert decide(user, asked["id"], "claim").json()["status"] == "executing"
    assert decide(user, asked["id"], "claim").status_code == 409
    ended = decide(user, asked["id"], said, reason="exit 0").json()
    assert (ended["status"], ended["outcome"]) == (status, "exit 0")
    assert decide(user, asked["id"], said).status_code == 409


def test_a_claim_elsewhere_outlives_the_server(server: Server, user: httpx.Client) -> None:
    """Whose process is not ours to see is never taken for dead."""
    approval = server.approve(server.ask())
    assert decide(user, approval.id, "claim").status_code == 200
    server.app.approvals.sweep()
    assert server.app.approvals.get(Actor("user"), approval.id).status == "executing"


def test_a_call_of_a_tool_here_cannot_be_claimed_elsewhere(
    server: Server, user: httpx.Client
) -> None:
    """It would be a run that nobody saw."""
    asked = server.approve(server.ask("user", "write_file", **NOTE["arguments"]))  # type: ignore[arg-type]
    for action in ("claim", "succeed", "fail"):
        assert decide(user, asked.id, action).status_code == 409
    assert server.app.approvals.get(Actor("user"), asked.id).status == "approved"


def test_a_record_is_the_one_that_the_command_line_prints(
    server: Server, admin: httpx.Client
) -> None:
    """Byte for byte."""
    asked = server.ask(service="\u202eshop", note="한국어")
    shown = admin.get(f"{APPROVALS}/{asked.id}")
    assert shown.text == json_text(server.app.approvals.get(server.app.actor, asked.id))
    assert "\u202e" not in shown.text
    assert shown.json()["arguments"] == {"service": "\u202eshop", "note": "한국어"}


def test_the_same_key_opens_one_request(admin: httpx.Client, user: httpx.Client) -> None:
    """Also while it is decided in between; another user's key is another one."""
    key = {"Idempotency-Key": "order-1"}
    first = user.post(APPROVALS, json=NEW, headers=key)
    decide(admin, first.json()["id"], "reject", reason="no")
    again = user.post(APPROVALS, content=json.dumps(NEW, indent=3), headers=key | JSON)
    assert (again.status_code, again.text) == (201, first.text)
    other = user.post(APPROVALS, json={**NEW, "reason": "x"}, headers=key)
    assert (other.status_code, "Idempotency-Key" in other.json()["detail"]) == (409, True)
    assert admin.post(APPROVALS, json=NEW, headers=key).json()["id"] != first.json()["id"]


def test_the_same_key_at_once_opens_one_request(user: httpx.Client, server: Server) -> None:
    """Whoever comes second finds what the first one opened."""
    found: list[str] = []

    def ask() -> None:
        with closing(server.client("user", **{"Idempotency-Key": "at-once"})) as client:
            found.append(client.post(APPROVALS, json=NEW).json()["id"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


JSON = {"Content-Type": "application/json"}


def test_a_tag_tells_whether_a_request_changed(
    server: Server, admin: httpx.Client, user: httpx.Client
) -> None:
    """304 while it is the same, another tag after a decision, and 412 for whoever read the old."""
    asked = server.ask()
    place = f"{APPROVALS}/{asked.id}"
    tag = admin.get(place).headers["etag"]
    same = admin.get(place, headers={"If-None-Match": f'"x", W/{tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    body = {"action": "approve"}
    assert admin.put(place, json=body, headers={"If-Match": '"old"'}).status_code == 412
    assert user.delete(place, headers={"If-Match": '"old"'}).status_code == 412
    assert admin.put(place, json=body, headers={"If-Match": tag}).status_code == 200
    assert admin.get(place, headers={"If-None-Match": tag}).status_code == 200
    assert user.delete(place, headers={"If-Match": tag}).status_code == 412


def test_a_decision_holds_for_the_digest_that_was_read(server: Server, admin: httpx.Client) -> None:
    """Of another action it is none."""
    asked = server.ask()
    assert decide(admin, asked.id, "approve", action_sha256="0" * 64).status_code == 409
    assert decide(admin, asked.id, "reject", action_sha256="0" * 8).status_code == 409
    digest = asked.action_sha256[:12].upper()
    assert decide(admin, asked.id, "approve", action_sha256=digest).status_code == 200


def test_a_list_is_filtered_and_goes_on_where_it_ended(server: Server, admin: httpx.Client) -> None:
    """By status, user, tool and time; the total counts every page."""
    server.key("operator", "olga")
    asked = [server.ask("olga", f"step-{number}") for number in range(5)]
    server.approve(asked[0])
    mine = {"user_id": "olga"}
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = admin.get(APPROVALS, params={**mine, **cursor, "limit": 2}).json()
        assert page["total"] == 5
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == [each.id for each in reversed(asked)]

    def count(**filters: str) -> int:
        found = admin.get(APPROVALS, params=mine | filters).json()
        assert len(found["items"]) == found["total"]
        return int(found["total"])

    assert (count(status="pending"), count(status="approved"), count(status="expired")) == (4, 1, 0)
    assert count(tool_name="step-3") == 1
    assert (count(since=asked[2].created_at), count(until=asked[2].created_at)) == (3, 2)
    assert count(since="2999-01-01T00:00:00+09:00") == 0
    assert admin.get(APPROVALS, params={"since": "yesterday"}).status_code == 422


def test_statistics_count_what_was_decided(server: Server, admin: httpx.Client) -> None:
    """As `ai approvals stats` does."""
    server.approve(server.ask(name="counted"))
    since = {"since": "2020-01-01T00:00:00Z"}
    found = admin.get(f"{APPROVALS}/stats", params=since).json()
    assert found["by_tool"]["counted"] == {"approved": 1}
    ours = asdict(server.app.approvals.statistics(server.app.actor, 1_577_836_800_000_000))
    assert found.keys() == ours.keys()


def test_waiting_ends_with_the_decision_or_with_the_time(
    server: Server, admin: httpx.Client, user: httpx.Client
) -> None:
    """Whoever asks reads the request as it stands then."""
    asked = server.ask()
    waiting = f"{APPROVALS}/{asked.id}/wait"
    assert user.get(waiting, params={"timeout": 0}).json()["status"] == "pending"
    found: list[str] = []

    def wait() -> None:
        with closing(server.client("user")) as client:
            found.append(client.get(waiting, params={"timeout": 60}).json()["status"])

    thread = threading.Thread(target=wait)
    thread.start()
    decide(admin, asked.id, "reject")
    thread.join()
    assert found == ["rejected"]


def test_a_stream_tells_what_happens_and_goes_on_where_it_was_cut_off(
    server: Server, admin: httpx.Client
) -> None:
    """Every event once, in order, each with its request."""
    with admin.stream("GET", f"{APPROVALS}/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 1000"
        start = next(lines).removeprefix("id: ")
        asked = server.ask()
        first = _event(lines)
        assert (first["event"], first["approval"]["id"]) == ("approval.requested", asked.id)
    server.approve(asked)
    last = {"Last-Event-ID": str(first["id"])}
    with admin.stream("GET", f"{APPROVALS}/events", headers=last) as stream:
        second = _event(stream.iter_lines())
        assert (second["event"], second["approval"]["status"]) == ("approval.approved", "approved")
    with admin.stream("GET", f"{APPROVALS}/events", headers={"Last-Event-ID": start}) as stream:
        assert _event(stream.iter_lines()) == {**first, "approval": second["approval"]}
    wrong = admin.get(f"{APPROVALS}/events", headers={"Last-Event-ID": "-1"})
    assert wrong.status_code == 422


def _event(lines: Iterator[str]) -> Any:
    return json.loads(next(line for line in lines if line.startswith("data: "))[6:])


def test_reading_writes_nothing_to_the_database(server: Server, admin: httpx.Client) -> None:
    """Not even what is over is written down by whoever reads it; counts wait in memory."""
    asked = server.ask()
    admin.get("/ready")
    database, tally = server.app.database, server.app.tally
    paths = ["/health", "/ready", "/metrics", "/openapi.json", "/docs", "/redoc"]
    paths += [APPROVALS, f"{APPROVALS}?status=expired", f"{APPROVALS}/stats"]
    paths += [f"{APPROVALS}/{asked.id}", f"{APPROVALS}/{asked.id}/wait?timeout=0"]
    texts = [Text("a.txt", "x")]
    server.app.rag.index(server.app.actor, (), collection="read", texts=texts)
    kept = server.app.history.save(Actor("admin"), "t", "/nowhere", ())
    paths += [rag.COLLECTIONS, f"{rag.COLLECTIONS}/read", memory.PATH, f"{memory.PATH}/{kept}"]
    paths += [f"{memory.PATH}/search?q=x", f"{memory.PATH}/statistics"]
    with tally._writing, database.read() as connection:
        before = connection.exec_driver_sql("PRAGMA data_version").scalar()
        connection.rollback()
        assert {admin.get(path).status_code for path in paths} == {200}
        after = connection.exec_driver_sql("PRAGMA data_version").scalar()
        connection.rollback()
        server.ask()
        assert connection.exec_driver_sql("PRAGMA data_version").scalar() != after
    assert after == before


def test_a_request_that_is_over_is_told_as_expired_before_anybody_writes_so(
    tmp_path: Path,
) -> None:
    """By the clock, in lists and in numbers."""
    with api_server.serving(tmp_path, approvals__timeout="1s") as server:
        asked = server.ask()
        with closing(server.client()) as admin:
            found = admin.get(f"{APPROVALS}/{asked.id}/wait", params={"timeout": 30}).json()
            assert found["status"] == "expired"
            assert admin.get(APPROVALS, params={"status": "expired"}).json()["total"] == 1
            assert admin.get(APPROVALS, params={"status": "pending"}).json()["total"] == 0
            refused = decide(admin, asked.id, "approve")
            assert (refused.status_code, refused.json()["category"]) == (410, "expired")


def test_strict_mode_wants_the_digest(tmp_path: Path) -> None:
    """And lets actions of other systems be asked for, which nothing here runs."""
    with api_server.serving(tmp_path, security__mode="strict") as server:
        asked = server.ask()
        with closing(server.client()) as admin:
            assert decide(admin, asked.id, "approve").status_code == 428
            digest = asked.action_sha256
            answer = decide(admin, asked.id, "approve", action_sha256=digest)
            assert answer.json()["status"] == "approved"


def test_whoever_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    """In seconds, as HTTP has it."""
    with api_server.serving(tmp_path, rate_limits__calls="2/1h") as server:
        with closing(server.client("user")) as user:
            codes = [user.post(APPROVALS, json=NEW).status_code for _ in range(2)]
            limited = user.post(APPROVALS, json={**NEW, "tool_name": "another"})
        assert codes == [201, 201]
        assert (limited.status_code, limited.json()["category"]) == (429, "denied")
        assert 0 < int(limited.headers["retry-after"]) <= 1800


def test_a_key_may_be_for_less_than_its_user(server: Server) -> None:
    """And ends at once when it is revoked."""
    made = server.app.api_keys.create(
        server.app.actor, "admin", lifetime_s=60, permissions=["approvals:read"]
    )
    asked = server.ask()
    with closing(server.client(None, Authorization=f"bearer {made.key}")) as client:
        assert client.get(APPROVALS).status_code == 200
        assert decide(client, asked.id, "approve").status_code == 403
        assert client.get("/metrics").status_code == 403
        server.app.api_keys.revoke(server.app.actor, made.id)
        assert client.get(APPROVALS).status_code == 401


def test_requests_are_counted_by_the_template_of_their_path(
    server: Server, admin: httpx.Client
) -> None:
    """A raw path is anybody's."""
    admin.get(f"{APPROVALS}/{server.ask().id}")
    admin.get("/no/such/path")
    server.app.tally.flush()
    figures = admin.get("/metrics").text
    template = f'endpoint="{APPROVALS}/{{approval_id}}",le="+Inf",service="api"'
    assert template in figures
    assert 'endpoint="other",le="+Inf",service="api"' in figures
    assert "no/such" not in figures
    server.app.tally.flush()
    assert 'service="metrics"' in admin.get("/metrics").text


def test_what_is_asked_is_reported_to_nobody(
    server: Server, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a library has set up for OpenTelemetry in this process."""
    asked = []

    class Tracers(trace.TracerProvider):
        def get_tracer(self, *_args: Any, **_options: Any) -> trace.Tracer:
            asked.append("traces")
            return trace.NoOpTracer()

    class Meters(metrics.MeterProvider):
        def get_meter(self, name: str, *_args: Any, **_options: Any) -> metrics.Meter:
            asked.append("metrics")
            return metrics.NoOpMeter(name)

    monkeypatch.setattr(trace, "get_tracer_provider", Tracers)
    monkeypatch.setattr(metrics, "get_meter_provider", Meters)
    assert admin.get(f"{APPROVALS}?status=pending").status_code == 200
    assert admin.get(f"{APPROVALS}?limit=none").status_code == 422
    assert not asked


def test_readiness_tells_strangers_nothing_but_itself(server: Server, admin: httpx.Client) -> None:
    """Who has a key reads how each dependency stands."""
    with closing(server.client(None)) as stranger:
        assert stranger.get("/health").json() == {"status": "alive"}
        assert stranger.get("/ready").json() == {"ready": True}
        assert stranger.get("/ready", headers={"X-API-Key": "lai_x"}).status_code == 401
    names = [each["name"] for each in admin.get("/ready").json()["dependencies"]]
    assert names == ["database", "models", "index", "notifications"]


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_pages_load_nothing_from_elsewhere(server: Server, page: str) -> None:
    """Every file that they name is served here, under a policy that allows nothing else."""
    with closing(server.client(None)) as stranger:
        html = stranger.get(page)
        policy = html.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert not re.search(r"https?:|\*|unsafe-eval", policy)
        named = re.findall(r'(?:src|href)="([^"]+)"', html.text)
        assert named
        for name in named:
            assert name.startswith(("/docs/", "data:,"))
            assert name == "data:," or stranger.get(name).status_code == 200
        assert stranger.get("/docs/__init__.py").status_code == 404
