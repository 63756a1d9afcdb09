"""Alerts over HTTP, and from the real Alertmanager to a real mail server."""

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import api_server
import httpx
import pytest
import yaml
from api_server import Server
from mail_server import Post, mail_server
from monitoring import DASHBOARDS, alertmanager

from localai.api import examples

PATH = "/api/v1/alerts"
TOLD = DASHBOARDS / "alertmanager" / "alertmanager.yml"
_PATIENCE_S = 30


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Server, Post]]:
    """A home whose mail goes to a server of this test."""
    with mail_server() as post:
        settings = {
            "notify__smtp__host": "127.0.0.1",
            "notify__smtp__port": str(post.port),
            "notify__smtp__security": "none",
            "notify__smtp__to": "operator@example.org",
            "notify__batch": "0",
        }
        with api_server.serving(folder, **settings) as served:
            yield served, post


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Post]]:
    with serving(tmp_path_factory.mktemp("alerts")) as made, made[0].telling_nobody():
        yield made


@pytest.fixture
def prometheus(served: tuple[Server, Post]) -> Iterator[httpx.Client]:
    """Somebody with a key for this alone, sent as Alertmanager sends it."""
    app = served[0].app
    made = app.api_keys.create(app.actor, "operator", lifetime_s=3600, permissions=["notify:write"])
    headers = {"Authorization": f"Bearer {made.key}"}
    with httpx.Client(base_url=served[0].url, headers=headers, trust_env=False) as client:
        yield client


def _queued(served: tuple[Server, Post]) -> int:
    return served[0].app.notify.list(served[0].app.actor, event="alert", limit=1).total


def test_an_alert_is_stored_before_it_is_answered(
    served: tuple[Server, Post], prometheus: httpx.Client
) -> None:
    """And said again it is answered alike and stored no second time."""
    before = _queued(served)
    answers = [prometheus.post(PATH, json=examples.ALERTS) for _ in range(3)]
    assert [each.status_code for each in answers] == [200] * 3
    assert [each.json()["channels"] for each in answers] == [["mail"], [], []]
    assert _queued(served) == before + 1
    over = prometheus.post(PATH, json=examples.RESOLVED).json()
    assert (over["status"], over["channels"], over["risk"]) == ("resolved", ["mail"], "medium")
    assert _queued(served) == before + 2


def test_many_who_say_the_same_at_once_are_told_once(
    served: tuple[Server, Post], prometheus: httpx.Client
) -> None:
    """Alertmanagers that watch together send each alert more than once."""
    body = examples.ALERTS | {"groupKey": "at once"}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: prometheus.post(PATH, json=body).json(), range(24)))
    assert sum(len(each["channels"]) for each in found) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": "3"},
        {"status": "perhaps"},
        {"alerts": []},
        {"alerts": [{"status": "firing"}]},
        {"alerts": [examples.ALERTS["alerts"][0]] * 2_001},
        {"groupKey": ""},
        {"commonLabels": {"a": 1}},
        {"commonLabels": dict.fromkeys(map(str, range(257)), "")},
        {"truncatedAlerts": -1},
    ],
)
def test_what_alertmanager_would_not_send_is_refused(
    served: tuple[Server, Post], prometheus: httpx.Client, wrong: dict[str, Any]
) -> None:
    """With what is wrong with it, and nothing is stored."""
    before = _queued(served)
    answer = prometheus.post(PATH, json=examples.ALERTS | wrong)
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.json()["detail"]
    assert _queued(served) == before


def test_what_a_newer_version_adds_is_passed_over(prometheus: httpx.Client) -> None:
    """In the group and in its alerts."""
    alert = examples.ALERTS["alerts"][0] | {"colour": "red"}
    body = examples.ALERTS | {
        "groupKey": "newer",
        "notificationReason": {"a": 1},
        "alerts": [alert],
    }
    assert prometheus.post(PATH, json=body).status_code == 200


def test_where_no_channel_is_set_up_the_sender_comes_again(tmp_path: Path) -> None:
    """Nothing is lost by an answer that says it was taken."""
    with api_server.serving(tmp_path) as served, served.client("admin") as client:
        answer = client.post(PATH, json=examples.ALERTS)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "no channel" in answer.json()["detail"]


