"""Alerts of a monitoring system: each piece of news is told once, and shows what it is."""

import json
from dataclasses import replace

import notify_home
import pytest
from conftest import TurnableClock
from notify_home import group, templates

from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.errors import Denied, Unavailable
from localai.notify.alerting import Alerting
from localai.notify.alerts import Alert, facts_of
from localai.notify.plan import Plan
from localai.notify.records import Message
from localai.notify.routes import Route
from localai.notify.rows import notice as notice_of
from localai.notify.webhook import payload
from localai.rbac.permissions import Actor

PROMETHEUS = Actor("prometheus")
LATER = "2026-11-22T10:30:00.123Z"


class Room:
    """The room of notifications, and what takes alerts for it."""

    def __init__(
        self, database: Database, home: Directories, clock: TurnableClock, plan: Plan
    ) -> None:
        self.room = notify_home.room(database, home, clock, plan=plan)
        self.alerting = Alerting(database, self.room.announcer, lambda *_: None)

    def take(self, **changes: object) -> tuple[str, ...]:
        return tuple(self.alerting.take(PROMETHEUS, group(**changes)).channels)

    @property
    def told(self) -> list[str]:
        return [json.loads(row.facts)["status"] for row in self.room.rows()]


@pytest.fixture
def room(database: Database, home: Directories, clock: TurnableClock) -> Room:
    return Room(database, home, clock, Plan(("mail",)))


def test_what_is_said_again_is_told_once(room: Room) -> None:
    """A repeat, a retry after a lost answer, and a copy of another Alertmanager."""
    assert room.take() == ("mail",)
    assert [room.take() for _ in range(3)] == [()] * 3
    assert room.take(status="resolved") == ("mail",)
    assert room.take(status="resolved") == ()
    assert room.told == ["firing", "resolved"]


def test_what_begins_anew_is_told_anew(room: Room) -> None:
    """Also after it was resolved, and where another alert joins the group."""
    first = group().alerts[0]
    second = replace(first, starts_at=LATER)
    room.take()
    assert room.take(alerts=[first, second]) == ("mail",)
    assert room.take(alerts=[replace(first, status="resolved"), second]) == ()
    assert room.take(alerts=[second]) == ()
    room.take(status="resolved", alerts=[replace(second, status="resolved")])
    assert room.take(starts_at="2026-11-23T09:30:00Z") == ("mail",)
    assert room.take(key="another group") == ("mail",)
    assert room.told == ["firing", "firing", "resolved", "firing", "firing"]


@pytest.mark.parametrize(
    ("severity", "risk"),
    [
        ("critical", "critical"),
        ("PAGE ", "critical"),
        ("error", "high"),
        ("warning", "medium"),
        ("info", "low"),
        ("purple", "medium"),
        (None, "medium"),
    ],
)
def test_a_severity_is_a_risk(severity: str | None, risk: str) -> None:
    """By which routes choose; one that nobody knows is in the middle."""
    labels = {"alertname": "a"} | ({"severity": severity} if severity else {})
    assert group(labels=labels).risk == risk


def test_the_worst_of_what_fires_counts() -> None:
    """What is resolved already does not."""
    worst = Alert("resolved", {"severity": "critical"}, {}, "")
    bad, mild = (Alert("firing", {"severity": each}, {}, "") for each in ("error", "info"))
    assert group(alerts=[worst, mild, bad]).risk == "high"
    assert group(status="resolved", alerts=[worst]).risk == "critical"


