"""Slack and webhooks, against a real server that misbehaves as it is told."""

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import spoofs
from conftest import TurnableClock
from notify_home import notice, templates
from web_server import Site, certified, closed_port, site

from localai.core.errors import Invalid, Unavailable
from localai.core.escape import is_hidden
from localai.core.redact import redact
from localai.notify.post import Post, require_private, retry_after_s
from localai.notify.records import Failure, Message
from localai.notify.slack import Slack, blocks
from localai.notify.webhook import Webhook, signature

KEY = "a-long-webhook-key"


@pytest.fixture
def server() -> Iterator[Site]:
    with site() as made:
        yield made


def _message(event: str = "requested", **changes: Any) -> Message:
    return templates("en").strict("f00d" * 4, [notice(event, **changes)])


def _slack(server: Site, path: str = "/services/T0/B0/secretpart", **rest: Any) -> Slack:
    return Slack({"slack-webhook-url": server.url(path)}.get, "", Post(**rest))


def _bot(server: Site) -> Slack:
    find = {"slack-bot-token": "xoxb-0123456789-abcdef"}.get
    return Slack(find, "#approvals", Post(), server.url("/api/chat.postMessage"))


def _webhook(server: Site, clock: TurnableClock, **rest: Any) -> Webhook:
    return Webhook(server.url("/hook"), lambda: KEY, clock, Post(**rest))


def test_slacks_webhook_gets_blocks_in_which_nothing_is_interpreted(server: Site) -> None:
    """Plain text, no names called, no links unfolded."""
    server.says("/services/T0/B0/secretpart", b"ok")
    assert _slack(server).send(_message()) == "ok"
    (headers, body) = server.posted[0]
    told = json.loads(body)
    assert headers["content-type"].startswith("application/json")
    assert told["blocks"][0]["text"]["text"].startswith("[localai] write_file waits")
    assert {block["text"]["type"] for block in told["blocks"]} == {"plain_text"}
    assert not any(told[name] for name in ("link_names", "unfurl_links", "unfurl_media", "mrkdwn"))


@pytest.mark.parametrize("name", spoofs.ALL)
def test_no_spoof_calls_anybody_in_slack(name: str) -> None:
    """No mention, no link, no character that hides something."""
    spoof = spoofs.ALL[name]
    told = blocks(_message(tool=spoof, user_id=spoof, reason=spoof, arguments={"a": spoof}))
    texts = [told["text"], *(block["text"]["text"] for block in told["blocks"])]
    for text in texts:
        assert not {"<", ">"} & set(text)
        assert not any(is_hidden(char) for char in text if char != "\n")


def test_a_long_text_is_divided_into_blocks_that_slack_takes() -> None:
    """Three thousand characters at most, escaped; nothing is lost."""
    arguments = {f"argument{number}": "<&>" * 130 for number in range(20)}
    told = blocks(_message(arguments=arguments))
    sizes = [len(block["text"]["text"]) for block in told["blocks"]]
    assert max(sizes) <= 3000
    assert sum(text["text"]["text"].count("&lt;&amp;&gt;") for text in told["blocks"]) == 20 * 130


def test_slacks_bot_posts_to_its_channel_with_its_token(server: Site) -> None:
    """The token stands in a header alone."""
    server.says("/api/chat.postMessage", b'{"ok": true}')
    assert _bot(server).send(_message()) == "ok"
    headers, body = server.posted[0]
    assert headers["authorization"] == "Bearer xoxb-0123456789-abcdef"
    assert json.loads(body)["channel"] == "#approvals"


