"""API keys: shown once, kept as an HMAC, limited, expiring, rotated, revoked."""

import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import TurnableClock

from localai.core.audit import Audit
from localai.core.db import Database
from localai.core.errors import Conflict, Denied, Invalid, LocalaiError, NotFound
from localai.core.redact import redact
from localai.core.secrets import Secrets
from localai.rbac.allowance import EVERYTHING, allowance
from localai.rbac.keys import Keys
from localai.rbac.permissions import Actor
from localai.rbac.service import Rbac
from localai.rbac.tables import api_keys
from localai.rbac.users import Users

DAY = 86_400


@pytest.fixture
def people(database: Database, audit: Audit, rbac: Rbac, clock: TurnableClock) -> Users:
    return Users(database, audit, rbac, clock)


@pytest.fixture
def keys(
    database: Database, audit: Audit, rbac: Rbac, clock: TurnableClock, secrets: Secrets
) -> Keys:
    return Keys(database, audit, rbac, clock, lambda: secrets.key("api-key-pepper"), _known)


@pytest.fixture
def mina(people: Users, operator: Actor) -> str:
    """A user with the role operator."""
    return people.add(operator, "mina", ["operator"]).name


def _known(_: Actor) -> set[str]:
    return {"auto", "chat", "code", "gemma"}


def _checked(body: str) -> str:
    return f"{body}_{zlib.crc32(body.encode()):08x}"


def test_a_key_acts_as_its_user(keys: Keys, operator: Actor, mina: str, rbac: Rbac) -> None:
    """With all that the user may, and no more."""
    made = keys.create(operator, mina, lifetime_s=DAY)
    caller = keys.authenticate(f"{made.key}\n")
    assert (caller.user_id, caller.key, caller.kind) == ("mina", made.id, "human")
    rbac.require(caller, "approvals:decide")
    with pytest.raises(Denied, match="lacks the permission"):
        rbac.require(caller, "users:write")


def test_a_key_can_be_for_less(
    keys: Keys, operator: Actor, mina: str, rbac: Rbac, audit: Audit
) -> None:
    """And for nothing that its user does not hold, now or later."""
    made = keys.create(operator, mina, lifetime_s=DAY, permissions=["audit:read", "rag:read"])
    caller = keys.authenticate(made.key)
    assert rbac.permissions(caller) == {"audit:read", "rag:read"}
    rbac.require(caller, "rag:read")
    with pytest.raises(Denied, match="is not for chat:use"):
        rbac.require(caller, "chat:use")
    assert audit.page().items[0].details["key"] == made.id
    with pytest.raises(Invalid, match="does not hold users:write"):
        keys.create(operator, mina, lifetime_s=DAY, permissions=["users:write"])
    with pytest.raises(Invalid, match="not a permission"):
        keys.create(operator, mina, lifetime_s=DAY, permissions=["rag:raed"])


def test_a_limited_key_loses_what_its_user_loses(
    keys: Keys, people: Users, operator: Actor, mina: str, rbac: Rbac
) -> None:
    """At the next check."""
    made = keys.create(operator, mina, lifetime_s=DAY, permissions=["approvals:decide"])
    caller = keys.authenticate(made.key)
    rbac.require(caller, "approvals:decide")
    people.set_roles(operator, mina, ["viewer"])
    with pytest.raises(Denied):
        rbac.require(caller, "approvals:decide")


def test_the_secret_is_nowhere_but_in_the_answer(
    keys: Keys, operator: Actor, mina: str, database: Database, audit: Audit
) -> None:
    """Not in the database, not in the audit, not in a log."""
    made = keys.create(operator, mina, lifetime_s=DAY)
    secret = made.key.split("_")[2]
    assert len(bytes.fromhex(secret)) == 32
    told = [str(entry) for entry in audit.page().items]
    assert not any(secret in entry for entry in told)
    assert secret not in redact(f"called with {made.key}")
    database.close()
    assert secret.encode() not in database.path.read_bytes()


@pytest.mark.parametrize(
    "text",
    ["", "lai_", "hello", "lai_0123456789abcdef_" + "0" * 64 + "_00000000", "lai_x_y_z"],
)
def test_what_is_no_key_is_told_from_a_wrong_one(keys: Keys, text: str) -> None:
    """The checksum finds a slip of the hand."""
    with pytest.raises(Denied, match="not an API key of localai"):
        keys.authenticate(text)


