"""What an operator sees and does: status, list, retry, preview, test, doctor."""

import json
from collections.abc import Iterator

import pytest
from approvals_home import Home, build, proposal
from approvals_home import TurnableClock as TurnedClock
from conftest import TurnableClock
from mail_server import Post, mail_server
from notify_home import Room, configured, request, room

from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.errors import Denied, Invalid, NotFound
from localai.notify.plan import Plan
from localai.notify.records import Failure
from localai.rbac.permissions import Actor

KIM = Actor("kim")


@pytest.fixture
def post() -> Iterator[Post]:
    with mail_server() as made:
        yield made


def _mail(post: Post, **rest: str) -> dict[str, str]:
    return {
        "notify.smtp.host": "127.0.0.1",
        "notify.smtp.port": str(post.port),
        "notify.smtp.security": "none",
        "notify.smtp.to": "you@example.org",
        **rest,
    }


def test_a_test_is_sent_past_the_outbox_and_tells_the_answer(
    post: Post, database: Database, home: Directories, clock: TurnableClock
) -> None:
    """A person waits for it."""
    notify, _ = configured(database, home, clock, _mail(post))
    assert notify.test(KIM, "mail").answer == "250 2.0.0 queued"
    assert "This is a sample" in str(post.taken[0].parsed.get_body(("plain",)))
    post.data = lambda _: "554 spam"
    with pytest.raises(Failure, match="554 spam"):
        notify.test(KIM, "mail")
    assert notify.list(KIM).total == 0


@pytest.mark.parametrize(
    "event", ["requested", "approved", "rejected", "timeout", "escalated", "digest"]
)
def test_a_preview_shows_what_would_be_sent_and_sends_nothing(
    event: str, post: Post, database: Database, home: Directories, clock: TurnableClock
) -> None:
    """Of every event, in the language that is set."""
    notify, _ = configured(database, home, clock, _mail(post, **{"notify.language": "ko"}))
    found = notify.preview(KIM, event, "mail")
    assert found.subject.startswith("[localai] ")
    assert "To: you@example.org" in found.sent_as
    assert found.html in found.sent_as
    assert post.taken == []


def test_a_preview_of_a_request_shows_that_request(
    post: Post, database: Database, home: Directories, clock: TurnableClock
) -> None:
    """As it would be told."""
    notify, _ = configured(database, home, clock, _mail(post))
    row = request(7, arguments={"path": "report.txt"})
    assert "report.txt" in notify.preview(KIM, "requested", "mail", row).text
    with pytest.raises(NotFound, match="no event"):
        notify.preview(KIM, "aproved", "mail")


