"""A real SMTP server on 127.0.0.1 that misbehaves as it is told; for tests."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from web_server import closed_port


@dataclass
class Mail:
    """A mail that was taken."""

    sender: str
    to: list[str]
    content: bytes
    user: str | None
    is_encrypted: bool

    @property
    def parsed(self) -> EmailMessage:
        """The mail with its parts."""
        found = message_from_bytes(self.content, policy=default)
        assert isinstance(found, EmailMessage)
        return found


@dataclass
class Post:
    """What the server has taken and how it behaves: an answer by stage (connect, rcpt, data)."""

    port: int = 0
    taken: list[Mail] = field(default_factory=list)
    tried: int = 0
    rcpt: Callable[[str], str] = lambda _: "250 OK"
    data: Callable[[int], str] = lambda _: "250 2.0.0 queued"
    breaks_at: str | None = None  # "mail", "data", or "answer": taken, but the answer is lost
    silent_at: str | None = None


class _Handler:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def handle_MAIL(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        self._post.tried += 1
        await self._misbehave("mail", server)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        said = self._post.rcpt(address)
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        await self._misbehave("data", server)
        said = self._post.data(self._post.tried)
        if said.startswith("250"):
            content = envelope.original_content or b""
            user = session.auth_data.decode() if session.auth_data else None
            is_encrypted = session.ssl is not None or isinstance(
                server.transport.get_extra_info("ssl_object"), ssl.SSLObject
            )
            sender = envelope.mail_from or ""
            mail = Mail(sender, list(envelope.rcpt_tos), content, user, is_encrypted)
            self._post.taken.append(mail)
        await self._misbehave("answer", server)
        return said

    async def _misbehave(self, stage: str, server: SMTP) -> None:
        if self._post.silent_at == stage:
            await asyncio.sleep(3600)
        if self._post.breaks_at == stage:
            server.transport.abort()
            await asyncio.sleep(3600)


class _Controller(Controller):
    def _trigger_server(self) -> None:
        # aiosmtpd connects to itself with the server's own TLS context, which is no client's.
        socket.create_connection((self.hostname, self.port), 5).close()


@contextmanager
def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    users: dict[str, str] | None = None,
    port: int = 0,
) -> Iterator[Post]:
    """A server for as long as it is needed: encrypted from the start, by STARTTLS, or not."""
    post = Post()

    def authenticate(*given: Any) -> AuthResult:
        login = given[-1]
        assert isinstance(login, LoginPassword)
        name = login.login.decode()
        is_right = (users or {}).get(name) == login.password.decode()
        return AuthResult(success=is_right, handled=False, auth_data=login.login)

    controller = _Controller(
        _Handler(post),
        hostname="127.0.0.1",
        port=port or closed_port(),
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        authenticator=authenticate if users else None,
        auth_required=users is not None and starttls is not None,
        auth_require_tls=starttls is not None,
        enable_SMTPUTF8=False,
    )
    controller.start()
    post.port = controller.port
    try:
        yield post
    finally:
        controller.stop()
