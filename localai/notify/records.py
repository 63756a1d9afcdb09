"""What this room tells and is told: notices, messages, failures, and how things stand."""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from typing import Any, Protocol

from localai.core.errors import Unavailable


@dataclass(frozen=True)
class Notice:
    """One event for one channel, and what became of it; times are RFC 3339 in UTC."""

    id: str
    event: str
    channel: str
    approval: str
    tool_name: str
    risk: str
    status: str
    attempts: int
    created_at: str
    due_at: str | None
    sent_at: str | None
    error: str | None
    facts: InitVar[Mapping[str, Any]]

    def __post_init__(self, facts: Mapping[str, Any]) -> None:
        """Keep these beside the record: messages are made of them."""
        object.__setattr__(self, "_facts", facts)

    @property
    def is_over(self) -> bool:
        """Whether nobody need do anything: it was approved, or the alert is resolved."""
        return self.event == "approved" or self.told.get("status") == "resolved"

    @property
    def told(self) -> Mapping[str, Any]:
        """What is known about the request, redacted."""
        return self._facts  # type: ignore[attr-defined,no-any-return]


@dataclass(frozen=True)
class Message:
    """What a channel sends: `id` stays the same however often it is tried.

    `event` is that of its one notice, or `digest`. No text in it has a character that a
    terminal would obey or hide.
    """

    id: str
    event: str
    subject: str
    text: str
    html: str
    notices: Sequence[Notice]

    @property
    def is_urgent(self) -> bool:
        """Whether somebody waits for an answer to what is critical."""
        return any(each.risk == "critical" and not each.is_over for each in self.notices)


class Failure(Unavailable):
    """A message was not taken.

    Nobody will ever take it if `is_permanent`; it may have been taken if `is_uncertain`. The
    server wants to hear nothing for `retry_after_s` seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        is_permanent: bool = False,
        is_uncertain: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.is_permanent = is_permanent
        self.is_uncertain = is_uncertain
        self.retry_after_s = retry_after_s


class Channel(Protocol):
    """A way to people. `gathers` if it sends several notices as one digest."""

    gathers: bool

    def send(self, message: Message) -> str:
        """Send it and tell what the server said; Failure where that did not work."""

    def draft(self, message: Message) -> str:
        """What would be sent, as text."""


@dataclass(frozen=True)
class Sent:
    """A message that was handed over, and what the other side said."""

    channel: str
    subject: str
    answer: str


@dataclass(frozen=True)
class ChannelStatus:
    """One channel: where it leads, what is missing, what waits, what could not be sent."""

    name: str
    to: str
    problem: str | None
    waiting: int
    dead: int
    last_sent_at: str | None
    last_error: str | None


@dataclass(frozen=True)
class Status:
    """How notifications stand; `is_sending` if some process here is at it."""

    enabled: bool
    is_sending: bool
    waiting: int
    dead: int
    oldest_waiting_at: str | None
    channels: Sequence[ChannelStatus]


@dataclass(frozen=True)
class Preview:
    """What would be sent on a channel for an event."""

    channel: str
    event: str
    subject: str
    text: str
    html: str
    sent_as: str


@dataclass(frozen=True)
class Pass:
    """What one look at the outbox did: how many messages were sent, and what failed."""

    sent: int
    failed: Sequence[str] = ()

    def __add__(self, other: "Pass") -> "Pass":
        return Pass(self.sent + other.sent, (*self.failed, *other.failed))
