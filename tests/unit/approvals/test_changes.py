"""What happened to requests, told in order and once."""

import pytest
from approvals_home import Home

from localai.core.errors import Denied
from localai.rbac.permissions import Actor


def test_everything_is_told_once_and_in_order(home: Home) -> None:
    """From wherever somebody goes on; what is not of a request is left out."""
    changes, start = home.approvals.changes, home.approvals.changes.newest(home.operator)
    first = home.open()
    home.add_user("lee", "user")
    with pytest.raises(Denied):
        home.approvals.approve(Actor("lee"), first.id, seen_sha256=first.action_sha256)
    home.approve(first)
    second = home.open()
    home.approvals.cancel(home.operator, second.id)
    told = []
    last = start
    while True:
        last, found = changes.after(home.operator, last)
        told += [(each.event, each.approval.id) for each in found]
        if last == changes.newest(home.operator):
            break
    assert told == [
        ("approval.requested", first.id),
        ("approval.approved", first.id),
        ("approval.requested", second.id),
        ("approval.cancelled", second.id),
    ]
    assert changes.after(home.operator, last) == (last, [])


def test_a_long_way_back_is_read_in_parts(home: Home) -> None:
    """However many there are, one look is short."""
    for _ in range(120):
        home.open()
    last, found = home.approvals.changes.after(home.operator, 0)
    assert len(found) < 120
    seen = len(found)
    while found:
        last, found = home.approvals.changes.after(home.operator, last)
        seen += len(found)
    assert seen == 120


def test_who_may_not_read_hears_nothing(home: Home) -> None:
    """Not even how much happens."""
    with pytest.raises(Denied):
        home.approvals.changes.newest(Actor("nobody"))
    with pytest.raises(Denied):
        home.approvals.changes.after(Actor("nobody"), 0)
