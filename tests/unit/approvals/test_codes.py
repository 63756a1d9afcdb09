"""One-time codes: whose they are, that each counts once, that guesses are few."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pyotp
import pytest
import sqlalchemy as sa
from approvals_home import Home, TurnableClock, action, proposal

from localai.approvals.service import Approvals
from localai.core.errors import Conflict, Denied, Expired, Invalid, NotFound
from localai.core.rate import Rate
from localai.rbac.codes import Codes
from localai.rbac.limits import Limits
from localai.rbac.permissions import Risk
from localai.rbac.tables import codes as table


@pytest.fixture
def codes(home: Home) -> Codes:
    """The codes of the home."""
    guesses = Limits(home.database, home.audit, home.clock, Rate(calls=5, seconds=300))
    key = b"k" * 32
    return Codes(home.database, home.audit, home.rbac, home.clock, lambda: key, guesses.take)


@pytest.fixture
def app_code(home: Home, codes: Codes, clock: TurnableClock) -> Callable[[], str]:
    """What the operator's app shows now, confirmed a minute ago."""
    app = pyotp.TOTP(codes.new(home.operator).secret)
    codes.confirm(home.operator, app.at(clock.now_us() // 1_000_000))
    clock.pass_time(90)
    return lambda: app.at(clock.now_us() // 1_000_000)


def test_the_uri_is_the_one_that_apps_read(home: Home, codes: Codes) -> None:
    """A secret that was not confirmed is shown again and does not count."""
    made = codes.new(home.operator)
    assert codes.new(home.operator) == made
    read = pyotp.parse_uri(made.uri)
    assert (read.secret, read.name, read.issuer) == (made.secret, "kim", "localai")
    assert not codes.has("kim")


def test_a_code_counts_once(
    home: Home, codes: Codes, app_code: Callable[[], str], clock: TurnableClock
) -> None:
    """And no older one after it."""
    before = app_code()
    clock.pass_time(30)
    taken = codes.claim(home.operator, app_code())
    with home.database.transaction() as connection:
        taken(connection)
    for again in (app_code(), before):
        take = codes.claim(home.operator, again)
        with pytest.raises(Denied, match="used already"), home.database.transaction() as connection:
            take(connection)
    clock.pass_time(30)
    taken = codes.claim(home.operator, app_code())
    with home.database.transaction() as connection:
        taken(connection)


def test_guesses_are_few_and_written_down(
    home: Home, codes: Codes, app_code: Callable[[], str]
) -> None:
    """Even the right one is not looked at after too many wrong ones."""
    for _ in range(5):
        with pytest.raises(Denied, match="not the code"):
            codes.claim(home.operator, "not it")
    with pytest.raises(Denied, match="try again in"):
        codes.claim(home.operator, app_code())
    assert home.events("kim").count("codes.refused") == 5


def test_a_new_secret_needs_the_old_code(
    home: Home, codes: Codes, app_code: Callable[[], str], clock: TurnableClock
) -> None:
    """Until an admin takes it away; none of the old codes comes back."""
    with pytest.raises(Denied, match="none was given"):
        codes.new(home.operator)
    old = codes.new(home.operator, app_code())
    with pytest.raises(Denied, match="used already"):
        codes.new(home.operator, app_code())
    codes.remove(home.operator, "kim")
    with pytest.raises(Denied, match="for a code"):
        codes.claim(home.operator, app_code())
    clock.pass_time(300)
    renewed = codes.new(home.operator)
    assert renewed.secret != old.secret
    with pytest.raises(Denied, match="not the code"):
        codes.confirm(home.operator, app_code())
    with pytest.raises(NotFound):
        codes.remove(home.operator, "kim")


def test_codes_are_a_persons_own(home: Home, codes: Codes) -> None:
    """No agent and no trial of another user gets a secret; who decides nothing needs none."""
    for actor in (home.operator.agent("s"), replace(home.operator, by="ana")):
        with pytest.raises(Invalid):
            codes.new(actor)
    with pytest.raises(Denied):
        codes.new(home.add_user("eve", "user"))


def test_the_database_takes_no_code_twice(
    home: Home, codes: Codes, app_code: Callable[[], str]
) -> None:
    """Whoever holds the connection."""
    assert codes.has("kim")
    for change in (
        sa.update(table).values(step=table.c.step - 1),
        sa.update(table).values(generation=0),
        sa.delete(table),
    ):
        with pytest.raises(Conflict), home.database.transaction() as connection:
            connection.execute(change)


def test_critical_risk_takes_a_code(
    home: Home, codes: Codes, app_code: Callable[[], str], clock: TurnableClock
) -> None:
    """A decision that does not stand has not used it up."""
    approvals = Approvals(
        *(home.database, home.audit, home.rbac, home.clock),
        timeout_s=300,
        grant_s=900,
        proof=codes.claim,
    )
    high = approvals.open(home.operator, proposal())
    assert not approvals.asks_for_code(high.risk)
    approvals.approve(home.operator, high.id, seen_sha256=high.action_sha256)
    opened = approvals.open(home.operator, replace(proposal(), risk=Risk.CRITICAL))
    assert approvals.asks_for_code(opened.risk)
    approve = partial(approvals.approve, home.operator, opened.id)
    with pytest.raises(Denied, match="none was given"):
        approve(seen_sha256=opened.action_sha256)
    with pytest.raises(Conflict):
        approve(seen_sha256="0" * 64, code=app_code())
    found = approve(seen_sha256=opened.action_sha256, code=app_code())
    assert found.status == "approved"
    assert approvals.claim(home.operator, opened.id, action())
    other = approvals.open(home.operator, replace(proposal(), risk=Risk.CRITICAL))
    with pytest.raises(Denied, match="used already"):
        approvals.approve(home.operator, other.id, seen_sha256=other.action_sha256, code=app_code())
    changed = replace(proposal(arguments={"path": "b", "content": ""}), risk=Risk.CRITICAL)
    amend = partial(approvals.amend, home.operator, other.id, changed)
    with pytest.raises(Denied, match="none was given"):
        amend(seen_sha256=other.action_sha256)
    clock.pass_time(60)
    assert amend(seen_sha256=other.action_sha256, code=app_code()).status == "approved"
    late = approvals.open(home.operator, replace(proposal(), risk=Risk.CRITICAL))
    clock.pass_time(400)
    with pytest.raises(Expired):
        approvals.approve(home.operator, late.id, seen_sha256=late.action_sha256, code=app_code())