def _receiver() -> list[dict[str, Any]]:
    """The receiver that stands commented out in what an operator loads."""
    text = TOLD.read_text(encoding="utf-8")
    lines = text[text.index("  # - name: localai") :].splitlines()
    found = yaml.safe_load("\n".join(line.replace("# ", "", 1) for line in lines))
    assert isinstance(found, list)
    return found


def _config(folder: Path, served: Server) -> Path:
    """Alertmanager's file with that receiver, for this server and its key."""
    key = served.app.api_keys.create(
        served.app.actor, "operator", lifetime_s=3600, permissions=["notify:write"]
    )
    (folder / "key").write_text(key.key)
    (receiver,) = _receiver()
    (hook,) = receiver["webhook_configs"]
    hook["url"] = f"{served.url}{PATH}"
    hook["http_config"]["authorization"]["credentials_file"] = str(folder / "key")
    soon = {"group_wait": "1ms", "group_interval": "1s", "repeat_interval": "1s"}
    route = {"receiver": "localai", "group_by": ["alertname"], **soon}
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump({"route": route, "receivers": [receiver]}))
    return file


def test_the_receiver_that_operators_uncomment_is_this_door() -> None:
    """Its address is that of `ai serve`, and it brings a key."""
    (receiver,) = _receiver()
    (hook,) = receiver["webhook_configs"]
    assert hook["url"] == f"http://127.0.0.1:8020{PATH}"
    assert hook["send_resolved"] is True
    assert hook["http_config"]["authorization"] == {"credentials_file": "secrets/localai-key"}


@pytest.mark.prove
def test_alertmanager_reads_its_file_with_the_receiver_in_it(tmp_path: Path) -> None:
    """As somebody who has taken out the signs of comment would load it."""
    text = TOLD.read_text(encoding="utf-8")
    at = text.index("  # - name: localai")
    file = tmp_path / "alertmanager.yml"
    file.write_text(text[:at] + text[at:].replace("  # ", "  "))
    command = ["amtool", "check-config", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "3 receivers" in said


@pytest.mark.prove
def test_an_alert_of_the_real_alertmanager_arrives_by_mail(tmp_path: Path) -> None:
    """Once however often it repeats it, then that it is over."""
    with ExitStack() as held:
        served, post = held.enter_context(serving(tmp_path))
        served.app.send_in_background()
        config = _config(tmp_path, served)
        manager = held.enter_context(alertmanager(config, tmp_path))
        labels = {"alertname": "DiskNearlyFull", "severity": "warning"}
        notes = {"summary": "The disk of a\u202eb is full", "description": "<b>8 %</b> are left."}
        alert = {"labels": labels, "annotations": notes}
        assert httpx.post(f"{manager}/api/v2/alerts", json=[alert]).status_code == 200
        _until(lambda: len(post.taken) >= 1)
        told = post.taken[0].parsed
        assert told["subject"].startswith("[localai] Alert: DiskNearlyFull, severity medium")
        text = told.get_body(("plain",)).get_content()
        assert "\u202e" not in text
        assert "8 %" in text
        assert _sent(manager) >= 1
        _until(lambda: _sent(manager) >= 3)  # it repeats what it has said
        ended = alert | {"endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        httpx.post(f"{manager}/api/v2/alerts", json=[ended]).raise_for_status()
        _until(lambda: len(post.taken) >= 2)
        assert post.taken[1].parsed["subject"].startswith("[localai] Resolved: DiskNearlyFull")
        assert len(post.taken) == 2


def _sent(manager: str) -> int:
    """How many times Alertmanager has called a webhook."""
    found = httpx.get(f"{manager}/metrics").text
    (line,) = (
        each
        for each in found.splitlines()
        if each.startswith("alertmanager_notifications_total") and 'integration="webhook"' in each
    )
    return int(float(line.split()[-1]))


def _until(is_so: Any) -> None:
    """Return when it is so; AssertionError where it takes too long."""
    end, waiting = time.monotonic() + _PATIENCE_S, threading.Event()
    while not is_so():
        assert time.monotonic() < end
        waiting.wait(0.1)
