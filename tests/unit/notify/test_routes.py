"""Who is told what, and when."""

from datetime import datetime
from pathlib import Path

import pytest
from notify_home import request

from localai.core.clock import Hours
from localai.core.errors import Invalid
from localai.notify.events import CHANNELS, EVENTS
from localai.notify.plan import Plan
from localai.notify.routes import Route, read

SECOND = 1_000_000


def _told(plan: Plan, change: str, **changes: object) -> list[tuple[str, str]]:
    found = plan.notices(f"approval.{change}", request(**changes), 0)
    return [(each.event, each.channel) for each in found]


def _us(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone().timestamp() * SECOND)


def _file(folder: Path, text: str) -> Path:
    file = folder / "notifications.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_routes_every_channel_hears_of_everything(tmp_path: Path) -> None:
    """Of the five events, and of nothing else."""
    plan = Plan(("mail", "webhook"), read(tmp_path / "notifications.toml"))
    for change, event in {
        "requested": "requested",
        "approved": "approved",
        "rejected": "rejected",
        "expired": "timeout",
    }.items():
        assert _told(plan, change) == [(event, "mail"), (event, "webhook")]
    assert _told(plan, "claimed") == _told(plan, "voted") == []


def test_a_route_says_which_channel_hears_of_what(tmp_path: Path) -> None:
    """By event and by risk; what it leaves out it does not restrict."""
    text = """
    [[route]]
    events = ["requested"]
    risks = ["high", "critical"]
    channels = ["mail"]

    [[route]]
    channels = ["webhook"]
    """
    plan = Plan(("mail", "webhook", "slack"), read(_file(tmp_path, text)))
    assert _told(plan, "requested", risk="high") == [
        ("requested", "mail"),
        ("requested", "webhook"),
    ]
    assert _told(plan, "requested", risk="medium") == [("requested", "webhook")]
    assert _told(plan, "approved") == [("approved", "webhook")]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[[route]]\nevents = ["aproved"]', "'aproved' is none of requested"),
        ('[[route]]\nrisks = ["huge"]', "'huge' is none of low"),
        ('[[route]]\nchannels = ["fax"]', "'fax' is none of mail"),
        ('[[route]]\nchannels = "mail"', "channels is no list"),
        ("[[route]]\nevents = []", "events is no list"),
        ("[[route]]\nevents = [[1]]", "is none of requested"),
        ('[[route]]\ntools = ["x"]', "has no tools"),
        ("[route]\nevents = []", "something else than"),
        ('route = ["x"]', "is no table"),
        ("rout = 1", "something else than"),
        ("[[route", "cannot be read"),
        ("a = " + "[" * 5000, "cannot be read"),
    ],
)
def test_a_mistake_in_the_routes_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    """With the file."""
    with pytest.raises(Invalid, match="notifications.toml") as caught:
        read(_file(tmp_path, text))
    assert wrong in caught.value.message


def test_an_escalation_is_planned_with_the_request_and_ends_with_it() -> None:
    """After its time; it is of no use once the request has expired."""
    plan = Plan(("mail",), escalate_s=120)
    now, late = plan.notices("approval.requested", request(expires_us=300 * SECOND), 5 * SECOND)
    assert (now.event, now.due_us, now.until_us) == ("requested", 5 * SECOND, None)
    assert (late.event, late.due_us, late.until_us) == ("escalated", 125 * SECOND, 300 * SECOND)
    assert len(list(Plan(("mail",)).notices("approval.requested", request(), 0))) == 1


def test_a_bell_that_nobody_hears_is_not_kept() -> None:
    """It rings within minutes or never."""
    (rung,) = Plan(("terminal",)).notices("approval.approved", request(), 0)
    assert rung.until_us == 300 * SECOND


@pytest.mark.parametrize(
    ("hours", "at", "told"),
    [
        ("22:00-07:00", "2026-03-02 21:59:59", "2026-03-02 21:59:59"),
        ("22:00-07:00", "2026-03-02 22:00:00", "2026-03-03 07:00:00"),
        ("22:00-07:00", "2026-03-03 03:00:00", "2026-03-03 07:00:00"),
        ("22:00-07:00", "2026-03-03 07:00:00", "2026-03-03 07:00:00"),
        ("12:00-13:00", "2026-03-03 12:30:00", "2026-03-03 13:00:00"),
        ("12:00-13:00", "2026-03-03 13:00:00", "2026-03-03 13:00:00"),
    ],
)
def test_what_comes_in_quiet_hours_waits_for_their_end(hours: str, at: str, told: str) -> None:
    """By the clock on the wall; they may go over midnight."""
    plan = Plan(("mail",), quiet=Hours.read(hours))
    assert plan.when(_us(at), "requested", "high", "mail") == _us(told)


def test_what_is_urgent_and_what_wakes_nobody_does_not_wait() -> None:
    """Critical risk, escalations, programs and bells."""
    plan, night = Plan(CHANNELS, quiet=Hours.read("22:00-07:00")), _us("2026-03-03 03:00:00")
    assert plan.when(night, "requested", "critical", "mail") == night
    assert plan.when(night, "escalated", "low", "mail") == night
    for channel in ("webhook", "terminal"):
        assert plan.when(night, "requested", "low", channel) == night
    for channel in ("mail", "slack", "apprise"):
        assert plan.when(night, "requested", "high", channel) > night


def test_a_route_without_restrictions_leads_everywhere() -> None:
    """It is the one of a home without notifications.toml."""
    assert all(Route().leads_to(channel, event, "low") for channel in CHANNELS for event in EVENTS)
