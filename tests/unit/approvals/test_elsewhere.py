"""Actions of other systems: decided here, done there."""

from dataclasses import replace
from typing import Any

import pytest
from approvals_home import Home, TurnableClock, proposal

from localai.approvals import elsewhere
from localai.approvals.records import Approval, Proposal
from localai.core.errors import Conflict, Denied, Expired, Invalid
from localai.rbac.permissions import Actor, Risk


@pytest.fixture
def lee(home: Home) -> Actor:
    return home.add_user("lee", "user")


def opened(home: Home, actor: Actor, name: str = "deploy", **arguments: Any) -> Approval:
    action = elsewhere.action(name, arguments)
    asked = Proposal(action, Risk.HIGH, elsewhere.PERMISSION, "normal.from-high")
    return home.approvals.open(actor, asked)


def test_it_is_claimed_by_its_asker_and_ends_as_it_is_told(home: Home, lee: Actor) -> None:
    """Each step is audited as done by whoever said so."""
    asked = opened(home, lee)
    home.approve(asked)
    outside = home.approvals.elsewhere
    assert outside.claim(lee, asked.id).status == "executing"
    ended = outside.report(lee, asked.id, "rolled out", ok=True)
    assert (ended.status, ended.outcome) == ("succeeded", "rolled out")
    assert home.events(asked.id)[-3:] == [
        "approval.approved",
        "approval.claimed",
        "approval.succeeded",
    ]
    assert home.audit.get(home.audit.newest()).actor == "lee"


def test_it_is_claimed_once(home: Home, lee: Actor) -> None:
    """Whoever comes second is told that it runs."""
    asked = opened(home, lee)
    home.approve(asked)
    home.approvals.elsewhere.claim(lee, asked.id)
    with pytest.raises(Conflict, match="is running"):
        home.approvals.elsewhere.claim(lee, asked.id)


def test_what_nobody_approved_cannot_be_claimed(
    home: Home, lee: Actor, clock: TurnableClock
) -> None:
    """Nor what was approved too long ago."""
    asked = opened(home, lee)
    with pytest.raises(Exception, match="waits"):
        home.approvals.elsewhere.claim(lee, asked.id)
    home.approve(asked)
    clock.pass_time(901)
    with pytest.raises(Expired):
        home.approvals.elsewhere.claim(lee, asked.id)


def test_what_was_not_claimed_has_not_ended(home: Home, lee: Actor) -> None:
    """An outcome without a beginning would hide who did it."""
    asked = opened(home, lee)
    home.approve(asked)
    with pytest.raises(Conflict):
        home.approvals.elsewhere.report(lee, asked.id, None, ok=True)


def test_the_claim_of_another_system_is_never_taken_for_dead(
    home: Home, lee: Actor, clock: TurnableClock
) -> None:
    """Not after a boot of this machine either."""
    asked = opened(home, lee)
    home.approve(asked)
    home.approvals.elsewhere.claim(lee, asked.id)
    clock.boot = "another-boot"
    assert home.approvals.sweep() == 0
    assert home.approvals.elsewhere.report(lee, asked.id, None, ok=False).status == "failed"


def test_another_users_action_is_for_who_decides(home: Home, lee: Actor) -> None:
    """Claimed as well as ended."""
    mo = home.add_user("mo", "user")
    asked = opened(home, lee)
    home.approve(asked)
    with pytest.raises(Denied):
        home.approvals.elsewhere.claim(mo, asked.id)
    home.approvals.elsewhere.claim(lee, asked.id)
    with pytest.raises(Denied):
        home.approvals.elsewhere.report(mo, asked.id, None, ok=True)
    ended = home.approvals.elsewhere.report(home.operator, asked.id, None, ok=True)
    assert ended.status == "succeeded"


def test_who_lost_the_permission_claims_nothing(home: Home, lee: Actor) -> None:
    """The approval is taken back."""
    asked = opened(home, lee)
    home.approve(asked)
    home.set_role("lee", "viewer")
    with pytest.raises(Denied):
        home.approvals.elsewhere.claim(home.operator, asked.id)
    assert home.approvals.get(home.operator, asked.id).status == "revoked"


def test_a_call_of_a_tool_here_is_not_another_systems(home: Home) -> None:
    """Whatever its name."""
    asked = home.approve(home.open())
    with pytest.raises(Conflict, match="runs here"):
        home.approvals.elsewhere.claim(home.operator, asked.id)
    assert not elsewhere.is_elsewhere(proposal().action)
    assert elsewhere.is_elsewhere(elsewhere.action("write_file", {}))
    assert not elsewhere.is_elsewhere(replace(elsewhere.action("a", {}), tool="b"))


@pytest.mark.parametrize("name", ["", "1st", "a b", "a" * 101, "déploy", "a\n", "\u202ea"])
def test_a_name_is_plain(name: str) -> None:
    """A person reads it before deciding."""
    with pytest.raises(Invalid):
        elsewhere.action(name, {})
