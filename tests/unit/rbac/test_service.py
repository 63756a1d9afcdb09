"""Users, and the check that comes first everywhere."""

import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.counters import counted, counters
from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.errors import Denied, Unavailable
from localai.core.files import write_private
from localai.core.metrics import CHECKS
from localai.core.tally import Tally
from localai.rbac.permissions import PERMISSIONS, ROLES, Actor, Role
from localai.rbac.service import Rbac
from localai.rbac.tables import user_roles, users

INIT = """
import sys
from pathlib import Path
from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.tally import Tally
from localai.rbac.service import Rbac
folder, login = Path(sys.argv[1]), sys.argv[2]
database = Database(folder / "localai.db")
audit = Audit(database, lambda: b"k" * 32, folder / "anchor", Clock())
operator, is_new = Rbac(database, audit, Clock(), Tally(database)).ensure_operator(login)
print(operator.user_id, is_new)
database.close()
"""


def _checks(rbac: Rbac) -> dict[tuple[str, str], int]:
    """All that were counted, by result and roles."""
    with rbac._database.read():
        pass  # what is closed is not written to
    rbac._tally.flush()
    found = counted(rbac._database, CHECKS)
    return {(labels["result"], labels["role"]): times for labels, times in found}


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
    assert caught.value.message == ("mina (viewer, user) lacks the permission approvals:decide")
    assert "ai users whoami" in (caught.value.hint or "")


def test_a_refusal_is_audited_though_the_command_failed(
    rbac: Rbac, database: Database, audit: Audit
) -> None:
    """In a transaction of its own, with the roles that were held and who acted."""
    actor = _user(database, "mina", "viewer").agent("5e55")
    with pytest.raises(Denied):
        rbac.require(actor, "files:write")
    (entry,) = audit.page().items
    assert (entry.event, entry.actor, entry.subject) == ("permission.denied", "mina", "files:write")
    assert entry.details == {
        "roles": ["viewer"],
        "kind": "agent",
        "reason": "mina (viewer) lacks the permission files:write",
    }
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
        Rbac(elsewhere, audit, clock, Tally(elsewhere)).require(operator, "audit:read")
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


def test_a_role_that_another_process_takes_is_gone_at_the_next_check(
    rbac: Rbac, database: Database
) -> None:
    """And one that it gives is there, too: what is remembered is good until something changes."""
    actor = _user(database, "mina", "user")
    rbac.require(actor, "chat:use")
    elsewhere = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute(\"UPDATE user_roles SET role = ? WHERE user_id = 'mina'\", [sys.argv[2]])\n"
    )
    command = [sys.executable, "-c", elsewhere, str(database.path)]
    subprocess.run([*command, "viewer"], check=True)
    with pytest.raises(Denied):
        rbac.require(actor, "chat:use")
    subprocess.run([*command, "admin"], check=True)
    rbac.require(actor, "users:write")


def test_a_database_that_vanishes_denies(rbac: Rbac, operator: Actor, database: Database) -> None:
    """Though it is still open, and had allowed it a moment before."""
    rbac.require(operator, "audit:read")
    database.path.unlink()
    with pytest.raises(Unavailable):
        rbac.require(operator, "audit:read")


def test_a_database_that_is_put_in_its_place_is_the_one_that_counts(
    rbac: Rbac, operator: Actor, database: Database, migrated: Path, home: Directories
) -> None:
    """Nobody of the old one is known in it."""
    rbac.require(operator, "audit:read")
    (home.keys / "audit.anchor").unlink()
    database.path.with_suffix(".new").write_bytes(migrated.read_bytes())
    database.path.with_suffix(".new").replace(database.path)
    for suffix in ("-wal", "-shm"):
        Path(f"{database.path}{suffix}").unlink(missing_ok=True)
    with pytest.raises(Denied, match="no role"):
        rbac.require(operator, "audit:read")


def test_checks_are_counted_by_result_and_role(
    rbac: Rbac, operator: Actor, database: Database
) -> None:
    """What was allowed without a commit, what was refused with its audit row."""
    mina = _user(database, "mina", "viewer", "user")
    for _ in range(5):
        rbac.require(operator, "audit:read")
    for _ in range(2):
        with pytest.raises(Denied):
            rbac.require(mina, "users:write")
    rbac.require(mina, "chat:use")
    made = {("allowed", "admin"): 5, ("denied", "viewer+user"): 2, ("allowed", "viewer+user"): 1}
    assert _checks(rbac) == made
    rbac._tally.close()
    assert _checks(rbac) == made


def test_counts_are_written_within_a_second_and_added_up(
    rbac: Rbac, operator: Actor, database: Database, audit: Audit, clock: Clock
) -> None:
    """By whoever counted; another process reads them."""
    other = Rbac(database, audit, clock, Tally(database))
    other.require(operator, "audit:read")
    other._tally.close()
    rbac.require(operator, "audit:read")
    deadline = time.monotonic() + 20
    query = sa.select(counters.c.value).where(counters.c.name == CHECKS.name)
    while True:
        with database.read() as connection:
            if connection.scalar(query) == 2:
                break
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_count_that_cannot_be_written_stops_nothing(
    rbac: Rbac, operator: Actor, database: Database
) -> None:
    """It is kept for the next time."""
    rbac.require(operator, "audit:read")
    hidden = database.path.rename(database.path.with_suffix(".away"))
    database.close()
    database.path.write_bytes(b"not a database " * 600)
    rbac._tally.close()
    database.close()
    hidden.replace(database.path)
    assert _checks(rbac) == {("allowed", "admin"): 1}


def test_who_tries_anothers_permissions_signs_with_both_names(
    rbac: Rbac, operator: Actor, database: Database, audit: Audit
) -> None:
    """And is still the same person."""
    _user(database, "mina", "viewer")
    trying = replace(operator, user_id="mina", by="sumin")
    with pytest.raises(Denied, match=r"mina \(viewer\)"):
        rbac.require(trying, "users:write")
    assert audit.page().items[0].actor == "sumin as mina"
    assert trying.person == operator.person == "sumin"


def test_a_count_opens_no_database(rbac: Rbac, operator: Actor, database: Database) -> None:
    """One that was closed stays closed, however late the count is written."""
    rbac.require(operator, "audit:read")
    database.close()
    rbac._tally.close()
    assert not database.is_open
    time.sleep(1.2)  # longer than a count waits
    assert not database.is_open
    assert _checks(rbac) == {("allowed", "admin"): 1}


def test_closing_waits_for_a_count_that_is_being_written(
    rbac: Rbac, operator: Actor, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would open the database again behind whoever closed it."""
    writes, transaction = threading.Event(), Database.transaction

    def slowly(self: Database) -> AbstractContextManager[sa.Connection]:
        writes.set()
        time.sleep(0.3)
        return transaction(self)

    monkeypatch.setattr(Database, "transaction", slowly)
    rbac.require(operator, "audit:read")
    assert writes.wait(5)
    rbac._tally.close()
    database.close()
    time.sleep(0.6)
    assert not database.is_open
