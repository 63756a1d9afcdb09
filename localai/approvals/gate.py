"""Gates: how a call that must ask gets its answer, here at the terminal or from another one."""

from collections.abc import Callable
from typing import Protocol

from localai.approvals.records import Approval, Reply, granted
from localai.approvals.service import Approvals
from localai.core.errors import Conflict
from localai.rbac.permissions import Actor


class Gate(Protocol):
    """Brings a pending request to its decision."""

    def decide(self, approval: Approval) -> Approval:
        """The approved request; Rejected, Expired, Waiting or Conflict where it is not."""


class Ask:
    """Asks the person at this terminal: `ask` shows `Approval.shown` and returns the answer."""

    def __init__(
        self,
        approvals: Approvals,
        actor: Actor,
        ask: Callable[[Approval], Reply],
    ) -> None:
        self._approvals = approvals
        self._actor = actor
        self._ask = ask

    def decide(self, approval: Approval) -> Approval:
        """Ask and record the answer; what another terminal decided first is what counts."""
        reply = self._ask(approval)
        try:
            return granted(self._record(approval, reply))
        except Conflict:
            decided = self._approvals.get(self._actor, approval.id)
            # A no at this terminal never lets the call run here, whatever the other one said.
            if decided.status == "approved" and not reply.is_yes:
                raise
            return granted(decided)

    def _record(self, approval: Approval, reply: Reply) -> Approval:
        seen, reason = approval.action_sha256, reply.reason
        if not reply.is_yes:
            return self._approvals.reject(self._actor, approval.id, seen_sha256=seen, reason=reason)
        return self._approvals.approve(
            self._actor,
            approval.id,
            seen_sha256=seen,
            reason=reason,
            rule=reply.rule,
            code=reply.code,
        )


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
        return granted(self._approvals.wait(self._actor, approval.id, self._timeout_s))
