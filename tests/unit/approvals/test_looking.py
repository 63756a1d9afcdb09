"""Lists that write nothing: what is over is told by the clock."""

from itertools import product

import pytest
from approvals_home import Home, TurnableClock

from localai.approvals.looking import Wanted
from localai.approvals.records import Approval
from localai.approvals.tables import TRANSITIONS
from localai.core.errors import Denied, Invalid
from localai.rbac.permissions import Actor


@pytest.fixture
def busy(home: Home, clock: TurnableClock) -> list[Approval]:
    """Requests of two people in every state that time and decisions lead to."""
    lee = home.add_user("lee", "user")
    for actor, tool in product((home.operator, lee), ("write_file", "deploy")):
        home.open(actor, tool=tool)
        home.approve(home.open(actor, tool=tool))
        home.approvals.reject(home.operator, home.open(actor, tool=tool).id)
    clock.pass_time(200)
    home.approvals.sweep()
    for actor, tool in product((home.operator, lee), ("write_file", "deploy")):
        home.open(actor, tool=tool)
        home.approve(home.open(actor, tool=tool))
    clock.pass_time(150)  # the first ones are over, and nobody has written so
    return list(home.approvals.look(home.operator, Wanted(), limit=1000).items)


@pytest.mark.parametrize("status", [None, *TRANSITIONS])
def test_every_filter_tells_what_a_reader_would_pick(
    home: Home, busy: list[Approval], status: str | None
) -> None:
    """In pages and in numbers, together with every other filter, and in the same order."""
    assert len(busy) == 20
    for user, tool in product((None, "kim", "lee"), (None, "write_file", "deploy")):
        wanted = Wanted(status=status, user=user, tool=tool)
        picked = [
            each.id
            for each in busy
            if status in {None, each.status}
            and user in {None, each.user_id}
            and tool in {None, each.tool_name}
        ]
        found: list[str] = []
        cursor = None
        while True:
            page = home.approvals.look(home.operator, wanted, limit=3, cursor=cursor)
            assert page.total == len(picked)
            found += [each.id for each in page.items]
            if (cursor := page.next) is None:
                break
        assert found == picked


def test_nothing_is_written_by_looking(home: Home, busy: list[Approval]) -> None:
    """Whatever is over: the audit has no word of it yet."""
    before = home.audit.newest()
    expired = home.approvals.look(home.operator, Wanted(status="expired")).items
    assert len(expired) == 4
    assert home.audit.newest() == before
    assert home.approvals.list(home.operator, status="expired").total == 4
    assert home.audit.newest() > before
    assert busy


def test_a_span_of_time_begins_with_its_first_moment(home: Home, clock: TurnableClock) -> None:
    """And ends before its last."""
    moments = []
    for _ in range(3):
        clock.pass_time(1)
        home.open()
        moments.append(clock.now_us())
    clock.pass_time(1)
    look = home.approvals.look
    assert look(home.operator, Wanted(since_us=moments[2])).total == 0
    assert look(home.operator, Wanted(since_us=moments[1])).total == 1
    assert look(home.operator, Wanted(until_us=moments[1])).total == 2
    assert look(home.operator, Wanted(since_us=moments[0], until_us=moments[1])).total == 1


def test_a_status_that_there_is_not_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(Invalid) as told:
        Wanted(status="done")
    assert "pending" in (told.value.hint or "")


def test_who_may_not_read_sees_none(home: Home) -> None:
    """Nor how many there are."""
    with pytest.raises(Denied):
        home.approvals.look(Actor("nobody"), Wanted())