def test_no_changed_key_is_accepted(keys: Keys, operator: Actor, mina: str) -> None:
    """Whatever digit changed, with the checksum made right for it."""
    made = keys.create(operator, mina, lifetime_s=DAY)
    body = made.key.rpartition("_")[0]
    rng = random.Random(4)
    for place in rng.sample(range(4, len(body)), 60):
        digit = rng.choice([each for each in "0123456789abcdef" if each != body[place]])
        if body[place] == "_":
            continue
        changed = body[:place] + digit + body[place + 1 :]
        with pytest.raises(Denied):
            keys.authenticate(made.key.replace(body, changed))
        with pytest.raises(Denied, match="no such API key"):
            keys.authenticate(_checked(changed))


def test_a_key_ends_when_it_was_said_to(
    keys: Keys, operator: Actor, mina: str, rbac: Rbac, clock: TurnableClock
) -> None:
    """For a caller who is already there, too."""
    made = keys.create(operator, mina, lifetime_s=DAY)
    caller = keys.authenticate(made.key)
    clock.advance(DAY - 1)
    rbac.require(caller, "rag:read")
    clock.advance(1)
    with pytest.raises(Denied, match="has expired"):
        rbac.require(caller, "rag:read")
    with pytest.raises(Denied, match="has expired"):
        keys.authenticate(made.key)
    assert keys.list(operator).items[0].status == "expired"


def test_a_revoked_key_is_refused_at_the_next_check(
    keys: Keys, operator: Actor, mina: str, rbac: Rbac, audit: Audit
) -> None:
    """And cannot be revoked twice."""
    made = keys.create(operator, mina, lifetime_s=DAY)
    caller = keys.authenticate(made.key)
    rbac.require(caller, "rag:read")
    assert keys.revoke(operator, made.id[:6]).status == "revoked"
    with pytest.raises(Denied, match="was revoked"):
        rbac.require(caller, "rag:read")
    with pytest.raises(Denied, match="was revoked"):
        keys.authenticate(made.key)
    assert audit.page().items[0].event == "key.refused"
    with pytest.raises(Conflict, match="is revoked"):
        keys.revoke(operator, made.id)


def test_who_tries_keys_does_not_fill_the_audit(
    keys: Keys, operator: Actor, mina: str, audit: Audit, clock: TurnableClock
) -> None:
    """Sixty a minute are written, and how many were not; what another key does is not hidden."""
    lost = keys.create(operator, mina, lifetime_s=DAY)
    keys.revoke(operator, lost.id)
    before = audit.page().total
    for number in range(200):
        with pytest.raises(Denied, match="no such API key"):
            keys.authenticate(_checked(f"lai_{number:016x}_{'0' * 64}"))
    assert audit.page().total == before + 60
    with pytest.raises(Denied, match="was revoked"):
        keys.authenticate(lost.key)
    assert audit.page().items[0].details == {"reason": "revoked", "left_out": 0}
    clock.advance(60)
    with pytest.raises(Denied, match="no such API key"):
        keys.authenticate(_checked(f"lai_{'f' * 16}_{'0' * 64}"))
    assert audit.page().items[0].details == {"reason": "unknown", "left_out": 140}


def test_memory_knows_the_keys_that_hold_and_no_other(
    keys: Keys, operator: Actor, mina: str, people: Users
) -> None:
    """Whatever it does not know is for the database to tell."""
    made, other = (keys.create(operator, mina, lifetime_s=DAY) for _ in range(2))
    assert keys.known(made.key) == keys.authenticate(made.key)
    body = made.key.rpartition("_")[0]
    assert keys.known(_checked(body[:-1] + ("0" if body[-1] != "0" else "1"))) is None
    assert keys.known(_checked(body.replace(made.id, "0" * 16))) is None
    with pytest.raises(Denied, match="not an API key"):
        keys.known("hello")
    keys.revoke(operator, made.id)
    assert keys.known(made.key) is None
    assert keys.known(other.key) is not None
    people.set_disabled(operator, mina, disabled=True)
    assert keys.known(other.key) is None


def test_a_rotated_key_overlaps_with_the_new_one(
    keys: Keys, operator: Actor, mina: str, clock: TurnableClock
) -> None:
    """The new one has the limits and the span of the old one, whose end is near."""
    old = keys.create(operator, mina, lifetime_s=90 * DAY, permissions=["rag:read"])
    clock.advance(10 * DAY)
    new = keys.rotate(operator, old.id, overlap_s=DAY)
    assert new.permissions == ("rag:read",)
    assert keys.authenticate(old.key).user_id == keys.authenticate(new.key).user_id == "mina"
    clock.advance(DAY)
    with pytest.raises(Denied, match="has expired"):
        keys.authenticate(old.key)
    clock.advance(88 * DAY)
    assert keys.authenticate(new.key).key == new.id
    listed = {key.id: key for key in keys.list(operator).items}
    assert listed[old.id].replaced_by == new.id


