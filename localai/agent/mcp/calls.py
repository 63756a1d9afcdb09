"""Tool calls of other programs: each is an agent's, and what must be asked is taken up later.

Nothing here waits: a call ends with what it gave, with a refusal in words, or with the request
that waits for a person.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localai.agent.runner import Runner, ToolOutcome
from localai.approvals.gate import Gate
from localai.approvals.records import Approval, Waiting
from localai.approvals.service import Approvals
from localai.core import log
from localai.core.errors import Invalid, LocalaiError, NotFound
from localai.rbac.permissions import Actor

# Conversations of this kind begin so; only what was asked in one can be taken up through us.
CONVERSATION = "mcp-"
MAX_ARGUMENTS = 1 << 20

_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Told:
    """What a client reads; `data` says the same in fields, where that helps a program."""

    text: str
    is_error: bool = False
    data: Mapping[str, Any] | None = None


class Calls:
    """Runs tools for agents; `gate` gives one that never waits."""

    def __init__(self, runner: Runner, approvals: Approvals, gate: Callable[[Actor], Gate]) -> None:
        self._runner = runner
        self._approvals = approvals
        self._gate = gate

    def begin(
        self, agent: Actor, name: str, arguments: str, reason: str | None = None
    ) -> Told | Approval:
        """Run a tool with arguments as JSON text; the request, where a person must be asked."""

        def run() -> ToolOutcome:
            if len(arguments) > MAX_ARGUMENTS:
                message = f"the arguments have {len(arguments)} characters"
                raise Invalid(message, hint=f"{MAX_ARGUMENTS} are the most")
            gate, session = self._gate(agent), agent.session
            return self._runner.run(agent, name, arguments, gate, reason=reason, session=session)

        return _told(run, agent)

    def take(self, agent: Actor, approval_id: str) -> Told | Approval:
        """What came of a request: the result, once, where it was approved and nobody ran it."""

        def settle() -> ToolOutcome:
            self._check_own(agent, approval_id)
            return self._runner.settle(agent, approval_id, self._gate(agent))

        return _told(settle, agent)

    def is_waiting(self, agent: Actor, approval: Approval) -> bool:
        """Whether nobody has decided yet."""
        try:
            return self._approvals.latest(agent, approval.id).status == "pending"
        except LocalaiError:
            return False  # whoever takes the request up is told why

    def _check_own(self, agent: Actor, approval_id: str) -> None:
        """Raise NotFound for all that no agent of this user asked for through the protocol."""
        if not self._is_own(agent, approval_id):
            message = f"no request {approval_id[:40]!r} of yours"
            raise NotFound(message, hint="give the whole id of a call that was PENDING")

    def _is_own(self, agent: Actor, approval_id: str) -> bool:
        if not _ID.fullmatch(approval_id):
            return False  # a prefix would list what others asked for
        try:
            found = self._approvals.get(agent, approval_id)
        except NotFound:
            return False
        is_through_us = (found.session or "").startswith(CONVERSATION)
        return is_through_us and (found.user_id, found.requester_kind) == (agent.user_id, "agent")


def refused(error: LocalaiError) -> Told:
    """A refusal or a mistake, as a model can use it."""
    fields = {"category": error.category, "message": error.message, "hint": error.hint}
    hint = f"\nhint: {error.hint}" if error.hint else ""
    text = f"{error.category}: {error.message}{hint}"
    return Told(text, is_error=True, data={"status": "refused", **fields})


def waits(approval: Approval) -> Told:
    """A request that still waits, and what a person and the model can do about it."""
    text = (
        f"PENDING: {approval.tool_name} ({approval.risk} risk) waits for a person until "
        f"{approval.expires_at}; nothing has run. A person decides on this machine: "
        f"`ai approvals show {approval.id}`, then `ai approve {approval.id}` or "
        f"`ai reject {approval.id}`. Tell the user so, then call the tool approval_result with "
        f'{{"id": "{approval.id}"}}. Do not make the same call again.'
    )
    fields = {
        "status": "pending",
        "approval_id": approval.id,
        "action_sha256": approval.action_sha256,
        "risk": approval.risk,
        "expires_at": approval.expires_at,
        "message": text,
    }
    return Told(text, data=fields)


def _told(run: Callable[[], ToolOutcome], agent: Actor) -> Told | Approval:
    """The one catch at this door: what a call gave, or why it gave nothing."""
    try:
        with log.about(session=agent.session):
            outcome = run()
    except Waiting as waiting:
        return waiting.approval
    except LocalaiError as error:
        return refused(error)
    except Exception as error:  # noqa: BLE001 - the last resort of this door
        log.write("mcp.call-failed", error)
        return refused(LocalaiError(f"a bug in localai: {type(error).__name__}: {error}"))
    return Told(outcome.told, is_error=not outcome.result.ok)
