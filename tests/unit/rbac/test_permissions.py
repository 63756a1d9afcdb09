"""The tables of permissions and roles, and the actor."""

import re

import pytest

from localai.rbac.permissions import PERMISSIONS, ROLES, Actor, Risk, Role, permissions_of

ADMINISTERS = {
    "users:write",
    "keys:write",
    "policy:write",
    "config:write",
    "secrets:write",
    "backup:write",
}
READS = {
    "sessions:read",
    "models:read",
    "rag:read",
    "tools:read",
    "files:read",
    "approvals:read",
    "policy:read",
    "users:read",
    "audit:read",
}


def test_there_are_25_permissions_of_a_noun_and_a_verb() -> None:
    """Each is explained."""
    assert len(PERMISSIONS) == 25
    assert all(
        re.fullmatch(r"[a-z]+:(read|write|use|run|decide|cancel)", name) for name in PERMISSIONS
    )
    assert all(PERMISSIONS.values())


def test_an_admin_holds_every_permission() -> None:
    """The operator of a home is one."""
    assert ROLES[Role.ADMIN] == PERMISSIONS.keys()


def test_an_operator_works_and_decides_but_does_not_administer() -> None:
    """No users, keys, policy, settings, secrets, backups."""
    assert PERMISSIONS.keys() - ROLES[Role.OPERATOR] == ADMINISTERS
    assert "approvals:decide" in ROLES[Role.OPERATOR]


def test_a_viewer_reads_and_nothing_else() -> None:
    """Neither talks, nor runs, nor decides."""
    assert ROLES[Role.VIEWER] == READS


def test_a_user_works_and_asks_but_never_decides() -> None:
    """A user's programs are not run, and their own requests can be withdrawn."""
    assert ROLES[Role.USER] == {
        "chat:use",
        "sessions:read",
        "sessions:write",
        "models:read",
        "rag:read",
        "tools:read",
        "tools:run",
        "files:read",
        "files:write",
        "approvals:read",
        "approvals:cancel",
    }


def test_every_role_names_known_permissions_alone() -> None:
    """A slip of a letter would grant nothing, silently."""
    assert set(ROLES) == set(Role)
    assert all(held <= PERMISSIONS.keys() for held in ROLES.values())


@pytest.mark.parametrize(
    ("roles", "held"),
    [
        ((), set()),
        (("stranger",), set()),
        (("ADMIN",), set()),
        (("viewer",), READS),
        (("viewer", "user"), READS | ROLES[Role.USER]),
        (("stranger", "viewer"), READS),
    ],
)
def test_roles_add_up_and_unknown_ones_give_nothing(roles: tuple[str, ...], held: set[str]) -> None:
    """A role of a newer version, read by this one, is no permission."""
    assert permissions_of(roles) == held


def test_risks_are_ordered_and_have_words() -> None:
    """The words stand in records, the order decides."""
    assert [risk.word for risk in sorted(Risk)] == ["low", "medium", "high", "critical"]


def test_an_agent_is_its_user_and_no_person() -> None:
    """The same roles, another kind."""
    agent = Actor("sumin").agent("5e55")
    assert (agent.user_id, agent.kind, agent.session) == ("sumin", "agent", "5e55")
