"""`ai notify`: told without being asked for, shown, tried again, never in the way."""

import threading
import time
from collections.abc import Callable

import pytest
from mail_server import Post, mail_server
from terminal import Ai
from web_server import closed_port


def _set_up(ai: Ai, port: int) -> None:
    text = (
        f'[notify]\nbatch = "0"\n[notify.smtp]\nhost = "127.0.0.1"\nport = {port}\n'
        'security = "none"\nto = "you@example.org"\n'
    )
    (ai.home / "config.toml").write_text(text, encoding="utf-8")


def _ask(ai: Ai) -> str:
    done = ai("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "x"}')
    assert done.code == 7
    return ai("approvals", "list", "-q").out.split()[0]


def _until(is_so: Callable[[], bool]) -> None:
    """Another process does it, in its own time."""
    give_up = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.mark.prove
def test_a_request_and_its_decision_are_mailed_by_nobody_in_particular(ai: Ai) -> None:
    """The commands end at once; a process that they leave behind sends, and ends."""
    with mail_server() as post:
        _set_up(ai, post.port)
        approval = _ask(ai)
        _until(lambda: len(post.taken) == 1)  # decided before, it would not be told at all
        assert ai("approve", approval, "-y").code == 0
        _until(lambda: len(post.taken) == 2)
        subjects = [str(mail.parsed["Subject"]) for mail in post.taken]
        _until(lambda: not ai("notify", "status", "--json").json["is_sending"])
    assert "waits for a decision" in subjects[0]
    assert "was approved by" in subjects[1]
    assert all(approval in subject for subject in subjects)
    listed = ai("notify", "list", "--json").json
    assert [item["status"] for item in listed["items"]] == ["sent", "sent"]


@pytest.mark.parametrize("channel", ["mail", "slack"])
def test_a_channel_is_tried_and_previewed(ai: Ai, channel: str) -> None:
    """A test tells the server's answer; a channel that is not set up has its own exit."""
    with mail_server() as post:
        _set_up(ai, post.port)
        if channel == "slack":
            assert ai("notify", "test", "--channel", "slack").code == 4
            return
        assert ai("notify", "test", "--channel", "mail").out == "sent by mail: 250 2.0.0 queued\n"
        shown = ai("notify", "preview", "requested", "--channel", "mail").out
        assert "To: you@example.org" in shown
        assert len(post.taken) == 1


@pytest.mark.prove
def test_what_cannot_be_sent_is_listed_and_retried(ai: Ai) -> None:
    """A dead letter is the operator's to see; the doctor says so."""
    post: Post
    with mail_server() as post:
        post.data = lambda _: "554 5.7.1 spam"
        _set_up(ai, post.port)
        _ask(ai)
        _until(lambda: ai("notify", "status", "--json").json["dead"] == 1)
        (dead,) = ai("notify", "list", "--status", "dead", "--json").json["items"]
        assert "554" in dead["error"]
        checks = {each["name"]: each for each in ai("doctor", "--json").json["checks"]}
        assert checks["notify"]["status"] == "warning"
        post.data = lambda _: "250 OK"
        assert ai("notify", "retry", "--all").code == 0
        assert ai("notify", "run", "--once").code == 0
        _until(lambda: len(post.taken) == 1)
    assert ai("notify", "retry").code == 2


@pytest.mark.prove
def test_a_server_that_is_away_is_no_hindrance(ai: Ai) -> None:
    """The decision is made, the mail waits."""
    _set_up(ai, closed_port())
    approval = _ask(ai)
    assert ai("approve", approval, "-y").code == 0
    status = ai("notify", "status", "--json").json
    assert status["waiting"] == 2
    with mail_server() as post:
        _set_up(ai, post.port)
        _until(lambda: ai("notify", "run", "--once").code == 0 and len(post.taken) >= 1)


@pytest.mark.prove
def test_a_service_that_is_stopped_ends_what_it_sends(ai: Ai) -> None:
    """SIGTERM in the middle of a mail: it is handed over, written down, and only then it ends."""
    reached, go_on = threading.Event(), threading.Event()

    def slowly(_: int) -> str:
        reached.set()
        go_on.wait(60)
        return "250 OK"

    with mail_server() as post:
        _set_up(ai, post.port)
        post.data = slowly
        service = ai.start("notify", "run")
        _ask(ai)
        assert reached.wait(60)
        _until(lambda: ai("notify", "status", "--json").json["is_sending"])
        service.terminate()
        go_on.set()
        service.communicate(timeout=60)
        assert len(post.taken) == 1
    assert [item["status"] for item in ai("notify", "list", "--json").json["items"]] == ["sent"]
