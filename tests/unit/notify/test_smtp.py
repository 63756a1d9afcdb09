"""Mail, against a real server that misbehaves as it is told."""

import socket
import ssl
from dataclasses import replace
from typing import Any

import pytest
import spoofs
from mail_server import Post, mail_server
from notify_home import notice, templates
from web_server import certified, closed_port

from localai.core.errors import Invalid
from localai.core.redact import redact
from localai.notify.records import Failure, Message
from localai.notify.smtp import Server, Smtp, addresses

PASSWORD = "correct-horse-7"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context and a client's that believes it."""
    return certified(tmp_path_factory.mktemp("certificates"))


def _smtp(post: Post, security: str = "none", **changes: Any) -> Smtp:
    rest = {name: changes.pop(name) for name in ("tls", "longest_s") if name in changes}
    server = Server(
        "127.0.0.1", post.port, security, "", "localai@example.org", ["you@example.org"]
    )
    return Smtp(replace(server, **changes), lambda: PASSWORD, **rest)


def _message(event: str = "requested", language: str = "en", **changes: Any) -> Message:
    return templates(language).strict("f00d" * 4, [notice(event, **changes)])


def test_a_mail_has_text_and_html_and_an_id_of_its_own() -> None:
    """Every reader finds a part to show, and a duplicate has the same id."""
    with mail_server() as post:
        assert _smtp(post).send(_message(language="ko")) == "250 2.0.0 queued"
        _smtp(post).send(_message(language="ko"))
    first, second = (mail.parsed for mail in post.taken)
    assert "실행이 결정을 기다립니다" in first["Subject"]
    assert first["Message-ID"] == second["Message-ID"] == "<f00df00df00df00d@example.org>"
    assert first["Auto-Submitted"] == "auto-generated"
    kinds = [part.get_content_type() for part in first.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    plain = first.get_body(("plain",))
    assert plain is not None
    assert "ai approve 0000000000000000" in plain.get_content()


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_mail_travels_encrypted_and_with_a_password(
    security: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """From the start, or from STARTTLS on."""
    server, client = tls
    kind: Any = {"tls": server} if security == "tls" else {"starttls": server}
    with mail_server(**kind, users={"sumin": PASSWORD}) as post:
        _smtp(post, security, tls=client, username="sumin").send(_message())
    assert [(mail.user, mail.is_encrypted) for mail in post.taken] == [("sumin", True)]


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_nobody_vouches_for_gets_nothing(
    security: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """Neither a mail nor a password; it may be mended, so it is tried again."""
    server, _ = tls
    kind: Any = {"tls": server} if security == "tls" else {"starttls": server}
    with (
        mail_server(**kind, users={"sumin": PASSWORD}) as post,
        pytest.raises(Failure, match="not to be trusted") as caught,
    ):
        _smtp(post, security, username="sumin").send(_message())
    assert (post.taken, caught.value.is_permanent) == ([], False)


def test_starttls_that_is_not_offered_is_not_done_without() -> None:
    """Somebody on the way may have taken the offer out."""
    with mail_server() as post, pytest.raises(Failure, match="offers no STARTTLS"):
        _smtp(post, "starttls").send(_message())
    assert post.tried == 0


def test_a_wrong_password_is_permanent_and_stands_in_no_error(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """Trying again would lock the account; a server that repeats it is not believed."""
    server, client = tls
    with mail_server(starttls=server, users={"sumin": "another"}) as post:
        smtp = _smtp(post, "starttls", tls=client, username="sumin")
        with pytest.raises(Failure, match="535") as caught:
            smtp.send(_message())
    assert caught.value.is_permanent
    assert PASSWORD not in str(caught.value.__context__)
    assert redact("AHN1bWluAGNvcnJlY3QtaG9yc2UtNw==") == "[redacted]"


def test_a_password_never_travels_in_the_clear() -> None:
    """Unless the server is this very machine."""
    server = Server("mail.example.org", 25, "none", "sumin", "a@example.org", ["b@example.org"])
    with pytest.raises(Invalid, match="unencrypted"):
        Smtp(server, lambda: PASSWORD)


@pytest.mark.parametrize(("code", "is_permanent"), [("451 try later", False), ("550 no", True)])
@pytest.mark.parametrize("stage", ["rcpt", "data"])
def test_a_refusal_says_whether_it_is_for_good(code: str, is_permanent: bool, stage: str) -> None:
    """Greylisting is 4xx and passes, 5xx does not."""
    with mail_server() as post:
        setattr(post, stage, lambda _: code)
        with pytest.raises(Failure, match=code) as caught:
            _smtp(post).send(_message())
    assert (caught.value.is_permanent, caught.value.is_uncertain) == (is_permanent, False)


def test_one_refused_address_does_not_keep_the_others_from_their_mail() -> None:
    """And the answer names it."""
    with mail_server() as post:
        post.rcpt = lambda name: "550 who?" if name.startswith("gone") else "250 OK"
        smtp = _smtp(post, to=["gone@example.org", "you@example.org"])
        assert smtp.send(_message()) == "250 2.0.0 queued; refused: gone@example.org"
    assert post.taken[0].to == ["you@example.org"]


@pytest.mark.parametrize(
    ("stage", "is_uncertain", "taken"), [("mail", False, 0), ("data", True, 0), ("answer", True, 1)]
)
@pytest.mark.parametrize("how", ["breaks_at", "silent_at"])
def test_a_server_that_dies_or_falls_silent_in_mid_dialogue(
    how: str, stage: str, is_uncertain: bool, taken: int
) -> None:
    """Once the text is on its way, only an answer tells whether it was taken."""
    with mail_server() as post:
        setattr(post, how, stage)
        with pytest.raises(Failure) as caught:
            _smtp(post, longest_s=0.5).send(_message())
        assert (caught.value.is_uncertain, caught.value.is_permanent) == (is_uncertain, False)
        assert len(post.taken) == taken


def test_nobody_at_the_port_is_a_failure_that_passes() -> None:
    """The server may be starting."""
    with pytest.raises(Failure, match="cannot be reached") as caught:
        _smtp(Post(port=closed_port())).send(_message())
    assert not caught.value.is_permanent


def test_a_server_that_does_not_stop_talking_is_hung_up_on() -> None:
    """Its greeting has no end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        import threading

        def talk() -> None:
            line, _ = listening.accept()
            with line:
                try:
                    while True:
                        line.sendall(b"220-hello\r\n" * 1000)
                except OSError:
                    return

        talking = threading.Thread(target=talk)
        talking.start()
        with pytest.raises(Failure, match="broke off"):
            _smtp(Post(port=listening.getsockname()[1])).send(_message())
        talking.join()


@pytest.mark.parametrize("name", spoofs.ALL)
def test_no_spoof_adds_a_header_or_a_line_of_smtp(name: str) -> None:
    """Neither through the tool nor the user; the subject stays one line."""
    spoof = spoofs.ALL[name]
    message = _message(tool=spoof, user_id=spoof, reason=spoof, cwd=spoof)
    server = Server("127.0.0.1", 1, "none", "", "localai@example.org", ["you@example.org"])
    mail = Smtp(server, lambda: "").mail(message)
    plain = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"}
    assert set(mail.keys()) == {*plain, "Content-Type"}
    assert "\n" not in mail["Subject"]
    assert mail["To"] == "you@example.org"


def test_a_header_in_a_tools_name_is_text() -> None:
    """CR and LF are spelled out before they reach a header."""
    with mail_server() as post:
        _smtp(post).send(_message(tool="x\r\nBcc: victim@example.org\r\n\r\nhello\r\n.\r\n"))
    (mail,) = post.taken
    assert mail.to == ["you@example.org"]
    assert mail.parsed["Bcc"] is None


def test_escalations_go_to_others() -> None:
    """To the second address, if there is one."""
    server = Server("127.0.0.1", 1, "none", "", "a@example.org", ["b@example.org"], ["boss@x.org"])
    smtp = Smtp(server, lambda: "")
    assert smtp.mail(_message("escalated"))["To"] == "boss@x.org"
    assert smtp.mail(_message("requested"))["To"] == "b@example.org"
    alone = Smtp(replace(server, escalated_to=()), lambda: "")
    assert alone.mail(_message("escalated"))["To"] == "b@example.org"


def test_addresses_stand_between_commas() -> None:
    """As many as are wanted."""
    assert addresses("a@x.org, b@y.org,", "notify.smtp.to") == ("a@x.org", "b@y.org")
    assert addresses("", "notify.smtp.to") == ()


@pytest.mark.parametrize(
    "text",
    ["kim", "a@b@c", "a@x.org\nBcc: b@y.org", "Kim <a@x.org>", "a@х.org", "@x.org", "a b@c.d"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(Invalid, match="no address"):
        addresses(text, "notify.smtp.to")
