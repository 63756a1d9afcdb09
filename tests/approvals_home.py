"""A home with approvals in a temporary folder, a clock that a test can turn, and proposals."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa

from localai.approvals.action import Action, Facts
from localai.approvals.records import Approval, Proposal
from localai.approvals.service import Approvals
from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.directories import Directories, locate
from localai.core.secrets import Secrets
from localai.core.tally import Tally
from localai.rbac.permissions import Actor, Risk
from localai.rbac.service import Rbac
from localai.rbac.tables import user_roles, users

SECOND = 1_000_000


class TurnableClock(Clock):
    """The machine's clocks, moved by what the test says."""

    def __init__(self) -> None:
        self.wall_offset_us = 0
        self.monotonic_offset_us = 0
        self.boot = "this-boot"

    def now_us(self) -> int:
        return super().now_us() + self.wall_offset_us

    def monotonic_us(self) -> int:
        return super().monotonic_us() + self.monotonic_offset_us

    @property
    def boot_id(self) -> str:
        return self.boot

    def pass_time(self, seconds: float) -> None:
        self.wall_offset_us += int(seconds * SECOND)
        self.monotonic_offset_us += int(seconds * SECOND)


@dataclass
class Home:
    """The rooms below and around approvals."""

    directories: Directories
    database: Database
    audit: Audit
    rbac: Rbac
    clock: Clock
    approvals: Approvals
    operator: Actor

    def add_user(self, name: str, role: str) -> Actor:
        with self.database.transaction() as connection:
            person = {"id": name, "created_us": 0, "is_operator": False}
            connection.execute(sa.insert(users), person)
            connection.execute(sa.insert(user_roles), {"user_id": name, "role": role})
        return Actor(name)

    def set_role(self, name: str, role: str) -> None:
        with self.database.transaction() as connection:
            connection.execute(
                sa.update(user_roles).where(user_roles.c.user_id == name).values(role=role)
            )

    def events(self, subject: str) -> list[str]:
        """The audit's events about a subject, oldest first."""
        entries = self.audit.page(limit=100_000).items
        return [entry.event for entry in reversed(entries) if entry.subject == subject]

    def open(self, actor: Actor | None = None, **changes: Any) -> Approval:
        return self.approvals.open(actor or self.operator, proposal(**changes))

    def approve(self, approval: Approval, actor: Actor | None = None) -> Approval:
        seen = approval.action_sha256
        return self.approvals.approve(actor or self.operator, approval.id, seen_sha256=seen)


def build(
    folder: Path,
    clock: Clock | None = None,
    *,
    driver: ModuleType | None = None,
    timeout_s: int = 300,
    grant_s: int = 900,
) -> Home:
    """Make the home, or open the one that is there."""
    directories, clock = locate(folder), clock or Clock()
    database = Database(directories.database_file, driver=driver)
    secrets = Secrets(directories, {})
    audit = Audit(
        database, lambda: secrets.key("audit-key"), directories.keys / "audit.anchor", clock
    )
    rbac = Rbac(database, audit, clock, Tally(database))
    approvals = Approvals(database, audit, rbac, clock, timeout_s=timeout_s, grant_s=grant_s)
    operator, _ = rbac.ensure_operator("kim")
    return Home(directories, database, audit, rbac, clock, approvals, operator)


def action(**changes: Any) -> Action:
    """An action that writes a file, with the given fields changed."""
    plain = {
        "tool": "write_file",
        "tool_schema_sha256": "ab" * 32,
        "arguments": {"path": "a.txt", "content": "x"},
        "cwd": "/work",
        "sandbox": "in localai itself",
        "facts": Facts(),
    }
    return Action(**{**plain, **changes})


def proposal(**changes: Any) -> Proposal:
    """A proposal of that action; `reason` and `permission` are the proposal's own."""
    reason = changes.pop("reason", None)
    permission = changes.pop("permission", "files:write")
    risk = changes.pop("risk", Risk.HIGH)
    return Proposal(action(**changes), risk, permission, "normal.from-high", reason)