@pytest.mark.parametrize(
    ("said", "is_permanent"),
    [("channel_not_found", True), ("invalid_auth", True), ("internal_error", False)],
)
def test_slacks_api_refuses_with_status_200(server: Site, said: str, is_permanent: bool) -> None:
    """What it says counts, not the status."""
    server.says("/api/chat.postMessage", json.dumps({"ok": False, "error": said}).encode())
    with pytest.raises(Failure, match=said) as caught:
        _bot(server).send(_message())
    assert caught.value.is_permanent is is_permanent


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[" * 50_000, b'{"ok": 1}', b"\xff"])
def test_an_answer_that_is_not_slacks_is_a_failure(server: Site, body: bytes) -> None:
    """A proxy's page, say."""
    server.says("/api/chat.postMessage", body)
    with pytest.raises(Failure, match="Slack"):
        _bot(server).send(_message())


def test_slack_without_its_secret_says_which_is_missing() -> None:
    """It is tried again, as somebody may set it."""
    with pytest.raises(Unavailable, match="neither") as caught:
        Slack(lambda _: None, "", Post()).send(_message())
    assert caught.value.hint == "ai secrets set slack-webhook-url"


@pytest.mark.parametrize("path", ["/services/T0/B0/secretpart", "/services/%54/x"])
def test_the_address_of_slacks_webhook_stands_in_no_error(server: Site, path: str) -> None:
    """Whoever has it can post."""
    with pytest.raises(Failure) as caught:
        _slack(Site(port=closed_port()), path).send(_message())
    told = [caught.value.message, *caught.value.causes, str(caught.value.hint)]
    assert not any("services" in text for text in told)
    assert "secretpart" not in redact(_url(server, "/services/T0/B0/secretpart"))


def _url(server: Site, path: str) -> str:
    slack = _slack(server, path)
    server.says(path, b"ok")
    slack.send(_message())
    return server.url(path)


@pytest.mark.parametrize(
    ("status", "is_permanent"),
    [(400, True), (404, True), (408, False), (410, True), (429, False), (500, False), (503, False)],
)
def test_a_status_says_whether_a_refusal_is_for_good(
    server: Site, clock: TurnableClock, status: int, is_permanent: bool
) -> None:
    """What is busy or broken is tried again, what is wrong is not."""
    server.says("/hook", b"no \x1b[2J", status=status)
    with pytest.raises(Failure, match=str(status)) as caught:
        _webhook(server, clock).send(_message())
    assert caught.value.is_permanent is is_permanent
    assert "\x1b" not in caught.value.message


def test_a_server_that_is_called_too_often_says_when_it_can(
    server: Site, clock: TurnableClock
) -> None:
    """Seconds, as Slack gives them."""
    server.says("/hook", status=429, headers={"Retry-After": "120"})
    with pytest.raises(Failure) as caught:
        _webhook(server, clock).send(_message())
    assert caught.value.retry_after_s == 120


def test_retry_after_is_a_number_or_a_date_and_never_longer_than_a_day() -> None:
    """RFC 9110, and nonsense is nothing."""
    assert retry_after_s("7") == 7
    assert retry_after_s("Fri, 31 Dec 1999 23:59:59 GMT") == 0
    assert retry_after_s("Fri, 31 Dec 2199 23:59:59 GMT") == 86_400
    assert retry_after_s("9" * 400) == 86_400
    assert {retry_after_s(text) for text in ("", "soon", "-5", "1e9", "٣")} <= {None, 3.0}


def test_a_redirect_is_not_followed(server: Site, clock: TurnableClock) -> None:
    """What is told would go where nobody has sent it."""
    server.says("/hook", status=307, headers={"Location": server.url("/elsewhere")})
    with pytest.raises(Failure, match="307") as caught:
        _webhook(server, clock).send(_message())
    assert caught.value.is_permanent
    assert [path for path, _ in server.asked] == ["/hook"]


def test_a_server_that_hangs_is_left_and_may_have_read(server: Site, clock: TurnableClock) -> None:
    """The time is bounded in all, not from byte to byte."""

    def dribble(handler: BaseHTTPRequestHandler) -> None:
        import time

        while True:
            handler.wfile.write(b"HTTP/1.1 200 OK"[:1])
            handler.wfile.flush()
            time.sleep(0.01)

    server.answers["/hook"] = dribble
    with pytest.raises(Failure) as caught:
        _webhook(server, clock, longest_s=0.3).send(_message())
    assert caught.value.is_uncertain


def test_nobody_at_the_port_has_read_nothing(clock: TurnableClock) -> None:
    """So it is no duplicate that is sent later."""
    with pytest.raises(Failure, match="cannot be reached") as caught:
        _webhook(Site(port=closed_port()), clock).send(_message())
    assert not caught.value.is_uncertain


def test_a_huge_answer_is_read_no_further_than_needed(server: Site, clock: TurnableClock) -> None:
    """A hundred megabytes of thanks."""
    server.says("/hook", b"x" * 5_000_000)
    assert len(_webhook(server, clock).send(_message())) == 300


def test_a_webhook_is_signed_with_its_id_and_its_time(server: Site, clock: TurnableClock) -> None:
    """As Standard Webhooks has it: the receiver computes the same."""
    server.says("/hook", b"thanks")
    assert _webhook(server, clock).send(_message()) == "thanks"
    headers, body = server.posted[0]
    at, message_id = headers["webhook-timestamp"], headers["webhook-id"]
    assert (at, message_id) == ("1760000000", "f00d" * 4)
    signed = f"{message_id}.{at}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    assert told["type"] == "approval.requested"
    assert (told["data"]["tool_name"], told["data"]["risk"]) == ("write_file", "high")


def test_the_signature_is_that_of_the_standards_example() -> None:
    """From the reference libraries' own tests, whose key is base64."""
    body = b'{"test": 2432232314}'
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_key_that_looks_like_base64_and_is_none_is_refused() -> None:
    """It was cut when it was copied."""
    with pytest.raises(Invalid, match="no base64"):
        signature("whsec_abc$", "id", "0", b"")


def test_a_webhook_over_tls_is_sent_to_whom_is_vouched_for(
    tmp_path: Path, clock: TurnableClock
) -> None:
    """And to nobody else."""
    server_context, client_context = certified(tmp_path)
    with site(server_context) as server:
        server.says("/hook", b"ok")
        assert _webhook(server, clock, tls=client_context).send(_message()) == "ok"
        with pytest.raises(Failure):
            _webhook(server, clock, tls=ssl.create_default_context()).send(_message())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://localhost/x", "https://x.org/"])
def test_an_address_is_encrypted_or_of_this_machine(url: str) -> None:
    """A test server needs no certificate."""
    require_private(url, "it")


@pytest.mark.parametrize(
    "url", ["http://example.org/", "http://10.0.0.1/", "http://127.0.0.1.x.org"]
)
def test_an_address_that_others_could_overhear_is_refused(url: str) -> None:
    """What waits for an approval is nobody's business."""
    with pytest.raises(Invalid, match="could read it"):
        require_private(url, "notify.webhook.url")
