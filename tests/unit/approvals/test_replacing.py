"""Requests in the place of others: changed by a person, or asked again after expiry."""

import threading

import pytest
import sqlalchemy as sa
from approvals_home import Home, proposal

from localai.approvals.records import preview
from localai.approvals.tables import approvals
from localai.core.errors import Conflict, Denied, Expired, LocalaiError
from localai.rbac.permissions import Risk

EDITED = {"path": "a.txt", "content": "better"}


def test_a_changed_call_is_approved_in_the_place_of_the_one_proposed(home: Home) -> None:
    """Both are kept and linked; the digest is of what was approved."""
    agent = home.operator.agent("5e55")
    old = home.open(agent, reason="the model's words")
    edited = proposal(arguments=EDITED)
    new = home.approvals.amend(
        home.operator, old.id, edited, seen_sha256=old.action_sha256, reason="tidier"
    )
    assert (new.status, new.replaces, new.decided_by) == ("approved", old.id, "kim")
    assert (new.arguments, new.proposed_arguments) == (EDITED, old.arguments)
    assert new.action_sha256 == edited.action.sha256 != old.action_sha256
    assert (new.user_id, new.requester_kind, new.session) == ("kim", "agent", "5e55")
    assert (new.reason, new.decision_reason) == ("the model's words", "tidier")
    before = home.approvals.get(home.operator, old.id)
    assert before.status == "cancelled"
    assert before.decision_reason == f"superseded by {new.id}: tidier"
    assert home.events(old.id) == ["approval.requested", "approval.cancelled"]
    assert home.events(new.id) == ["approval.requested", "approval.approved"]
    assert home.approvals.latest(home.operator, old.id).id == new.id


def test_what_was_proposed_never_runs_once_it_was_changed(home: Home) -> None:
    """The grant is for the new digest alone."""
    old = home.open()
    edited = proposal(arguments=EDITED)
    new = home.approvals.amend(home.operator, old.id, edited, seen_sha256=old.action_sha256)
    with pytest.raises(LocalaiError):
        home.approvals.claim(home.operator, old.id, proposal().action)
    with pytest.raises(Conflict, match="changed since it was approved"):
        home.approvals.claim(home.operator, new.id, proposal().action)
    assert home.approvals.get(home.operator, new.id).status == "revoked"


def test_a_change_rests_on_what_was_seen_and_on_its_being_undecided(home: Home) -> None:
    """Else nothing is written at all."""
    old = home.open()
    edited = proposal(arguments=EDITED)
    with pytest.raises(Conflict):
        home.approvals.amend(home.operator, old.id, edited, seen_sha256="0" * 64)
    assert home.approvals.list(home.operator).total == 1
    home.approvals.reject(home.operator, old.id)
    with pytest.raises(Conflict):
        home.approvals.amend(home.operator, old.id, edited, seen_sha256=old.action_sha256)
    assert home.approvals.list(home.operator).total == 1


def test_only_who_may_decide_may_change(home: Home) -> None:
    """Not the requester, not an agent."""
    old = home.open()
    edited = proposal(arguments=EDITED)
    for actor in (home.add_user("mina", "user"), home.operator.agent("5e55")):
        with pytest.raises(Denied):
            home.approvals.amend(actor, old.id, edited, seen_sha256=old.action_sha256)


def test_who_waits_for_the_proposed_call_gets_the_changed_one(home: Home) -> None:
    """It goes on with what the person approved."""
    old = home.open()
    found = []
    waiting = threading.Thread(
        target=lambda: found.append(home.approvals.wait(home.operator, old.id, timeout_s=30))
    )
    waiting.start()
    edited = proposal(arguments=EDITED)
    new = home.approvals.amend(home.operator, old.id, edited, seen_sha256=old.action_sha256)
    waiting.join()
    assert [each.id for each in found] == [new.id]


def test_what_expired_is_asked_again_once(home: Home) -> None:
    """As a new request with a time of its own."""
    old = home.open()
    with pytest.raises(LocalaiError):
        home.approvals.renew(home.operator, old.id, proposal())
    home.clock.pass_time(301)
    new = home.approvals.renew(home.operator, old.id, proposal())
    assert (new.status, new.replaces, new.action_sha256) == ("pending", old.id, old.action_sha256)
    with pytest.raises(Conflict):
        home.approvals.renew(home.operator, old.id, proposal())
    home.approve(new)
    with pytest.raises(Expired):
        home.approvals.approve(home.operator, old.id, seen_sha256=old.action_sha256)


def test_another_users_request_is_renewed_by_who_decides(home: Home) -> None:
    """And by its requester; it stays the requester's."""
    mina, jun = home.add_user("mina", "user"), home.add_user("jun", "user")
    old = home.open(mina)
    home.clock.pass_time(301)
    with pytest.raises(Denied):
        home.approvals.renew(jun, old.id, proposal())
    with pytest.raises(Denied):
        home.approvals.renew(mina.agent("5e55"), old.id, proposal())
    assert home.approvals.renew(home.operator, old.id, proposal()).user_id == "mina"


def test_a_person_reads_the_changed_call_before_it_is_approved(home: Home) -> None:
    """Its arguments, its risk and its digest."""
    old = home.open()
    edited = proposal(arguments=EDITED, risk=Risk.CRITICAL)
    shown = "\n".join(preview(old, edited).shown)
    assert 'argument   content = "better"' in shown
    assert "risk       critical" in shown
    assert f"digest     {edited.action.sha256}" in shown


def test_the_database_refuses_a_request_in_the_place_of_one_that_stands(home: Home) -> None:
    """Nor can the link be changed later."""
    old, other = home.open(), home.open()
    with home.database.read() as connection:
        row = dict(connection.execute(sa.select(approvals)).mappings().first() or {})
    row |= {"id": "f" * 16, "replaces": old.id}
    with pytest.raises(LocalaiError), home.database.transaction() as connection:
        connection.execute(sa.insert(approvals), row)
    with pytest.raises(LocalaiError), home.database.transaction() as connection:
        connection.execute(
            sa.update(approvals).where(approvals.c.id == other.id).values(replaces=old.id)
        )
