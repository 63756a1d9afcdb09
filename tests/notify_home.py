"""The room of notifications in a temporary home, requests that never were, and a channel."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.secrets import Secrets
from localai.core.settings import Settings
from localai.notify.alerts import Alert, Group
from localai.notify.alerts import facts_of as facts_of_alerts
from localai.notify.announcer import Announcer
from localai.notify.build import build
from localai.notify.channels import Channels
from localai.notify.drain import Drain
from localai.notify.events import ALERT
from localai.notify.facts import facts_of
from localai.notify.message import Templates
from localai.notify.outbox import Outbox
from localai.notify.plan import Plan
from localai.notify.plan import plan as plan_of
from localai.notify.records import Failure, Message, Notice
from localai.notify.service import Notify

SECOND = 1_000_000
NOTHING = ("/bin/true",)  # the program that another process would be


def request(number: int = 0, **changes: Any) -> dict[str, Any]:
    """What approvals announce of a request, with the given facts changed."""
    arguments = changes.pop("arguments", {"path": "a.txt", "content": "x"})
    plain = {
        "id": f"{number:016x}",
        "tool": "write_file",
        "action": json.dumps({"cwd": changes.pop("cwd", "/work"), "arguments": arguments}),
        "action_sha256": "ab" * 32,
        "risk": "high",
        "user_id": "sumin",
        "requester_kind": "agent",
        "session": None,
        "reason": None,
        "created_us": 1_760_000_000 * SECOND,
        "expires_us": 1_760_000_300 * SECOND,
        "decided_by": None,
        "by": "kim",
        "why": None,
    }
    return {**plain, **changes}


def notice(event: str = "requested", channel: str = "mail", **changes: Any) -> Notice:
    """A notice of such a request, or of an alert that says the same."""
    row = request(**changes)
    return Notice(
        id="0" * 16,
        event=event,
        channel=channel,
        approval=row["id"],
        tool_name=row["tool"],
        risk=row["risk"],
        status="queued",
        attempts=0,
        created_at="2025-10-09T08:53:20.000Z",
        due_at=None,
        sent_at=None,
        error=None,
        facts=json.loads(alert_facts(row) if event == ALERT else facts_of(row)),
    )


def group(**changes: Any) -> Group:
    """A group of one alert that fires, with the given fields changed."""
    labels = changes.pop("labels", {"alertname": "DiskNearlyFull", "severity": "warning"})
    notes = changes.pop("notes", {"summary": "The disk is full.", "description": "8 % are left."})
    status = changes.get("status", "firing")
    one = Alert(status, labels, notes, changes.pop("starts_at", "2026-11-22T09:30:00.123Z"))
    plain: dict[str, Any] = {"key": "{}:{}", "status": status, "alerts": [one]}
    plain |= {"common_labels": labels, "common_annotations": notes}
    return Group(**{**plain, **changes})


def alert_facts(row: Mapping[str, Any]) -> str:
    """The facts of an alert in which everything says what a request's row does."""
    arguments = {name: str(text) for name, text in json.loads(row["action"])["arguments"].items()}
    labels = {**arguments, "alertname": row["tool"], "cwd": json.loads(row["action"])["cwd"]}
    said = row["reason"] or ""
    notes = {"summary": said, "description": said, "runbook_url": said, said: said}
    alert = {"labels": labels, "notes": notes, "starts_at": said or "2026-11-22T09:30:00Z"}
    return facts_of_alerts(group(**alert), row["user_id"])


@cache
def templates(language: str) -> Templates:
    """Our own templates; reading them takes longer than filling them."""
    return Templates(Path("/nowhere"), language)


@dataclass
class Fake:
    """A channel that keeps what it is given, or fails as the test says."""

    gathers: bool = True
    messages: list[Message] = field(default_factory=list)
    tried: list[Message] = field(default_factory=list)
    failing: Callable[[], Failure | None] = lambda: None

    def send(self, message: Message) -> str:
        self.tried.append(message)
        if (failure := self.failing()) is not None:
            raise failure
        self.messages.append(message)
        return "ok"

    def draft(self, message: Message) -> str:
        return message.text

    @property
    def approvals(self) -> list[str]:
        """The requests that messages told of, in their order."""
        return [each.approval for message in self.messages for each in message.notices]


class Told(Channels):
    """The one fake under every name."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def __getitem__(self, name: str) -> Fake:
        return self.fake

    def leads_to(self, name: str) -> str:
        return f"the fake {name}"

    def problem(self, name: str) -> str | None:
        return None


@dataclass
class Room:
    """An outbox and its drain, with a fake channel."""

    database: Database
    clock: Any
    fake: Fake
    outbox: Outbox
    drain: Drain
    notify: Notify
    announcer: Announcer

    def change(self, number: int = 0, change: str = "approval.requested", **changes: Any) -> None:
        """Something happens to a request."""
        at = {"expires_us": self.clock.now_us() + 300 * SECOND}
        with self.database.transaction() as connection:
            self.announcer.announce(connection, change, request(number, **(at | changes)))

    def rows(self) -> list[Any]:
        """Every row, oldest first."""
        with self.database.read() as connection:
            query = "SELECT * FROM notifications ORDER BY created_us, rowid"
            return list(connection.exec_driver_sql(query))

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]


def room(
    database: Database,
    home: Directories,
    clock: Clock,
    *,
    plan: Plan | None = None,
    batch_s: int = 0,
    uniform: Callable[[float, float], float] = max,
    sweep: Callable[[], object] = lambda: None,
) -> Room:
    """Make one; without a plan, mail hears of everything."""
    plan, fake = plan or Plan(("mail",)), Fake()
    channels = Told(fake)
    outbox = Outbox(database, clock, plan.when, uniform)
    made = Templates(home.config / "templates", "en")
    lock = home.data / "notify.lock"
    drain = Drain(outbox, channels, plan, made, clock, lock, batch_s=batch_s, sweep=sweep)
    announcer = Announcer(clock, plan, lock, NOTHING)
    file, hand_on = home.config / "notifications.toml", announcer.hand_on
    notify = Notify(database, outbox, drain, channels, plan, made, _anybody, file, hand_on)
    return Room(database, clock, fake, outbox, drain, notify, announcer)


def _anybody(*_: object) -> None:
    """Everybody may do everything."""


def configured(
    database: Database, home: Directories, clock: Clock, settings: Mapping[str, str]
) -> tuple[Notify, Announcer]:
    """The room as an app builds it with these settings, and what enqueues."""
    made = Settings(home.config_file, flags=settings, environment={})
    planned = plan_of(made, home.config / "notifications.toml")
    announcer = Announcer(clock, planned, home.data / "notify.lock", NOTHING)
    rooms = {"plan": planned, "announcer": announcer}
    stands_on = (made, Secrets(home, {}), database, clock, home)
    return build(*stands_on, **rooms, require=_anybody, sweep=lambda: None), announcer
