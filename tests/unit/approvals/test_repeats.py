"""Requests that come twice."""

import pytest
from approvals_home import Home, TurnableClock, proposal

from localai.approvals.repeats import KEPT_US, Once
from localai.core.errors import Conflict

ONCE = Once("order-1", "ab" * 32)


def test_the_same_key_answers_what_it_answered(home: Home) -> None:
    """As it was before anybody decided; nothing new is opened."""
    first = home.approvals.open(home.operator, proposal(), ONCE)
    home.approve(first)
    again = home.approvals.open(home.operator, proposal(), ONCE)
    assert again == first
    assert again.shown == first.shown
    assert home.approvals.repeated(home.operator, ONCE) == first
    assert home.approvals.list(home.operator).total == 1


def test_the_same_key_for_another_thing_is_a_mistake(home: Home) -> None:
    """Which of the two was meant nobody knows."""
    home.approvals.open(home.operator, proposal(), ONCE)
    with pytest.raises(Conflict, match="Idempotency-Key"):
        home.approvals.open(home.operator, proposal(), Once("order-1", "cd" * 32))


def test_a_key_is_its_users(home: Home) -> None:
    """Two people may make up the same one."""
    lee = home.add_user("lee", "user")
    first = home.approvals.open(home.operator, proposal(), ONCE)
    assert home.approvals.open(lee, proposal(), ONCE).id != first.id


def test_a_key_is_forgotten_after_a_day(home: Home, clock: TurnableClock) -> None:
    """To the microsecond, and it leaves no row."""
    first = home.approvals.open(home.operator, proposal(), ONCE)
    clock.pass_time(KEPT_US / 1_000_000 - 1)
    assert home.approvals.open(home.operator, proposal(), ONCE).id == first.id
    clock.pass_time(1)
    assert home.approvals.repeated(home.operator, ONCE) is None
    assert home.approvals.open(home.operator, proposal(), ONCE).id != first.id
    with home.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM approval_keys").scalar()
    assert rows == 1
