"""What leaves this room and what enters it: frozen records, and errors that tell the truth."""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from localai.approvals.action import Action, read
from localai.approvals.render import describe
from localai.core.errors import Conflict, Expired, LocalaiError, Pending, Rejected
from localai.core.escape import visible
from localai.rbac.permissions import Risk

if TYPE_CHECKING:
    from localai.approvals.standing import Standing

Decision = Literal["approved", "rejected"]


@dataclass(frozen=True)
class Vote:
    """One person's decision."""

    user_id: str
    decision: str
    reason: str | None
    at: str


@dataclass(frozen=True)
class Approval:
    """A request and what became of it; times are RFC 3339 in UTC."""

    id: str
    tool_name: str
    arguments: Mapping[str, Any]
    proposed_arguments: Mapping[str, Any]
    action_sha256: str
    risk: str
    status: str
    user_id: str
    requester_kind: str
    session: str | None
    reason: str | None
    policy_rule: str
    sandbox: str
    created_at: str
    expires_at: str
    needed: int
    votes: tuple[Vote, ...]
    decided_at: str | None
    decided_by: str | None
    decision_reason: str | None
    finished_at: str | None
    outcome: str | None
    action: InitVar[str]  # `Action.text`, which is read where a person is shown it
    replacing: InitVar[str | None] = None
    barred: InitVar[str | None] = None

    def __post_init__(self, action: str, replacing: str | None, barred: str | None) -> None:
        """Keep these beside the record: they are shown, and are no part of its JSON."""
        object.__setattr__(self, "_action", action)
        object.__setattr__(self, "_replacing", replacing)
        object.__setattr__(self, "_barred", barred)

    @property
    def replaces(self) -> str | None:
        """The request in whose place this one stands."""
        return self._replacing  # type: ignore[attr-defined,no-any-return]

    @property
    def may_not_approve(self) -> str | None:
        """Whoever asked, where the policy wants somebody else to approve."""
        return self._barred  # type: ignore[attr-defined,no-any-return]

    @property
    def shown(self) -> tuple[str, ...]:
        """All that a person must see before deciding, in lines that are safe to print."""
        return tuple(describe(self, read(self._action)))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Proposal:
    """A call that waits for a person; `permission` is what its tool needs of the requester.

    It needs `needed` different people; with `bars_asker`, none of them is the one who asks.
    `receipt` tells how a model came to propose it, as JSON.
    """

    action: Action
    risk: Risk
    permission: str
    policy_rule: str
    reason: str | None = None
    needed: int = 1
    bars_asker: bool = False
    receipt: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Reply:
    """What a person at this terminal says: no and why; or yes, with a rule and a code if any."""

    is_yes: bool
    reason: str | None = None
    rule: "Standing | None" = None
    code: str | None = None


@dataclass(frozen=True)
class Grant:
    """The right to run the action once; it is used up by `Approvals.finish`."""

    approval: Approval
    action: Action
    lease: str


def as_opened(approval: Approval) -> Approval:
    """The request as it was before anybody decided."""
    return replace(
        approval,
        status="pending",
        votes=(),
        decided_at=None,
        decided_by=None,
        decision_reason=None,
        finished_at=None,
        outcome=None,
        action=approval._action,  # type: ignore[attr-defined]  # noqa: SLF001 - of this record
        replacing=approval.replaces,
        barred=approval.may_not_approve,
    )


def preview(approval: Approval, proposal: Proposal) -> Approval:
    """The request as it would stand with another call in it, for a person to read."""
    return replace(
        approval,
        arguments=proposal.action.arguments,
        action_sha256=proposal.action.sha256,
        risk=proposal.risk.word,
        policy_rule=proposal.policy_rule,
        sandbox=proposal.action.sandbox,
        action=proposal.action.text,
        replacing=approval.replaces,
        barred=approval.may_not_approve,
        needed=proposal.needed,
    )


class Waiting(Pending):
    """A request still waits; `approval` is that request."""

    def __init__(self, approval: Approval) -> None:
        message = f"{approval.tool_name} waits for an approval: {approval.id}"
        super().__init__(message, hint=f"ai approve {approval.id}")
        self.approval = approval

    @property
    def approval_id(self) -> str:
        """The id of the request."""
        return self.approval.id


def stale(approval_id: str) -> Conflict:
    """The digest that somebody read is not the digest of the action."""
    message = f"{approval_id} is not the action that you read"
    return Conflict(message, hint=f"ai approvals show {approval_id}")


def truth(approval: Approval) -> LocalaiError:
    """Why the approval is not in the state that somebody hoped for."""
    told = f"{approval.id} {_told(approval)}"
    show = f"ai approvals show {approval.id}"
    if approval.status == "pending":
        return Waiting(approval)
    return Expired(told, hint=show) if approval.status == "expired" else Conflict(told, hint=show)


def refusal(approval: Approval) -> Rejected:
    """A person's no, as the requester hears it."""
    by = visible(approval.decided_by or "somebody")
    message = f"{by} {approval.status} {approval.tool_name}{_because(approval)}"
    return Rejected(message, hint=f"ai approvals show {approval.id}")


def granted(approval: Approval) -> Approval:
    """The approval if it can be claimed; else Rejected, Pending, Expired or Conflict."""
    if approval.status == "approved":
        return approval
    if approval.status in {"rejected", "cancelled"}:
        raise refusal(approval)
    raise truth(approval)


def _told(approval: Approval) -> str:
    if approval.decided_at is None:
        return _UNDECIDED[approval.status].format(expires_at=approval.expires_at)
    word = approval.status if approval.status in {"rejected", "cancelled"} else "approved"
    decided = f"is already {word} by {visible(approval.decided_by or '')} at {approval.decided_at}"
    return f"{decided}{_because(approval)}{_SINCE.get(approval.status, '')}"


_UNDECIDED = {
    "pending": "waits for a decision",
    "expired": "expired at {expires_at}: nobody decided in time",
}
_SINCE = {
    "expired": "; nobody ran it in time, so it expired",
    "revoked": "; the approval was revoked before it ran",
    "executing": "; it is running",
    "succeeded": "; it has run",
    "failed": "; it has run, without success",
    "unknown": "; its process died while it ran, and it is never run again",
}


def _because(approval: Approval) -> str:
    return f": {visible(approval.decision_reason)}" if approval.decision_reason else ""