def test_the_status_tells_what_waits_what_died_and_why(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """By channel, those too that are no longer set up."""
    made, announcer = configured(
        database, home, clock, {"notify.webhook.url": "https://example.org/"}
    )
    with database.transaction() as connection:
        for number in range(3):
            announcer.announce(connection, "approval.requested", request(number))
    clock.advance(5)
    batch = made._outbox.take("webhook", gathers=False, apart_s=0)
    assert batch is not None
    made._outbox.failed(batch, Failure("410 gone", is_permanent=True))
    (webhook,) = made.status(KIM).channels
    assert (webhook.waiting, webhook.dead, webhook.last_error) == (2, 1, "410 gone")
    assert webhook.problem == "the secret webhook-key is not set"
    found = configured(database, home, clock, {})[0].status(KIM)
    assert (found.enabled, found.waiting, found.dead) == (False, 2, 1)
    assert found.oldest_waiting_at == "2025-10-09T08:53:20.000Z"


def test_a_list_can_be_filtered_and_goes_on(told: Room) -> None:
    """Newest first."""
    for number in range(3):
        told.change(number)
        told.clock.advance(1)
    told.change(0, "approval.approved")
    first = told.notify.list(KIM, limit=3)
    assert (first.total, len(first.items)) == (4, 3)
    (last,) = told.notify.list(KIM, limit=3, cursor=first.next).items
    assert last.approval == f"{0:016x}"
    assert told.notify.list(KIM, event="approved").total == 1
    assert told.notify.list(KIM, channel="slack").total == 0
    with pytest.raises(Invalid, match="not a status"):
        told.notify.list(KIM, status="dying")
    with pytest.raises(Invalid, match="not a cursor"):
        told.notify.list(KIM, cursor="x")


def test_only_what_was_not_sent_is_retried(told: Room) -> None:
    """Sending twice what was sent is no retry."""
    told.change()
    told.drain.look(("mail",))
    (row,) = told.rows()
    with pytest.raises(Invalid, match="is not dead"):
        told.notify.retry(KIM, row.id)
    with pytest.raises(NotFound):
        told.notify.retry(KIM, "ffff")
    assert told.notify.dead(KIM) == []


def test_a_viewer_sees_and_sends_nothing(told: Room) -> None:
    """By role, as everywhere."""
    asked: list[str] = []
    told.notify._require = lambda _, permission: asked.append(permission)
    told.notify.status(KIM)
    told.notify.list(KIM)
    told.notify.dead(KIM)
    assert set(asked) == {"approvals:read"}
    asked.clear()
    told.notify.test(KIM, "mail")
    told.notify.run(KIM, lambda _: None, once=True)
    assert set(asked) == {"notify:write"}

    def deny(*_: object) -> None:
        raise Denied

    told.notify._require = deny
    with pytest.raises(Denied):
        told.notify.retry(KIM, "0000")


def test_a_mistake_in_routes_or_templates_is_found_by_the_doctor_and_loses_nothing(
    database: Database, home: Directories, clock: TurnableClock
) -> None:
    """Everybody is told meanwhile."""
    (home.config / "notifications.toml").write_text('[[route]]\nchannels = ["fax"]\n')
    made, announcer = configured(
        database, home, clock, {"notify.webhook.url": "https://example.org/"}
    )
    with database.transaction() as connection:
        announcer.announce(connection, "approval.requested", request())
    assert made.list(KIM).total == 1
    with pytest.raises(Invalid, match="fax"):
        made.check()
    (home.config / "notifications.toml").unlink()
    made.check()
    (home.config / "templates" / "digest").mkdir(parents=True)
    (home.config / "templates" / "digest" / "subject.txt").write_text("{{ nobody }}")
    with pytest.raises(Invalid, match="digest/subject.txt"):
        configured(database, home, clock, {})[0].check()


@pytest.fixture
def governed(home: Directories) -> Iterator[tuple[Home, Room]]:
    """Approvals that announce to a room of notifications."""
    made = build(home.config, TurnedClock())
    told = room(made.database, home, made.clock, plan=Plan(("mail",), escalate_s=60))
    made.approvals._ledger._announce = told.announcer.announce
    yield made, told
    made.database.close()


def test_every_change_of_a_request_is_told_in_its_transaction(
    governed: tuple[Home, Room],
) -> None:
    """Asked, approved, rejected, expired; a withdrawal ends the escalation silently."""
    home, told = governed
    yes, no, late, gone = (home.open(reason="because") for _ in range(4))
    home.approve(yes)
    home.approvals.reject(home.operator, no.id, seen_sha256=no.action_sha256, reason="wrong file")
    home.approvals.cancel(home.operator, gone.id)
    home.clock.pass_time(301)  # type: ignore[attr-defined]
    home.approvals.sweep()
    found = {(row.approval, row.event) for row in told.rows()}
    asked = {(each.id, "requested") for each in (yes, no, late, gone)}
    ended = {(yes.id, "approved"), (no.id, "rejected"), (late.id, "timeout")}
    assert found == asked | ended
    facts = {row.event: json.loads(row.facts) for row in told.rows()}
    assert (facts["rejected"]["by"], facts["rejected"]["why"]) == ("kim", "wrong file")
    assert facts["timeout"]["why"] == "nobody decided in time"
    assert facts["requested"]["workspace"] == "/work"


def test_a_decision_that_is_refused_tells_nobody(governed: tuple[Home, Room]) -> None:
    """Nor does one that lost a race."""
    home, told = governed
    asked = home.open()
    home.approve(asked)
    before = len(told.rows())
    with pytest.raises(Exception, match="already approved"):
        home.approve(asked)
    assert len(told.rows()) == before


def test_a_request_that_was_edited_is_told_as_new(governed: tuple[Home, Room]) -> None:
    """What was proposed was superseded, and is not waited for any more."""
    home, told = governed
    asked = home.open()
    new = proposal(arguments={"path": "b.txt", "content": "y"})
    made = home.approvals.amend(home.operator, asked.id, new, seen_sha256=asked.action_sha256)
    found = [(row.approval, row.event) for row in told.rows()]
    assert (made.id, "approved") in found
    assert "escalated" not in {event for _, event in found}


def test_what_is_told_of_a_request_can_be_looked_up(governed: tuple[Home, Room]) -> None:
    """For a preview: the same facts that were announced."""
    home, told = governed
    asked = home.open()
    found = home.approvals.told(home.operator, asked.id)
    shown = told.notify.preview(home.operator, "requested", "mail", found)
    assert asked.id in shown.text
