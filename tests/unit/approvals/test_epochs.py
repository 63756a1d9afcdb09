"""An older copy of the home revives nothing that was asked or granted then."""

import pytest
import sqlalchemy as sa
from approvals_home import Home, proposal

from localai.approvals.standing import Scope
from localai.approvals.tables import approvals
from localai.core.errors import Conflict, Expired, LocalaiError


def _restore(home: Home) -> None:
    """As somebody does who puts an older copy back: its anchor is not the newest one."""
    (home.directories.keys / "audit.anchor").unlink()
    home.rbac.ensure_operator("kim")
    home.add_user("jun", "user")
    with home.database.transaction() as connection:
        home.audit.record(connection, "tried", actor="kim", subject="x")


def test_a_grant_of_before_is_dead(home: Home) -> None:
    """It cannot be claimed, and is told as expired."""
    approved = home.approve(home.open())
    _restore(home)
    with pytest.raises(Expired):
        home.approvals.claim(home.operator, approved.id, proposal().action)
    assert home.approvals.get(home.operator, approved.id).status == "expired"


def test_a_request_of_before_is_not_decided(home: Home) -> None:
    """It is asked again instead."""
    waiting = home.open()
    _restore(home)
    with pytest.raises(Expired):
        home.approve(waiting)
    renewed = home.approvals.renew(home.operator, waiting.id, proposal())
    assert home.approve(renewed).status == "approved"


def test_a_standing_rule_of_before_allows_nothing(home: Home) -> None:
    """Whoever made it."""
    approval = home.open()
    draft = home.approvals.draft_rule(home.operator, approval.id, Scope(3600), left_open=())
    seen = approval.action_sha256
    home.approvals.approve(home.operator, approval.id, seen_sha256=seen, rule=draft)
    assert home.approvals.standing.of(home.operator)
    _restore(home)
    assert home.approvals.standing.of(home.operator) == ()


def test_the_database_refuses_it_too(home: Home) -> None:
    """Whoever holds the connection."""
    approval = home.open()
    _restore(home)
    for change in ({"state": "approved", "version": 2}, {"epoch": 1}):
        with pytest.raises((Conflict, LocalaiError)), home.database.transaction() as connection:
            row = sa.update(approvals).where(approvals.c.id == approval.id)
            connection.execute(row.values(**change))
