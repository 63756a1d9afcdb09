"""Users, and the check that comes first everywhere."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.errors import Denied, Unavailable
from localai.core.files import write_private
from localai.rbac.permissions import PERMISSIONS, ROLES, Actor, Role
from localai.rbac.service import Rbac
from localai.rbac.tables import user_roles, users

INIT = """
import sys
from pathlib import Path
from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.rbac.service import Rbac
folder, login = Path(sys.argv[1]), sys.argv[2]
database = Database(folder / "localai.db")
audit = Audit(database, lambda: b"k" * 32, folder / "anchor", Clock())
operator, is_new = Rbac(database, audit, Clock()).ensure_operator(login)
print(operator.user_id, is_new)
database.close()
"""


def _user(database: Database, name: str, *roles: str) -> Actor:
    with database.transaction() as connection:
        connection.execute(sa.insert(users), {"id": name, "created_us": 1})
        for role in roles:
            connection.execute(sa.insert(user_roles), {"user_id": name, "role": role})
    return Actor(name)


def _change(database: Database, statement: sa.Update | sa.Delete) -> None:
    with database.transaction() as connection:
        connection.execute(statement)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_allows_what_it_holds_and_nothing_else(
    rbac: Rbac, database: Database, role: Role
) -> None:
    """Every permission is tried."""
    actor = _user(database, "mina", role.value)
    allowed = set()
    for permission in PERMISSIONS:
        try:
            rbac.require(actor, permission)
        except Denied:
            continue
        allowed.add(permission)
    assert allowed == ROLES[role]


def test_a_refusal_says_who_lacks_what(rbac: Rbac, database: Database) -> None:
    """And what to do about it."""
    actor = _user(database, "mina", "viewer", "user")
    with pytest.raises(Denied) as caught:
        rbac.require(actor, "approvals:decide")
    assert caught.value.message == ("mina (user, viewer) lacks the permission approvals:decide")
    assert caught.value.hint == "ask an admin for a role that has it"


def test_a_refusal_is_audited_though_the_command_failed(
    rbac: Rbac, database: Database, audit: Audit
) -> None:
    """In a transaction of its own, with the roles that were held and who acted."""
    actor = _user(database, "mina", "viewer").agent("5e55")
    with pytest.raises(Denied):
        rbac.require(actor, "files:write")
    (entry,) = audit.page().items
    assert (entry.event, entry.actor, entry.subject) == ("permission.denied", "mina", "files:write")
    assert entry.details == {"roles": ["viewer"], "kind": "agent"}
    assert audit.verify().is_whole


def test_what_is_allowed_is_not_audited(rbac: Rbac, operator: Actor, audit: Audit) -> None:
    """A check never costs a commit."""
    before = audit.page().total
    rbac.require(operator, "audit:read")
    assert audit.page().total == before


def test_an_unknown_user_is_denied(rbac: Rbac) -> None:
    """A name alone is nothing."""
    with pytest.raises(Denied, match="nobody \\(no role\\)"):
        rbac.require(Actor("nobody"), "audit:read")


def test_an_unknown_permission_is_denied_to_everyone(rbac: Rbac, operator: Actor) -> None:
    """A slip of a letter in our own code closes the door."""
    with pytest.raises(Denied):
        rbac.require(operator, "audit:raed")


def test_a_disabled_user_is_denied_from_the_next_check_on(rbac: Rbac, database: Database) -> None:
    """Whatever roles are left."""
    actor = _user(database, "mina", "admin")
    rbac.require(actor, "audit:read")
    _change(database, sa.update(users).where(users.c.id == "mina").values(is_disabled=True))
    with pytest.raises(Denied):
        rbac.require(actor, "audit:read")
    assert rbac.roles("mina") == ()


def test_a_revoked_role_is_gone_from_the_next_check_on(rbac: Rbac, database: Database) -> None:
    """Nothing is remembered from the last one."""
    actor = _user(database, "mina", "admin", "user")
    rbac.require(actor, "audit:read")
    _change(database, sa.delete(user_roles).where(user_roles.c.role == "admin"))
    with pytest.raises(Denied):
        rbac.require(actor, "audit:read")
    rbac.require(actor, "chat:use")


def test_a_missing_database_denies(home: Directories, operator: Actor, clock: Clock) -> None:
    """An empty one in its place knows nobody."""
    elsewhere = Database(home.data / "elsewhere" / "localai.db")
    audit = Audit(elsewhere, lambda: b"k" * 32, home.data / "elsewhere" / "anchor", clock)
    with pytest.raises(Denied):
        Rbac(elsewhere, audit, clock).require(operator, "audit:read")
    elsewhere.close()


def test_a_damaged_database_denies(rbac: Rbac, operator: Actor, database: Database) -> None:
    """The check cannot be made, so nothing is allowed."""
    database.close()
    database.path.write_bytes(b"not a database " * 600)
    with pytest.raises(Unavailable):
        rbac.require(operator, "audit:read")


def test_the_first_operator_is_an_admin_and_audited(rbac: Rbac, audit: Audit) -> None:
    """Made from the login name."""
    assert rbac.ensure_operator("sumin") == (Actor("sumin"), True)
    assert rbac.find_operator() == Actor("sumin")
    assert rbac.roles("sumin") == ("admin",)
    (entry,) = audit.page().items
    assert (entry.event, entry.subject) == ("operator.created", "sumin")


def test_the_operator_is_made_once(rbac: Rbac, audit: Audit) -> None:
    """Another login name later changes nothing."""
    rbac.ensure_operator("sumin")
    assert rbac.ensure_operator("jun") == (Actor("sumin"), False)
    assert audit.page().total == 1


def test_four_processes_make_one_operator(tmp_path: Path, migrated: Path) -> None:
    """At the first use of a home, with a login name each."""
    write_private(tmp_path / "localai.db", migrated.read_bytes())
    command = [sys.executable, "-c", INIT, str(tmp_path)]
    processes = [
        subprocess.Popen([*command, f"login{n}"], stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    told = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert len({name for name, _ in told}) == 1
    assert sorted(is_new for _, is_new in told) == ["False", "False", "False", "True"]


def test_a_new_home_has_no_operator(rbac: Rbac) -> None:
    """Looking for one makes none."""
    assert rbac.find_operator() is None
    assert rbac.find_operator() is None


def test_a_user_is_described_as_things_stand_now(rbac: Rbac, database: Database) -> None:
    """Roles and permissions in their order."""
    described = rbac.describe(_user(database, "mina", "viewer"))
    assert (described.name, described.roles) == ("mina", ("viewer",))
    assert described.permissions == tuple(sorted(ROLES[Role.VIEWER]))
