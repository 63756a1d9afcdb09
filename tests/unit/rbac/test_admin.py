"""Settings, secrets and audit, under the roles."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from localai.core.audit import Audit
from localai.core.db import Database
from localai.core.directories import Directories
from localai.core.errors import Denied, Invalid, LocalaiError, NotFound
from localai.core.secrets import Secrets
from localai.core.settings import Settings
from localai.rbac.admin import Administration
from localai.rbac.permissions import Actor
from localai.rbac.service import Rbac
from localai.rbac.tables import user_roles, users


@pytest.fixture
def admin(
    rbac: Rbac, database: Database, audit: Audit, secrets: Secrets, home: Directories
) -> Administration:
    return Administration(rbac, database, audit, secrets, home.config_file)


@pytest.fixture
def worker(database: Database) -> Actor:
    """A user without the right to administer or to read the audit."""
    with database.transaction() as connection:
        connection.execute(sa.insert(users), {"id": "mina", "created_us": 1})
        connection.execute(sa.insert(user_roles), {"user_id": "mina", "role": "user"})
    return Actor("mina")


def _events(audit: Audit) -> list[tuple[str, str, str]]:
    return [(entry.event, entry.actor, entry.subject) for entry in audit.page().items]


def test_a_setting_is_written_and_recorded(
    admin: Administration, operator: Actor, home: Directories, audit: Audit
) -> None:
    """Who changed which; the value may say too much."""
    admin.configure(operator, "approvals.timeout", "1m")
    shown = Settings(home.config_file, environment={}).show("approvals.timeout")
    assert shown.value == "1m"
    assert _events(audit)[0] == ("config.changed", "sumin", "approvals.timeout")


def test_a_setting_that_is_refused_is_not_recorded(
    admin: Administration, operator: Actor, audit: Audit
) -> None:
    """The audit tells what happened."""
    for key, value in (("approvals.timeout", "soon"), ("approvals.timout", "1m")):
        with pytest.raises(LocalaiError):
            admin.configure(operator, key, value)
    assert [event for event, _, _ in _events(audit)] == ["operator.created"]


def test_a_setting_that_cannot_be_recorded_is_not_written(
    rbac: Rbac, database: Database, operator: Actor, secrets: Secrets, home: Directories
) -> None:
    """Nobody switches approvals off unseen."""
    broken = Audit(database, lambda: secrets.key("audit-key") + 1, home.keys / "a", rbac._clock)
    admin = Administration(rbac, database, broken, secrets, home.config_file)
    with pytest.raises(TypeError):
        admin.configure(operator, "approvals.enabled", "false")
    assert not home.config_file.exists()


def test_a_secret_is_kept_forgotten_and_recorded_without_its_value(
    admin: Administration, operator: Actor, audit: Audit, database: Database
) -> None:
    """The name alone."""
    admin.put_secret(operator, "smtp-password", "canary-value")
    listed = {secret.name: secret.source for secret in admin.list_secrets(operator).items}
    assert listed["smtp-password"] == "file"
    admin.remove_secret(operator, "smtp-password")
    assert _events(audit)[:2] == [
        ("secret.removed", "sumin", "smtp-password"),
        ("secret.set", "sumin", "smtp-password"),
    ]
    database.close()
    assert b"canary-value" not in database.path.read_bytes()


def test_a_secret_that_is_not_there_is_not_recorded_as_removed(
    admin: Administration, operator: Actor, audit: Audit
) -> None:
    """Nothing happened."""
    with pytest.raises(NotFound):
        admin.remove_secret(operator, "smtp-password")
    assert [event for event, _, _ in _events(audit)] == ["operator.created"]


def test_the_audit_is_read_in_pages(admin: Administration, operator: Actor) -> None:
    """The cursor of one is the start of the next."""
    for seconds in ("1m", "2m", "3m"):
        admin.configure(operator, "approvals.timeout", seconds)
    first = admin.audit_page(operator, limit=3, cursor=None)
    second = admin.audit_page(operator, limit=3, cursor=first.next)
    assert [entry.seq for entry in [*first.items, *second.items]] == [4, 3, 2, 1]
    assert (first.total, second.next) == (4, None)


@pytest.mark.parametrize("cursor", ["", "-1", "abc", "1.5", "²", "9" * 40])
def test_a_cursor_that_is_none_is_invalid(
    admin: Administration, operator: Actor, cursor: str
) -> None:
    """It was not given by this list."""
    with pytest.raises(Invalid):
        admin.audit_page(operator, limit=3, cursor=cursor)


def test_an_entry_is_read_and_the_chain_proved(admin: Administration, operator: Actor) -> None:
    """By those who may."""
    assert admin.audit_entry(operator, 1).event == "operator.created"
    assert admin.verify_audit(operator).is_whole


@pytest.mark.parametrize(
    ("permission", "act"),
    [
        ("config:write", lambda admin, actor: admin.configure(actor, "log.level", "debug")),
        ("secrets:write", lambda admin, actor: admin.list_secrets(actor)),
        ("secrets:write", lambda admin, actor: admin.put_secret(actor, "webhook-key", "v")),
        ("secrets:write", lambda admin, actor: admin.remove_secret(actor, "webhook-key")),
        ("audit:read", lambda admin, actor: admin.audit_page(actor, limit=5, cursor=None)),
        ("audit:read", lambda admin, actor: admin.audit_entry(actor, 1)),
        ("audit:read", lambda admin, actor: admin.verify_audit(actor)),
    ],
)
def test_every_method_checks_its_permission_first(
    admin: Administration,
    worker: Actor,
    home: Directories,
    audit: Audit,
    permission: str,
    act: Callable[[Administration, Actor], object],
) -> None:
    """What is refused has changed nothing, and is recorded."""
    with pytest.raises(Denied, match=permission):
        act(admin, worker)
    assert _events(audit) == [("permission.denied", "mina", permission)]
    assert not home.config_file.exists()
