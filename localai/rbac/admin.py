"""What an administrator does to a home - settings, secrets, audit - under the roles."""

from collections.abc import Iterator
from pathlib import Path

from localai.core.audit import Audit, Entry, Filter
from localai.core.chain import Verification
from localai.core.config_file import write_setting
from localai.core.db import Database
from localai.core.errors import Invalid
from localai.core.records import Page
from localai.core.secrets import Secret, Secrets
from localai.rbac.permissions import Actor
from localai.rbac.service import Rbac


class Administration:
    """Settings, secrets and audit of one home."""

    def __init__(
        self, rbac: Rbac, database: Database, audit: Audit, secrets: Secrets, config_file: Path
    ) -> None:
        self._rbac = rbac
        self._database = database
        self._audit = audit
        self._secrets = secrets
        self._config_file = config_file

    def configure(self, actor: Actor, key: str, value: str) -> None:
        """Write one setting to config.toml."""
        self._rbac.require(actor, "config:write")
        with self._database.transaction() as connection:  # what is not recorded is not changed
            self._audit.record(connection, "config.changed", actor=actor.signature, subject=key)
            write_setting(self._config_file, key, value)

    def list_secrets(self, actor: Actor) -> Page[Secret]:
        """Every secret that can be set and where its value is; never a value."""
        self._rbac.require(actor, "secrets:write")
        secrets = self._secrets.all()
        return Page(secrets, len(secrets))

    def put_secret(self, actor: Actor, name: str, value: str) -> None:
        """Keep a secret."""
        self._rbac.require(actor, "secrets:write")
        self._secrets.put(name, value)
        self._record(actor, "secret.set", name)

    def remove_secret(self, actor: Actor, name: str) -> None:
        """Forget a stored secret."""
        self._rbac.require(actor, "secrets:write")
        self._secrets.remove(name)
        self._record(actor, "secret.removed", name)

    def audit_page(
        self, actor: Actor, *, limit: int, cursor: str | None, about: Filter | None = None
    ) -> Page[Entry]:
        """Audit entries, newest first; the cursor is the sequence to start below."""
        self._rbac.require(actor, "audit:read")
        if cursor is not None and not cursor.isdecimal():
            raise Invalid(f"{cursor!r} is not a cursor of this list", hint="ai audit list")
        before = int(cursor) if cursor else None
        return self._audit.page(limit=limit, before=before, about=about)

    def export_audit(self, actor: Actor, about: Filter) -> Iterator[Entry]:
        """Every entry that fits, oldest first."""
        self._rbac.require(actor, "audit:read")
        return self._audit.all(about)

    def audit_entry(self, actor: Actor, seq: int) -> Entry:
        """One audit entry."""
        self._rbac.require(actor, "audit:read")
        return self._audit.get(seq)

    def verify_audit(self, actor: Actor) -> Verification:
        """Proof that the audit is whole, or what is wrong with it."""
        self._rbac.require(actor, "audit:read")
        return self._audit.verify()

    def _record(self, actor: Actor, event: str, subject: str) -> None:
        with self._database.transaction() as connection:
            self._audit.record(connection, event, actor=actor.signature, subject=subject)
