"""What a key may ask for: counted exactly, also where many ask at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from conftest import TurnableClock

from localai.core.audit import Audit
from localai.core.db import Database
from localai.core.errors import Invalid, TooOften
from localai.rbac.allowance import Allowance
from localai.rbac.permissions import Actor
from localai.rbac.quotas import Quotas

MINA = Actor("mina", key="k" * 16)
Made = Callable[..., Quotas]


@pytest.fixture
def made(database: Database, audit: Audit, clock: TurnableClock) -> Made:
    return lambda **limits: Quotas(database, audit, clock, lambda _: Allowance(**limits))


def test_many_at_once_are_as_many_as_was_said(made: Made, audit: Audit) -> None:
    """And of all that were refused the audit keeps one row."""
    quotas = made(requests_per_minute=17)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: quotas.admit(MINA), range(60)))
    assert [each.refusal is None for each in found].count(True) == 17
    (entry,) = audit.page().items
    assert (entry.event, entry.subject) == ("key.limited", MINA.key)
    assert entry.details == {"limit": "requests", "rate": "17 times in 60 s"}


def test_a_refusal_says_when_to_come_again_and_it_is_true(made: Made, clock: TurnableClock) -> None:
    """Each request comes back after its share of the minute."""
    quotas = made(requests_per_minute=4)
    standings = [quotas.admit(MINA).standings[0] for _ in range(4)]
    assert [each.left for each in standings] == [3, 2, 1, 0]
    assert standings[-1].full_in_us == 60_000_000
    refusal = quotas.admit(MINA).refusal
    assert refusal is not None
    assert refusal.wait_s == 15
    clock.advance(15)
    assert quotas.admit(MINA).refusal is None


def test_each_key_has_its_own(made: Made) -> None:
    """Also where both are of one user."""
    quotas = made(requests_per_minute=1)
    others = [MINA, Actor("mina", key="o" * 16), Actor("jun", key="j" * 16)]
    assert all(quotas.admit(each).refusal is None for each in others)
    assert all(quotas.admit(each).refusal is not None for each in others)


def test_a_key_without_limits_writes_nothing(made: Made, database: Database) -> None:
    """It costs no transaction."""
    before = database.stamp()
    quotas = made(models=("chat",))
    assert quotas.admit(MINA).standings == ()
    with quotas.spending(MINA, lambda: 1_000_000, None) as spending:
        assert spending.granted is None
    assert database.stamp() == before


def test_what_is_not_spent_is_there_again(made: Made) -> None:
    """And what one has set apart is nobody else's until then."""
    quotas = made(tokens_per_day=100)
    with quotas.spending(MINA, lambda: 20, 50) as first:
        assert first.granted == 50
        with quotas.spending(MINA, lambda: 10, None) as second:
            assert second.granted == 20
            second.spend(12)
        first.spend(30)
    assert quotas.admit(MINA).standings[0].left == 58


def test_an_answer_that_fails_costs_nothing(made: Made) -> None:
    """Nothing was spent."""
    quotas = made(tokens_per_day=100)
    with pytest.raises(KeyError), quotas.spending(MINA, lambda: 20, 50):
        raise KeyError
    assert quotas.admit(MINA).standings[0].left == 100


def test_tokens_come_back_in_a_day(made: Made, clock: TurnableClock, audit: Audit) -> None:
    """A text that has too many may come again; one that never fits is wrong."""
    quotas = made(tokens_per_day=100)
    with quotas.spending(MINA, lambda: 99, None) as spending:
        spending.spend(100)
    with pytest.raises(TooOften) as refused, quotas.spending(MINA, lambda: 24, None):
        pass
    assert refused.value.wait_s == 6 * 3600
    assert audit.page().items[0].details["limit"] == "tokens"
    clock.advance(6 * 3600)
    with quotas.spending(MINA, lambda: 24, None) as spending:
        assert spending.granted == 1
    with quotas.spending(MINA, lambda: 25, 0) as spending:
        assert spending.granted == 0
    with pytest.raises(Invalid, match="100 a day"), quotas.spending(MINA, lambda: 100, None):
        pass


def test_what_was_spent_beyond_is_owed(made: Made, clock: TurnableClock) -> None:
    """A template may write more than anybody counted."""
    quotas = made(tokens_per_day=100)
    with quotas.spending(MINA, lambda: 90, 10) as spending:
        spending.spend(125)
    clock.advance(6 * 3600)
    assert quotas.admit(MINA).standings[0].left == 0
    clock.advance(3600)
    assert quotas.admit(MINA).standings[0].left == 4


def test_threads_never_set_apart_more_than_there_is(made: Made) -> None:
    """Each grant is held until all have asked."""
    quotas, held = made(tokens_per_day=1_000), ExitStack()

    def one(_: int) -> int:
        try:
            return 30 + (held.enter_context(quotas.spending(MINA, lambda: 30, 20)).granted or 0)
        except TooOften:
            return 0

    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(one, range(40)))
    assert sum(granted) <= 1_000
    assert sum(granted) > 1_000 - 31
    held.close()
    assert quotas.admit(MINA).standings[0].left == 1_000
