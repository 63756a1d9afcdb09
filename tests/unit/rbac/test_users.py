"""Users: added, given roles, disabled; and who is calling."""

from collections.abc import Callable

import pytest

from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import Conflict, Denied, Invalid, NotFound
from localai.rbac.permissions import PERMISSIONS, ROLES, Actor, Role
from localai.rbac.service import Rbac
from localai.rbac.users import Users


@pytest.fixture
def people(database: Database, audit: Audit, rbac: Rbac, clock: Clock) -> Users:
    return Users(database, audit, rbac, clock)


def test_a_user_holds_what_the_roles_hold(people: Users, operator: Actor, rbac: Rbac) -> None:
    """From the moment they are added."""
    added = people.add(operator, "mina", ["viewer", "user", "viewer"])
    assert added.roles == ("viewer", "user")
    assert set(added.permissions) == ROLES[Role.VIEWER] | ROLES[Role.USER]
    rbac.require(Actor("mina"), "chat:use")
    assert people.get(operator, "mina") == added


def test_roles_replace_roles(people: Users, operator: Actor, rbac: Rbac, audit: Audit) -> None:
    """Those before are gone, and both stand in the audit."""
    people.add(operator, "mina", ["user"])
    assert people.set_roles(operator, "mina", ["viewer"]).roles == ("viewer",)
    with pytest.raises(Denied):
        rbac.require(Actor("mina"), "chat:use")
    set_roles = audit.page().items[1]
    assert set_roles.event == "user.roles-set"
    assert set_roles.details == {"before": ["user"], "roles": ["viewer"]}


def test_a_disabled_user_may_nothing_until_enabled(
    people: Users, operator: Actor, rbac: Rbac, audit: Audit
) -> None:
    """The name and the roles stay."""
    people.add(operator, "mina", ["admin"])
    disabled = people.set_disabled(operator, "mina", disabled=True)
    assert (disabled.is_disabled, disabled.roles, disabled.permissions) == (True, ("admin",), ())
    with pytest.raises(Denied):
        rbac.require(Actor("mina"), "audit:read")
    people.set_disabled(operator, "mina", disabled=False)
    people.set_disabled(operator, "mina", disabled=False)
    rbac.require(Actor("mina"), "audit:read")
    events = [entry.event for entry in audit.page().items]
    assert events[:2] == ["user.enabled", "permission.denied"]


def test_the_operator_stays_an_admin(people: Users, operator: Actor) -> None:
    """A home whose last door is locked from inside helps nobody."""
    people.add(operator, "mina", ["admin"])
    mina = Actor("mina")
    with pytest.raises(Conflict, match="stays an admin"):
        people.set_roles(mina, "sumin", ["viewer"])
    with pytest.raises(Conflict, match="stays an admin"):
        people.set_disabled(mina, "sumin", disabled=True)
    people.set_roles(mina, "sumin", ["admin", "user"])


def test_a_name_is_taken_once(people: Users, operator: Actor) -> None:
    """By disabled users, too: what they did stays theirs."""
    people.add(operator, "mina", ["user"])
    people.set_disabled(operator, "mina", disabled=True)
    with pytest.raises(Conflict):
        people.add(operator, "mina", ["admin"])


@pytest.mark.parametrize(
    "name",
    [
        "",
        " mina",
        "mi na",
        "-mina",
        "mina\n",
        "mi\u200bna",
        "min\u0430",  # a Cyrillic a
        "\uff4dina",  # a full-width m
        "m" * 65,
        "system",
        "sumin as mina",
    ],
)
def test_a_name_that_looks_like_another_is_refused(
    people: Users, operator: Actor, name: str
) -> None:
    """It will stand in the audit, and in what people are asked."""
    with pytest.raises(Invalid):
        people.add(operator, name, ["user"])


@pytest.mark.parametrize("name", ["mina", "민아", "mina.k", "mina@example.org", "m", "jun-2"])
def test_plain_names_are_names(people: Users, operator: Actor, name: str) -> None:
    """Korean ones, too."""
    assert people.add(operator, name, ["user"]).name == name


@pytest.mark.parametrize("roles", [["root"], ["Admin"], ["user", ""]])
def test_a_role_that_is_none_changes_nothing(
    people: Users, operator: Actor, roles: list[str]
) -> None:
    """The roles that there are stand in the hint."""
    with pytest.raises(Invalid) as caught:
        people.add(operator, "mina", roles)
    assert caught.value.hint == "one of admin, operator, viewer, user"
    with pytest.raises(NotFound):
        people.get(operator, "mina")


def test_users_are_listed_in_pages(people: Users, operator: Actor) -> None:
    """The cursor of one is the start of the next."""
    for n in range(4):
        people.add(operator, f"user{n}", ["user"])
    first = people.list(operator, limit=3)
    second = people.list(operator, limit=3, cursor=first.next)
    names = [user.name for user in (*first.items, *second.items)]
    assert names == ["sumin", "user0", "user1", "user2", "user3"]
    assert (first.total, second.next) == (5, None)
    with pytest.raises(Invalid):
        people.list(operator, cursor="nobody")


def test_everybody_may_ask_who_they_are(people: Users, operator: Actor) -> None:
    """Somebody without a role, too."""
    told = people.whoami(Actor("stranger"))
    assert (told.roles, told.permissions) == ((), ())
    assert people.whoami(operator).permissions == tuple(PERMISSIONS)
    assert people.whoami(operator).known_by == "this home, whose operator it is"


def test_the_operator_can_try_a_user_and_gains_nothing(people: Users, operator: Actor) -> None:
    """Only what both would see."""
    people.add(operator, "mina", ["viewer"])
    trying = people.trial(operator, "mina")
    assert set(people.whoami(trying).permissions) == ROLES[Role.VIEWER]
    assert "sumin" in people.whoami(trying).known_by
    with pytest.raises(NotFound):
        people.trial(operator, "nobody")


def test_roles_are_told_with_what_they_hold(people: Users, operator: Actor) -> None:
    """In the order of the table."""
    listed = people.roles(operator)
    assert [role.name for role in listed.items] == ["admin", "operator", "viewer", "user"]
    assert set(people.role(operator, "viewer").permissions) == ROLES[Role.VIEWER]
    with pytest.raises(Invalid):
        people.role(operator, "root")


@pytest.mark.parametrize(
    ("permission", "act"),
    [
        ("users:read", lambda people, actor: people.list(actor)),
        ("users:read", lambda people, actor: people.get(actor, "sumin")),
        ("users:read", lambda people, actor: people.roles(actor)),
        ("users:read", lambda people, actor: people.role(actor, "admin")),
        ("users:write", lambda people, actor: people.add(actor, "eve", ["admin"])),
        ("users:write", lambda people, actor: people.set_roles(actor, "jun", ["admin"])),
        ("users:write", lambda people, actor: people.set_disabled(actor, "jun", disabled=True)),
    ],
)
def test_every_method_checks_its_permission_first(
    people: Users,
    operator: Actor,
    permission: str,
    act: Callable[[Users, Actor], object],
) -> None:
    """Nobody makes themselves an admin."""
    people.add(operator, "jun", ["user"])
    before = people.list(operator)
    with pytest.raises(Denied, match=permission):
        act(people, Actor("jun"))
    assert people.list(operator) == before
