"""Actions of other systems: a person decides about them here, and the system does them there."""

import re
from collections.abc import Mapping
from typing import Any, Final

from localai.approvals.action import Action, read
from localai.approvals.claims import Claims
from localai.approvals.ledger import Ledger, words
from localai.approvals.records import Approval, Grant, granted, truth
from localai.core import lease
from localai.core.canonical import digest
from localai.core.errors import Conflict, Invalid
from localai.rbac.permissions import Actor
from localai.rbac.service import Rbac

PERMISSION: Final = "tools:run"
BUCKET: Final = "actions of other systems"  # one rate for all of them
SANDBOX: Final = "another system does it, where nothing here confines it"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,99}")


def action(name: str, arguments: Mapping[str, Any]) -> Action:
    """An action that another system calls by this name."""
    if not _NAME.fullmatch(name):
        hint = "up to 100 letters, digits and _.:/- that begin with a letter"
        raise Invalid(f"{name!r} cannot name an action", hint=hint)
    return Action(name, _schema(name), arguments, cwd="", sandbox=SANDBOX)


def is_elsewhere(action: Action) -> bool:
    """Tell whether the action is another system's to do."""
    return action.tool_schema_sha256 == _schema(action.tool)


class Elsewhere:
    """What other systems say of their actions: that they begin, and how they ended."""

    def __init__(self, ledger: Ledger, claims: Claims, rbac: Rbac) -> None:
        self._ledger = ledger
        self._claims = claims
        self._rbac = rbac

    def claim(self, actor: Actor, approval_id: str) -> Approval:
        """Note that the approved action begins now, once; Conflict for a call of a tool here."""
        self._rbac.require(actor, PERMISSION)
        row = self._ledger.find(approval_id, "approved")
        stored = self._its_own(actor, row)
        granted(self._ledger.read(row.id))
        return self._claims.claim(actor, row, stored, lease.elsewhere(actor.person)).approval

    def report(self, actor: Actor, approval_id: str, outcome: str | None, *, ok: bool) -> Approval:
        """Note how the action that was claimed ended."""
        self._rbac.require(actor, PERMISSION)
        row = self._ledger.find(approval_id, "executing")
        stored = self._its_own(actor, row)
        approval = self._ledger.read(row.id)
        if row.status != "executing":
            raise truth(approval)
        grant = Grant(approval, stored, row.claimed_by)
        return self._claims.finish(grant, words(outcome) or "", is_ok=ok, by=actor.signature)

    def _its_own(self, actor: Actor, row: Any) -> Action:
        """The action, if it is another system's; another user's only with `approvals:decide`."""
        if row.user_id != actor.user_id:
            self._rbac.require(actor, "approvals:decide")
        stored = read(row.action)
        if not is_elsewhere(stored):
            message = f"{row.id} is a call of the tool {row.tool}, which runs here"
            raise Conflict(message, hint=f"ai approvals run {row.id}")
        return stored


def _schema(name: str) -> str:
    return digest("localai-elsewhere-v1", name)
