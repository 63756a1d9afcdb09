"""Gates: how a call that must ask gets its answer, here at the terminal or from another one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from localai.approvals.records import Approval, granted
from localai.approvals.service import Approvals
from localai.core.errors import Conflict, Pending
from localai.rbac.permissions import Actor


@dataclass(frozen=True)
class Answer:
    """What a person said to a request."""

    approve: bool
    reason: str | None = None


class Waiting(Pending):
    """The request still waits; `approval` names it."""

    def __init__(self, approval: Approval) -> None:
        message = f"{approval.tool_name} waits for an approval: {approval.id}"
        super().__init__(message, hint=f"ai approve {approval.id}")
        self.approval = approval


class Gate(Protocol):
    """Brings a pending request to its decision."""

    def decide(self, approval: Approval) -> Approval:
        """The approved request; Rejected, Expired, Waiting or Conflict where it is not."""


class Ask:
    """Asks the person at this terminal; `ask` shows the lines and returns the answer."""

    def __init__(
        self,
        approvals: Approvals,
        actor: Actor,
        ask: Callable[[Approval, tuple[str, ...]], Answer],
    ) -> None:
        self._approvals = approvals
        self._actor = actor
        self._ask = ask

    def decide(self, approval: Approval) -> Approval:
        """Ask, and record the answer; a decision that came first elsewhere is what counts."""
        answer = self._ask(approval, self._approvals.describe(self._actor, approval.id))
        record = self._approvals.approve if answer.approve else self._approvals.reject
        seen = approval.action_sha256
        try:
            return granted(record(self._actor, approval.id, seen_sha256=seen, reason=answer.reason))
        except Conflict:
            decided = self._approvals.get(self._actor, approval.id)
            if decided.status == "approved" and not answer.approve:
                raise
            return granted(decided)


class Wait:
    """Waits until another terminal decides, `timeout_s` seconds at most."""

    def __init__(
        self,
        approvals: Approvals,
        actor: Actor,
        timeout_s: float,
        announce: Callable[[Approval], None] | None = None,
    ) -> None:
        self._approvals = approvals
        self._actor = actor
        self._timeout_s = timeout_s
        self._announce = announce

    def decide(self, approval: Approval) -> Approval:
        """Announce the request, then wait; Waiting when the time is over."""
        if self._announce is not None:
            self._announce(approval)
        found = self._approvals.wait(self._actor, approval.id, self._timeout_s)
        if found.status == "pending":
            raise Waiting(found)
        return granted(found)
