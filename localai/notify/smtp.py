"""Mail: one dialogue with the operator's server, encrypted, authenticated, bounded in time.

What the server refuses for a while (4xx) is tried again, what it refuses for good (5xx) is not.
A line that breaks before the text is handed over has sent nothing; one that breaks after may
have, so the message keeps its id.
"""

import base64
import contextlib
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from threading import Timer
from typing import Any, Final

from localai.core.errors import Invalid
from localai.core.escape import visible
from localai.core.redact import remember
from localai.notify.post import is_loopback
from localai.notify.records import Failure, Message

PORTS: Final = {"none": 25, "starttls": 587, "tls": 465}
_SILENCE_S: Final = 20.0
_LONGEST_S: Final = 60.0
_MOST_REPLIES: Final = 65_536
_MOST_SAID: Final = 300
_PERMANENT: Final = 500
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Server:
    """Where mail is handed over, and from whom to whom."""

    host: str
    port: int
    security: str
    username: str
    sender: str
    to: Sequence[str]
    escalated_to: Sequence[str] = ()


class Smtp:
    """Sends mail; `password` is asked for when it is needed, `tls` is whom to believe."""

    gathers = True

    def __init__(
        self,
        server: Server,
        password: Callable[[], str],
        *,
        tls: ssl.SSLContext | None = None,
        longest_s: float = _LONGEST_S,
    ) -> None:
        if server.security == "none" and server.username and not is_loopback(server.host):
            message = "the password would go to the mail server unencrypted"
            raise Invalid(message, hint="ai config set notify.smtp.security starttls")
        self._server = server
        self._password = password
        self._tls = tls
        self._longest_s = longest_s

    def send(self, message: Message) -> str:
        """Hand it over and tell what the server said."""
        to = self._to(message)
        mail = self.mail(message).as_bytes()
        with _translated(), self._dialogue() as smtp:
            _expect(smtp.mail(self._server.sender, _options(smtp)))
            refused = [each for each in to if not _is_taken(smtp, each, is_only=len(to) == 1)]
            if len(refused) == len(to):
                raise Failure("the server refused every address", is_permanent=True)
            answer = _handed_over(smtp, mail)
        return f"{answer}; refused: {', '.join(refused)}" if refused else answer

    def draft(self, message: Message) -> str:
        """Head, text and HTML of the mail, not encoded as they would travel."""
        head = "\n".join(f"{name}: {value}" for name, value in self.mail(message).items())
        return f"{head}\n\n{message.text}\n{message.html}"

    def mail(self, message: Message) -> EmailMessage:
        """The mail: text and HTML; its id is that of the message, however often it is sent."""
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._server.sender
        mail["To"] = ", ".join(self._to(message))
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{message.id}@{self._server.sender.partition('@')[2]}>"
        # Nobody's holiday greeting shall answer: https://www.rfc-editor.org/rfc/rfc3834
        mail["Auto-Submitted"] = "auto-generated"
        if message.is_urgent:
            mail["X-Priority"] = "1"
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        return mail

    def _to(self, message: Message) -> Sequence[str]:
        is_late = all(each.event == "escalated" for each in message.notices)
        return self._server.escalated_to or self._server.to if is_late else self._server.to

    @contextlib.contextmanager
    def _dialogue(self) -> Iterator["_Dialogue"]:
        server, tls = self._server, self._tls or ssl.create_default_context()
        smtp = _Dialogue(tls if server.security == "tls" else None, _SILENCE_S)
        end = Timer(self._longest_s, smtp.hang_up)
        end.daemon = True
        end.start()
        try:
            _expect(smtp.connect(server.host, server.port))
            if server.security == "starttls":
                smtp.secure(tls)
            smtp.ehlo_or_helo_if_needed()
            if server.username:
                self._log_in(smtp)
            yield smtp
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()
        finally:
            end.cancel()
            smtp.close()

    def _log_in(self, smtp: "_Dialogue") -> None:
        password = self._password()
        for said in (password, f"\0{self._server.username}\0{password}"):
            remember(base64.b64encode(said.encode()).decode())  # as a server could repeat it
        smtp.login(self._server.username, password)


