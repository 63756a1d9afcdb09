"""Notifications of one home: sent, shown, tried, retried."""

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, Final

from localai.core.clock import rfc3339
from localai.core.db import Database, after_commit
from localai.core.errors import Invalid, NotFound
from localai.core.ids import check_prefix, new_id, only
from localai.core.records import Page
from localai.notify import routes, rows, sample
from localai.notify.channels import Channels
from localai.notify.drain import Drain
from localai.notify.events import ALERT, DIGEST, EVENTS
from localai.notify.message import Templates
from localai.notify.outbox import Outbox
from localai.notify.plan import Plan
from localai.notify.records import ChannelStatus, Message, Notice, Pass, Preview, Sent, Status
from localai.rbac.permissions import Actor

STATES: Final = ("queued", "leased", "sent", "dead")
_JOIN_S: Final = 5.0


class Notify:
    """What is told; `hand_on` lets another process send what is due."""

    def __init__(  # noqa: PLR0913 - what the room stands on
        self,
        database: Database,
        outbox: Outbox,
        drain: Drain,
        channels: Channels,
        plan: Plan,
        templates: Templates,
        require: Callable[[Actor, str], None],
        routes_file: Path,
        hand_on: Callable[[], None],
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._drain = drain
        self._channels = channels
        self._plan = plan
        self._templates = templates
        self._require = require
        self._routes_file = routes_file
        self._hand_on = hand_on
        self._thread: Thread | None = None

    def drain_in_background(self, *, is_heard: bool = False) -> None:
        """Send what becomes due for as long as this process lives, beside its work."""
        if self._plan.channels and self._thread is None:
            keep = {"tell": lambda _: None, "is_heard": is_heard}
            self._thread = Thread(target=self._drain.forever, kwargs=keep, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End what works beside; what is being sent has a moment to end."""
        self._drain.is_over.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def run(self, actor: Actor, tell: Callable[[Pass], None], *, once: bool) -> None:
        """Send what is due: until interrupted, or `once` what is due within two minutes."""
        self._require(actor, "notify:write")
        self._outbox.prune()
        if once:
            tell(self._drain.once())
        else:
            # A service that is stopped ends what it is sending first.
            signal.signal(signal.SIGTERM, lambda *_: self._drain.is_over.set())
            self._drain.forever(tell, is_heard=sys.stderr.isatty())

    def status(self, actor: Actor) -> Status:
        """How each channel stands, and what waits."""
        self._require(actor, "approvals:read")
        with self._database.read() as connection:
            found = {row.channel: row for row in connection.execute(rows.STANDING)}
            errors = {row.channel: row.error for row in connection.execute(rows.LAST_ERRORS)}
        names = dict.fromkeys((*self._plan.channels, *found))
        oldest = [row.oldest_us for row in found.values() if row.oldest_us is not None]
        return Status(
            enabled=bool(self._plan.channels),
            is_sending=self._drain.is_held,
            waiting=sum(row.waiting for row in found.values()),
            dead=sum(row.dead for row in found.values()),
            oldest_waiting_at=rfc3339(min(oldest, default=None)),
            channels=tuple(
                self._standing(name, found.get(name), errors.get(name)) for name in names
            ),
        )

    def check(self) -> None:
        """Invalid where notifications.toml or a template of the operator's does not work."""
        routes.read(self._routes_file)
        for event in (*EVENTS, DIGEST):
            self._templates.strict("0" * 16, _samples(event, "mail", None))

    def _standing(self, name: str, row: Any, error: str | None) -> ChannelStatus:
        return ChannelStatus(
            name=name,
            to=self._channels.leads_to(name),
            problem=self._channels.problem(name),
            waiting=row.waiting if row else 0,
            dead=row.dead if row else 0,
            last_sent_at=rfc3339(row.last_sent_us) if row else None,
            last_error=error,
        )

    def list(  # noqa: PLR0913 - one a filter
        self,
        actor: Actor,
        *,
        status: str | None = None,
        channel: str | None = None,
        event: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Notice]:
        """What was told and what waits, newest first."""
        self._require(actor, "approvals:read")
        if status is not None and status not in STATES:
            raise Invalid(f"{status!r} is not a status", hint=f"one of {', '.join(STATES)}")
        filters = {"state": status, "channel": channel, "event": event}
        wanted = {name: value for name, value in filters.items() if value is not None}
        with self._database.read() as connection:
            total = connection.scalar(rows.total(wanted)) or 0
            found = connection.execute(rows.page(wanted, cursor, limit)).all()
        following = rows.cursor_after(found[limit - 1]) if found[limit:] else None
        return Page(tuple(map(rows.notice, found[:limit])), total, following)

    def retry(self, actor: Actor, prefix: str) -> Notice:
        """Try again at once what could not be sent, with a whole day ahead."""
        self._require(actor, "notify:write")
        first = check_prefix(prefix)
        with self._database.transaction() as connection:
            bounds = {"first": first, "last": first + "g"}
            named = [row.id for row in connection.execute(rows.BY_PREFIX, bounds)]
            found = only(prefix, "notification", named, hint="ai notify list")
            revived = connection.execute(rows.REVIVE, self._now([found])).one_or_none()
            if revived is None:
                message = f"{found} does not wait, and is not dead"
                raise Invalid(message, hint="ai notify list --status dead")
            after_commit(connection, self._hand_on)
        return rows.notice(revived)

    def dead(self, actor: Actor) -> Sequence[str]:
        """The ids of what could not be sent."""
        self._require(actor, "approvals:read")
        with self._database.read() as connection:
            return connection.scalars(rows.DEAD).all()

    def test(self, actor: Actor, channel: str) -> Sent:
        """Send a sample on the channel, now and past the outbox; Failure says what went wrong."""
        self._require(actor, "notify:write")
        message = self._templates.strict(new_id(), [sample.notice("requested", channel)])
        return Sent(channel, message.subject, self._channels[channel].send(message))

    def preview(
        self, actor: Actor, event: str, channel: str, row: Mapping[str, Any] | None = None
    ) -> Preview:
        """What would be sent for an event of a sample, or of a request's `row`; nothing is."""
        self._require(actor, "approvals:read")
        message = self._templates.strict("0123456789abcdef", _samples(event, channel, row))
        return Preview(
            channel=channel,
            event=event,
            subject=message.subject,
            text=message.text,
            html=message.html,
            sent_as=self._drafted(channel, message),
        )

    def _drafted(self, channel: str, message: Message) -> str:
        return self._channels[channel].draft(message)

    def _now(self, ids: Sequence[str]) -> dict[str, Any]:
        return {"ids": list(ids), "now": self._outbox.now_us}


def _samples(event: str, channel: str, row: Mapping[str, Any] | None) -> Sequence[Notice]:
    if event == DIGEST:
        return [sample.notice(each, channel) for each in ("requested", "escalated", "approved")]
    if event not in EVENTS:
        message = f"there is no event {event!r}"
        raise NotFound(message, hint=f"one of {', '.join(EVENTS)}, digest")
    if event == ALERT and row is not None:
        raise Invalid("an alert is of no request", hint="ai notify preview alert --channel C")
    return [sample.notice(event, channel, row)]
