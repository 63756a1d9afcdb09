"""Which channels the settings set up, and what is wrong with them."""

import sys
from typing import Any

import pytest
from conftest import TurnableClock
from notify_home import notice, templates
from web_server import site

from localai.core.directories import Directories
from localai.core.errors import Invalid, NotFound, Unavailable
from localai.core.secrets import Secrets
from localai.core.settings import Settings
from localai.notify.apprise_urls import Apprise
from localai.notify.channels import Channels
from localai.notify.plan import configured
from localai.notify.records import Failure
from localai.notify.smtp import Smtp

# One of Apprise's plugins imports what Python 3.13 has left out.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")

MAIL = {"notify.smtp.host": "mail.example.org", "notify.smtp.to": "you@example.org"}
ALL = {
    **MAIL,
    "notify.slack.enabled": "true",
    "notify.webhook.url": "https://example.org/hook",
    "notify.terminal": "true",
    "notify.apprise.enabled": "true",
}


def _settings(home: Directories, flags: dict[str, str]) -> Settings:
    return Settings(home.config_file, flags=flags, environment={})


def _channels(home: Directories, flags: dict[str, str], **secrets: str) -> Channels:
    variables = {f"LOCALAI_SECRET_{name.upper()}": value for name, value in secrets.items()}
    return Channels(_settings(home, flags), Secrets(home, variables), TurnableClock())


def test_a_channel_is_set_up_by_its_first_setting(home: Directories) -> None:
    """And none where notifications are switched off."""
    assert configured(_settings(home, {})) == ()
    assert configured(_settings(home, MAIL)) == ("mail",)
    assert configured(_settings(home, ALL)) == ("mail", "slack", "webhook", "terminal", "apprise")
    assert configured(_settings(home, {**ALL, "notify.enabled": "false"})) == ()


@pytest.mark.parametrize("name", ["mail", "fax", "\x1b[2J"])
def test_a_channel_that_is_not_there_is_named(home: Directories, name: str) -> None:
    """With what to type."""
    with pytest.raises(NotFound) as caught:
        _channels(home, {})[name]
    assert caught.value.hint
    assert "\x1b" not in caught.value.message


def test_every_channel_can_be_built_and_is_built_once(home: Directories) -> None:
    """Without a secret: those are asked for when something is sent."""
    channels = _channels(home, ALL)
    assert all(channels[name] is channels[name] for name in configured(_settings(home, ALL)))


@pytest.mark.parametrize(
    ("security", "port", "expected"),
    [("none", "", 25), ("starttls", "", 587), ("tls", "", 465), ("tls", "2465", 2465)],
)
def test_the_port_follows_from_the_encryption(
    home: Directories, security: str, port: str, expected: int
) -> None:
    """Unless it is set."""
    rest = {"notify.smtp.security": security, **({"notify.smtp.port": port} if port else {})}
    channel = _channels(home, {**MAIL, **rest})["mail"]
    assert isinstance(channel, Smtp)
    assert channel._server.port == expected


@pytest.mark.parametrize(
    ("changes", "secrets", "problem"),
    [
        ({"notify.smtp.to": ""}, {}, "nobody gets mail"),
        ({"notify.smtp.to": "kim"}, {}, "kim of notify.smtp.to is no address"),
        ({"notify.smtp.username": "kim@example.org"}, {}, "the secret smtp-password is not set"),
        (
            {"notify.smtp.username": "kim@example.org"},
            {"smtp_password": "x"},
            None,
        ),
        ({}, {}, None),
    ],
)
def test_what_keeps_mail_from_being_sent_is_told(
    home: Directories, changes: dict[str, str], secrets: dict[str, str], problem: str | None
) -> None:
    """Before anything has to be."""
    assert _channels(home, {**MAIL, **changes}, **secrets).problem("mail") == problem


def test_missing_secrets_are_named(home: Directories) -> None:
    """Of each channel that needs one."""
    channels = _channels(home, ALL)
    assert channels.problem("slack") == "the secret slack-webhook-url or slack-bot-token is not set"
    assert channels.problem("webhook") == "the secret webhook-key is not set"
    assert channels.problem("apprise") == "the secret apprise-urls is not set"
    assert channels.problem("terminal") is None
    assert _channels(home, ALL, slack_bot_token="xoxb-1").problem("slack") is None


def test_a_webhook_that_could_be_overheard_is_a_problem(home: Directories) -> None:
    """Its address must be encrypted."""
    channels = _channels(home, {"notify.webhook.url": "http://example.org/"}, webhook_key="k")
    assert "could read it" in (channels.problem("webhook") or "")


def test_apprise_that_is_not_installed_says_how_it_is(
    home: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.delitem(sys.modules, "localai.notify.apprise_urls")
    with pytest.raises(Unavailable, match="not installed") as caught:
        _channels(home, ALL)["apprise"]
    assert caught.value.hint == "pip install 'localai-suite[apprise]'"


def _message() -> Any:
    return templates("en").strict("0" * 16, [notice()])


def test_apprise_sends_to_every_url() -> None:
    """Title and text, as plain text."""
    with site() as server:
        server.says("/one")
        server.says("/two")
        urls = " ".join(f"json://127.0.0.1:{server.port}/{name}" for name in ("one", "two"))
        assert Apprise(lambda: urls).send(_message()) == "taken by 2"
        bodies = [body.decode() for _, body in server.posted]
    assert all("write_file waits for a decision" in body for body in bodies)


def test_a_service_that_does_not_take_it_is_a_failure_without_its_url(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And Apprise says nothing past us."""
    with site() as server:
        server.says("/secret-path", status=500)
        url = f"json://127.0.0.1:{server.port}/secret-path"
        with pytest.raises(Failure, match="Apprise") as caught:
            Apprise(lambda: url).send(_message())
    assert "secret-path" not in caught.value.message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("urls", ["", "nonsense://x", "hello"])
def test_urls_that_apprise_does_not_know_are_refused(urls: str) -> None:
    """Without showing them."""
    with pytest.raises(Invalid, match="apprise-urls"):
        Apprise(lambda: urls).send(_message())


def test_a_service_that_never_ends_is_left_behind() -> None:
    """After a time; it may have sent."""
    import threading

    over = threading.Event()
    with site() as server:
        server.answers["/slow"] = lambda _: over.wait(20) and None
        apprise = Apprise(lambda: f"json://127.0.0.1:{server.port}/slow", longest_s=0.2)
        with pytest.raises(Failure, match="did not end") as caught:
            apprise.send(_message())
        over.set()
    assert caught.value.is_uncertain