def test_routes_choose_who_hears_of_it(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """By the event and the risk; what leads nowhere is taken all the same."""
    routes = (
        Route(events=("alert",), risks=("critical",), channels=("slack",)),
        Route(events=("alert",), risks=("medium", "critical"), channels=("mail",)),
        Route(events=("requested",), channels=("webhook",)),
    )
    room = Room(database, home, clock, Plan(("mail", "slack", "webhook"), routes))
    labels = {"alertname": "a", "severity": "critical"}
    assert room.take() == ("mail",)
    assert room.take(labels=labels, key="b") == ("mail", "slack")
    assert room.take(labels={"severity": "info"}, key="c") == ()


def test_where_nobody_hears_it_is_not_taken(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """The sender keeps it, and comes again."""
    with pytest.raises(Unavailable, match="no channel"):
        Room(database, home, clock, Plan(())).take()


def test_only_who_may_send_notices_sends_alerts(database: Database, room: Room) -> None:
    """The permission is asked for first."""

    def refuse(_: Actor, permission: str) -> None:
        raise Denied(permission)

    alerting = Alerting(database, room.room.announcer, refuse)
    with pytest.raises(Denied, match="notify:write"):
        alerting.take(PROMETHEUS, group())
    assert room.told == []


def _message(room: Room, language: str = "en", **changes: object) -> Message:
    room.take(**changes)
    notice = notice_of(room.room.rows()[-1])
    return templates(language).strict("0" * 16, [notice])


@pytest.mark.parametrize(
    ("language", "status", "words"),
    [
        ("en", "firing", ("Alert: DiskNearlyFull, severity medium", "State: firing")),
        ("en", "resolved", ("Resolved: DiskNearlyFull", "State: resolved")),
        ("ko", "firing", ("경보: DiskNearlyFull, 심각도 보통", "상태: 발생")),
        ("ko", "resolved", ("해소: DiskNearlyFull", "상태: 해소됨")),
    ],
)
def test_a_message_says_what_is_wrong_and_when_it_is_over(
    room: Room, language: str, status: str, words: tuple[str, str]
) -> None:
    """In both languages, with what the monitoring wrote, and no command to decide with."""
    message = _message(room, language, status=status)
    assert words[0] in message.subject
    for part in (words[1], "The disk is full.", "8 % are left.", "severity = warning"):
        assert part in message.text
    assert "ai appro" not in message.text
    assert message.html.count("The disk is full.") == 1


def test_what_is_resolved_hurries_nobody(room: Room) -> None:
    """What fires and is critical does."""
    critical = {"labels": {"alertname": "a", "severity": "critical"}}
    assert _message(room, **critical).is_urgent
    assert not _message(room, status="resolved", **critical).is_urgent


def test_a_program_reads_fields(room: Room) -> None:
    """What the webhook posts, resolved or not."""
    told = payload(_message(room, status="resolved"))
    assert (told["type"], told["data"]["name"]) == ("alert.resolved", "DiskNearlyFull")
    assert told["data"]["labels"]["severity"] == "warning"
    assert told["data"]["summary"] == "The disk is full."


def test_a_large_group_is_told_in_few_words() -> None:
    """A thousand alerts with long texts; how many are left out stands there."""
    alerts = [
        Alert("firing", {"alertname": "a", "n": str(n)} | _many(n), {"summary": "x" * 9_000}, "t")
        for n in range(1_000)
    ]
    shared = {f"label{n:03}": "y" * 9_000 for n in range(200)}
    facts = facts_of(group(alerts=alerts, common_labels=shared, truncated=7), "prometheus")
    assert len(facts) < 40_000
    assert "[+997]" in facts
    assert "[+180]" in facts


def _many(number: int) -> dict[str, str]:
    return {f"own{each}": f"{number}" * 500 for each in range(40)}


def test_no_secret_leaves() -> None:
    """By name and by shape."""
    secret = {"password": "hunter2hunter2", "url": "https://kim:swordfish@example.org/"}
    facts = facts_of(group(labels=secret, notes={"summary": "lai_ab_" + "c" * 40}), "prometheus")
    assert not any(each in facts for each in ("hunter2", "swordfish", "c" * 40))


def test_alerts_and_requests_share_a_digest(room: Room) -> None:
    """Each under its own heading."""
    several = [notify_home.notice(event) for event in ("requested", "alert", "approved", "alert")]
    message = templates("en").strict("0" * 16, several)
    assert "4 messages, 2 of them alerts; 1 requests wait" in message.subject
    assert (
        message.text.index("Waiting")
        < message.text.index("Already")
        < message.text.index("\nAlerts\n")
    )