class _Dialogue(smtplib.SMTP):
    """An SMTP connection that can be hung up from another thread; replies are bounded."""

    def __init__(self, tls: ssl.SSLContext | None, timeout_s: float) -> None:
        self._implicit = tls
        # Else the name of this machine is looked up, which may take long and concerns nobody.
        super().__init__(timeout=timeout_s, local_hostname="[127.0.0.1]")

    def secure(self, tls: ssl.SSLContext) -> None:
        """Go on encrypted; what was said before counts for nothing."""
        self.ehlo_or_helo_if_needed()
        if not self.has_extn("starttls"):
            raise smtplib.SMTPNotSupportedError("it offers no STARTTLS")
        _expect(self.docmd("STARTTLS"))
        self._wrap(tls)
        self.file, self.ehlo_resp, self.helo_resp = None, None, None
        self.esmtp_features, self.does_esmtp = {}, False

    def connect(self, host: str = "", port: int = 0, *_: Any) -> tuple[int, bytes]:
        """Connect; the name is what a certificate must be of."""
        self._host = host
        return super().connect(host, port)

    def getreply(self) -> tuple[int, bytes]:
        """A reply of the server; no more of them than anybody needs."""
        if self.file is None and self.sock is not None:
            self.file = _Bounded(self.sock.makefile("rb"))
        return super().getreply()

    def hang_up(self) -> None:
        """End the connection, whatever waits for it."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self.sock = socket.create_connection((host, port), timeout)
        if self._implicit:
            self._wrap(self._implicit)
        return self.sock

    def _wrap(self, tls: ssl.SSLContext) -> None:
        plain: Any = self.sock
        # The handshake begins once `hang_up` can end it.
        self.sock = made = tls.wrap_socket(
            plain, server_hostname=self._host, do_handshake_on_connect=False
        )
        made.do_handshake()


class _Bounded:
    """What a server says, line by line, up to a bound."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = _MOST_REPLIES

    def readline(self, most: int) -> bytes:
        line: bytes = self._file.readline(most)
        self._left -= len(line)
        if self._left < 0:
            raise smtplib.SMTPServerDisconnected("the server does not stop talking")
        return line

    def close(self) -> None:
        self._file.close()


def addresses(text: str, where: str) -> tuple[str, ...]:
    """The addresses between commas; Invalid where one is none."""
    found = tuple(each.strip() for each in text.split(",") if each.strip())
    for each in found:
        if not _ADDRESS.fullmatch(each):
            message = f"{visible(each)} of {where} is no address"
            raise Invalid(message, hint=f"ai config set {where} you@example.org")
    return found


def _options(smtp: smtplib.SMTP) -> list[str]:
    return ["BODY=8BITMIME"] if smtp.does_esmtp and smtp.has_extn("8bitmime") else []


def _is_taken(smtp: smtplib.SMTP, address: str, *, is_only: bool) -> bool:
    """Name one who gets it; refused for good, the others get it all the same."""
    reply = smtp.rcpt(address)
    if is_only or not reply[0] >= _PERMANENT:
        _expect(reply)
    return reply[0] < _PERMANENT


def _handed_over(smtp: smtplib.SMTP, mail: bytes) -> str:
    """Send the text; once it is on its way, only an answer tells whether it was taken."""
    try:
        code, said = smtp.data(mail)
    except smtplib.SMTPDataError:
        raise
    except (smtplib.SMTPException, OSError) as error:
        message = "the connection broke while the mail was handed over"
        raise Failure(message, is_uncertain=True) from error
    return _expect((code, said))


def _expect(reply: tuple[int, bytes]) -> str:
    code, said = reply
    text = _said(said)
    if not 200 <= code < 400:  # noqa: PLR2004 - as SMTP has it
        raise _refusal(code, text)
    return f"{code} {text}"


def _refusal(code: int, text: str) -> Failure:
    return Failure(f"the mail server answered {code} {text}", is_permanent=code >= _PERMANENT)


def _said(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return visible(" ".join(text.split()))[:_MOST_SAID]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, _said(error.smtp_error)) from None
    except smtplib.SMTPNotSupportedError as error:
        message = f"the mail server cannot do what is set: {error}"
        raise Failure(message, hint="ai config set notify.smtp.security tls") from error
    except ssl.SSLCertVerificationError as error:
        message = f"the mail server's certificate is not to be trusted: {error.verify_message}"
        raise Failure(message, hint="check notify.smtp.host, or the clock") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Failure("the mail server cannot be reached, or broke off") from error
    except UnicodeError as error:
        raise Failure("the mail server's name is no name", is_permanent=True) from error