def test_a_rotation_never_makes_the_old_key_hold_longer(
    keys: Keys, operator: Actor, mina: str
) -> None:
    """Its own end wins."""
    old = keys.create(operator, mina, lifetime_s=60)
    keys.rotate(operator, old.id, overlap_s=DAY)
    assert keys.list(operator).items[0].expires_at == old.expires_at


def test_the_key_of_a_disabled_user_is_refused(
    keys: Keys, people: Users, operator: Actor, mina: str
) -> None:
    """And none is made for one."""
    made = keys.create(operator, mina, lifetime_s=DAY)
    people.set_disabled(operator, mina, disabled=True)
    with pytest.raises(Denied, match="user is disabled"):
        keys.authenticate(made.key)
    with pytest.raises(Conflict, match="is disabled"):
        keys.create(operator, mina, lifetime_s=DAY)
    with pytest.raises(NotFound):
        keys.create(operator, "nobody", lifetime_s=DAY)


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "sumin"},
        {"permissions": None},
        {"expires_us": 2**60},
        {"mac": "0" * 64},
        {"lifetime_s": 1},
        {"models": '["chat"]'},
        {"requests_per_minute": 5},
        {"tokens_per_day": 5},
    ],
)
def test_the_database_refuses_a_key_that_grows(
    keys: Keys, operator: Actor, mina: str, database: Database, change: dict[str, object]
) -> None:
    """Whoever holds the connection."""
    keys.create(operator, mina, lifetime_s=DAY, permissions=["rag:read"])
    with pytest.raises(LocalaiError), database.transaction() as connection:
        connection.execute(sa.update(api_keys).values(**change))
    with pytest.raises(LocalaiError), database.transaction() as connection:
        connection.execute(sa.delete(api_keys))


def test_a_key_is_for_some_models_and_so_much(
    keys: Keys, operator: Actor, mina: str, rbac: Rbac, audit: Audit
) -> None:
    """It is listed so, the audit has it, and a key in its place is for the same."""
    allowed = allowance(["chat,gemma", "auto"], 60, 1_000)
    made = keys.create(operator, mina, lifetime_s=DAY, allowed=allowed)
    assert audit.page().items[0].details["allowed"] == (
        "auto, chat, gemma; 60 requests a minute; 1,000 tokens a day"
    )
    new = keys.rotate(operator, made.id, overlap_s=1)
    for key in (made, new, *keys.list(operator).items):
        limits = (key.models, key.requests_per_minute, key.tokens_per_day)
        assert limits == (("auto", "chat", "gemma"), 60, 1_000)
    assert rbac.allowance(keys.authenticate(new.key)) == allowed
    free = keys.create(operator, mina, lifetime_s=DAY)
    assert rbac.allowance(keys.authenticate(free.key)) == EVERYTHING
    with pytest.raises(NotFound, match="no model gemmma"):
        keys.create(operator, mina, lifetime_s=DAY, allowed=allowance(["gemmma"]))


@pytest.mark.parametrize(
    "given",
    [
        {"models": ["auto"]},
        {"models": [" , "]},
        {"models": ["a" * 201]},
        {"models": [",".join(map(str, range(65)))]},
        {"requests_per_minute": 0},
        {"requests_per_minute": 1_000_001},
        {"tokens_per_day": -1},
        {"tokens_per_day": 10**9 + 1},
    ],
)
def test_what_allows_nothing_or_has_no_end_is_refused(given: Any) -> None:
    """Auto alone, too: it chooses among others."""
    with pytest.raises(Invalid):
        allowance(**given)


def test_keys_are_listed_in_pages(keys: Keys, operator: Actor, mina: str) -> None:
    """The cursor of one is the start of the next."""
    made = {keys.create(operator, mina, lifetime_s=DAY).id for _ in range(3)}
    first = keys.list(operator, limit=2)
    second = keys.list(operator, limit=2, cursor=first.next)
    assert {key.id for key in (*first.items, *second.items)} == made
    assert (first.total, second.next) == (3, None)
    with pytest.raises(Invalid):
        keys.list(operator, cursor="nothing")


@pytest.mark.parametrize(
    "act",
    [
        lambda keys, actor: keys.create(actor, "sumin", lifetime_s=DAY),
        lambda keys, actor: keys.list(actor),
        lambda keys, actor: keys.rotate(actor, "0123", overlap_s=1),
        lambda keys, actor: keys.revoke(actor, "0123"),
    ],
)
def test_every_method_checks_its_permission_first(
    keys: Keys, mina: str, act: Callable[[Keys, Actor], object]
) -> None:
    """An operator makes no keys."""
    with pytest.raises(Denied, match="keys:write"):
        act(keys, Actor(mina))
