"""The one path on which any tool runs: check, policy, gate, claim, run once, write down."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from localai.agent.tools import Context, Registry, Tool, ToolResult
from localai.approvals import elsewhere, policy
from localai.approvals.action import Action, Facts
from localai.approvals.gate import Gate
from localai.approvals.policy import USUAL, Leave, Mode, Verdict
from localai.approvals.records import Approval, Proposal, granted
from localai.approvals.repeats import Once
from localai.approvals.rules import Rule, Subject
from localai.approvals.service import Approvals
from localai.approvals.standing import Scope, Standing
from localai.core import log
from localai.core.canonical import canonical, parse_object
from localai.core.errors import Conflict, Denied, Invalid, LocalaiError, NotFound
from localai.core.files import real
from localai.core.measure import UNMEASURED, Measures, timed
from localai.core.metrics import TOOL_DURATION
from localai.core.records import Page
from localai.infer.engine import ToolSpec
from localai.rbac.permissions import Actor, Risk


@dataclass(frozen=True)
class ToolInfo:
    """A tool as it is listed; `parameters` is a JSON schema."""

    name: str
    description: str
    risk: str
    permission: str
    sandbox: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolOutcome:
    """What came of a call; `approval` is None where nobody had to be asked."""

    result: ToolResult
    approval: Approval | None

    @property
    def told(self) -> str:
        """What whoever called reads, first of all where a person let something else run."""
        approval = self.approval
        if approval is None or approval.arguments == approval.proposed_arguments:
            return self.result.text
        changed = canonical(approval.arguments).decode()
        return f"run with arguments that a person changed: {changed}\n{self.result.text}"


@dataclass(frozen=True)
class Rules:
    """What the operator has set about asking."""

    mode: Mode = "normal"
    enabled: bool = True
    written: Callable[[Actor], Sequence[Rule]] = lambda _: ()
    roles: Callable[[str], tuple[str, ...]] = lambda _: ()


class Trail(Protocol):
    """Which conversations have read what strangers wrote."""

    def has_foreign(self, session: str) -> bool:
        """Whether this one has."""

    def note_foreign(self, session: str) -> None:
        """Remember that this one has."""


class Unwritten:
    """A trail of conversations that are stored nowhere: it ends with the process."""

    def __init__(self) -> None:
        self._sessions: set[str] = set()

    def has_foreign(self, session: str) -> bool:
        """Whether this one has."""
        return session in self._sessions

    def note_foreign(self, session: str) -> None:
        """Remember that this one has."""
        self._sessions.add(session)


@dataclass(frozen=True)
class PolicyCheck:
    """What would become of a call: the effect, the rule that says so, and why."""

    tool: str
    arguments: Mapping[str, Any]
    risk: str
    effect: str
    rule: str
    reason: str


class Runner:
    """Runs tools in one workspace, for people and for agents alike."""

    def __init__(  # noqa: PLR0913 - what it stands on, and where it works
        self,
        registry: Registry,
        approvals: Approvals,
        require: Callable[[Actor, str], None],
        rules: Rules,
        *,
        workspace: Path,
        protected: tuple[Path, ...],
        limit: Callable[[Actor, str], None] | None = None,
        trail: Trail | None = None,
        measures: Measures = UNMEASURED,
    ) -> None:
        self.workspace = workspace
        self._place = Path(real(workspace))
        self._trails = (trail, Unwritten()) if trail else (Unwritten(),)
        self._registry = registry
        self._approvals = approvals
        self._require = require
        self._limit = limit
        self._rules = rules
        self._protected = protected
        self._measures = measures

    def tools(self, actor: Actor) -> Page[ToolInfo]:
        """Every tool."""
        self._require(actor, "tools:read")
        listed = tuple(_info(tool) for tool in self._registry.all())
        return Page(listed, len(listed))

    def tool(self, actor: Actor, name: str) -> ToolInfo:
        """One tool; NotFound lists the nearest names."""
        self._require(actor, "tools:read")
        return _info(self._registry.get(name))

    def specs(self, actor: Actor, leave: Leave = USUAL) -> Sequence[ToolSpec]:
        """What a model is told about the tools that this leave lets it call."""
        self._require(actor, "tools:read")
        most = Risk.LOW if leave.level == "read-only" else Risk.CRITICAL
        return tuple(tool.spec for tool in self._registry.all() if tool.risk <= most)

    def run(  # noqa: PLR0913 - a call, its gate and its circumstances
        self,
        actor: Actor,
        name: str,
        arguments: str,
        gate: Gate,
        *,
        reason: str | None = None,
        session: str | None = None,
        receipt: Mapping[str, Any] | None = None,
        leave: Leave = USUAL,
    ) -> ToolOutcome:
        """Run a tool with arguments as JSON text, once, after whatever the policy asks for.

        In a conversation that has read what strangers wrote, what is more than low risk counts as
        the next higher one. The `receipt` of a call that a model proposed goes into the audit.
        Raises Invalid, NotFound or Denied (by role, rate or policy) before anything runs, and
        what the gate raises: Rejected, Expired, Waiting (a Pending with `approval_id`), Conflict.
        """
        self._require(actor, "tools:run")
        actor = replace(actor, session=session or actor.session)
        with self._told(actor, name):
            tool = self._registry.get(name)
        self._require(actor, tool.permission)
        if self._limit is not None:
            self._limit(actor, tool.name)
        with self._told(actor, name):
            given = parse_object(arguments)
            action, risk, verdict = self._judged(actor, tool, given, self._place, leave)
        proposal = replace(
            _proposal(tool.permission, action, risk, verdict, reason), receipt=receipt
        )
        if verdict.effect == "ask":
            with self._told(actor, name):
                opened = self._approvals.open(actor, proposal)
            with log.about(approval=opened.id):
                decided = gate.decide(opened)
            return self._claimed(actor, decided.id)
        return ToolOutcome(self._unasked(actor, tool, proposal, verdict), None)

    def propose(
        self,
        actor: Actor,
        name: str,
        arguments: str,
        *,
        reason: str | None = None,
        once: Once | None = None,
    ) -> Approval:
        """Ask for a call and run nothing, also where the policy would let it pass unasked.

        What is no tool's name here is an action of another system, which does it there.
        Raises Invalid or Denied as `run` does. `once` answers a repeated request as before.
        """
        self._require(actor, "tools:run")
        if once and (known := self._approvals.repeated(actor, once)):
            return known
        tool = self._registry.find(name)
        if self._limit is not None:
            self._limit(actor, tool.name if tool else elsewhere.BUCKET)
        given = parse_object(arguments)
        proposal, verdict = self._proposed(actor, tool, name, given, reason)
        if verdict.effect == "deny":
            self._approvals.note_call(actor, "tool.denied", proposal, verdict.reason)
            raise _refusal(name, verdict)
        return self._approvals.open(actor, proposal, once)

    def _proposed(
        self,
        actor: Actor,
        tool: Tool | None,
        name: str,
        given: Mapping[str, Any],
        reason: str | None,
    ) -> tuple[Proposal, Verdict]:
        if tool is not None:
            self._require(actor, tool.permission)
            action, risk, verdict = self._judged(actor, tool, given, self._place)
        else:
            # Nothing is known of it but its name, as of a tool of a stranger's server.
            action, risk = elsewhere.action(name, given), Risk.HIGH
            verdict = self._verdict(actor, action, risk, is_confined=True)
        permission = tool.permission if tool else elsewhere.PERMISSION
        return _proposal(permission, action, risk, verdict, reason), verdict

    def check(self, actor: Actor, name: str, arguments: str) -> PolicyCheck:
        """What the policy says of a call of the actor; nothing runs and nobody is asked."""
        self._require(actor, "policy:read")
        tool = self._registry.get(name)
        action, risk, said = self._judged(actor, tool, parse_object(arguments), self._place)
        return PolicyCheck(name, action.arguments, risk.word, said.effect, said.rule, said.reason)

    def restated(self, actor: Actor, approval: Approval, arguments: str | None = None) -> Proposal:
        """The call of a request as its tool states it now, with other arguments where given.

        Raises Invalid where the tool does not take them, Denied where the policy refuses the call.
        """
        stored = self._approvals.action(actor, approval.id)
        tool = self._registry.get(stored.tool)
        given = stored.arguments if arguments is None else parse_object(arguments)
        requester = Actor(approval.user_id, "agent", approval.session)
        action, risk, verdict = self._judged(requester, tool, given, Path(stored.cwd))
        if verdict.effect == "deny":
            raise _refusal(tool.name, verdict)
        return _proposal(tool.permission, action, risk, verdict, approval.reason)

    def draft_rule(self, actor: Actor, prefix: str, scope: Scope) -> Standing:
        """The standing rule that approving a request would make."""
        tool = self._registry.get(self._approvals.get(actor, prefix, "pending").tool_name)
        return self._approvals.draft_rule(actor, prefix, scope, left_open=tool.left_open)

    def resume(self, actor: Actor, prefix: str) -> ToolOutcome:
        """Claim an approved request that nobody waits for any more, and run it."""
        self._require(actor, "tools:run")
        return self._claimed(actor, granted(self._approvals.get(actor, prefix, "approved")).id)

    def settle(self, actor: Actor, prefix: str, gate: Gate) -> ToolOutcome:
        """Bring a request to its end: ask if it waits, run if approved, else tell how it ended."""
        self._require(actor, "tools:run")
        approval = self._approvals.latest(actor, self._approvals.get(actor, prefix).id)
        if approval.status == "pending":
            with log.about(approval=approval.id, session=approval.session):
                approval = gate.decide(approval)
        if approval.status in _RAN:
            is_ok = approval.status == "succeeded"
            text = f"{approval.status}: {approval.outcome}"
            return ToolOutcome(ToolResult(is_ok, text, approval.outcome or ""), approval)
        return self._claimed(actor, granted(approval).id)

    def lead(self, session: str) -> None:
        """The conversation has read what strangers wrote: its calls are of a higher risk now."""
        for trail in self._trails:
            trail.note_foreign(session)

    def _judged(
        self,
        actor: Actor,
        tool: Tool,
        arguments: Mapping[str, Any],
        workspace: Path,
        leave: Leave = USUAL,
    ) -> tuple[Action, Risk, Verdict]:
        """The call as its tool states it, its risk, and what the policy says of it."""
        action = self._action(tool, arguments, workspace)
        risk = tool.risk_of(self._context(workspace, action.facts), action.arguments)
        if Risk.LOW < risk < Risk.CRITICAL and self._is_led(actor):
            risk = Risk(risk + 1)
        is_confined = tool.confinement.is_confined
        return action, risk, self._verdict(actor, action, risk, leave, is_confined=is_confined)

    def _verdict(
        self, actor: Actor, action: Action, risk: Risk, leave: Leave = USUAL, *, is_confined: bool
    ) -> Verdict:
        rules = self._rules
        call = Subject(action.tool, action.arguments, risk, rules.roles(actor.user_id), action.cwd)
        return policy.decide(
            call,
            rules.written(actor),
            rules.mode,
            enabled=rules.enabled,
            confined=is_confined,
            leave=leave,
        )

    @contextmanager
    def _told(self, actor: Actor, name: str) -> Iterator[None]:
        """Write down what an agent asked for where it is refused before it can be a request."""
        try:
            yield
        except (Denied, Invalid, NotFound) as error:
            if actor.kind == "agent":
                self._approvals.note_refusal(actor, name, error)
            raise

    def _claimed(self, actor: Actor, approval_id: str) -> ToolOutcome:
        """State the stored call anew, claim it, and run exactly what is stored."""
        with log.about(approval=approval_id, session=actor.session):
            return self._run_claimed(actor, approval_id)

    def _run_claimed(self, actor: Actor, approval_id: str) -> ToolOutcome:
        stored = self._approvals.action(actor, approval_id)
        if elsewhere.is_elsewhere(stored):
            message = f"{stored.tool} is another system's: it does it there, and says how it ended"
            raise Conflict(message, hint=f"ai approvals show {approval_id}")
        tool = self._registry.get(stored.tool)
        self._require(actor, tool.permission)
        workspace = Path(stored.cwd)
        action = self._action(tool, stored.arguments, workspace)
        grant = self._approvals.claim(actor, approval_id, action)
        context = self._context(workspace, grant.action.facts, actor)
        try:
            with timed(self._measures, TOOL_DURATION, tool.name):
                result = tool.function(context, **grant.action.arguments)
        except BaseException as error:
            self._approvals.finish(grant, _failure(error), ok=False)
            raise
        ended = self._approvals.finish(grant, result.summary, ok=result.ok)
        if result.is_foreign and ended.session:
            self.lead(ended.session)
        return ToolOutcome(result, ended)

    def _is_led(self, actor: Actor) -> bool:
        session = actor.session
        return session is not None and any(each.has_foreign(session) for each in self._trails)

    def _unasked(
        self, actor: Actor, tool: Tool, proposal: Proposal, verdict: Verdict
    ) -> ToolResult:
        note = partial(self._approvals.note_call, actor, proposal=proposal)
        if verdict.effect == "deny":
            note("tool.denied", outcome=verdict.reason)
            raise _refusal(tool.name, verdict)
        if proposal.risk > Risk.LOW:
            # What may do harm is never run unless it could be written down first.
            note("tool.started", outcome=verdict.reason)
        context = self._context(self._place, proposal.action.facts, actor)
        try:
            with timed(self._measures, TOOL_DURATION, tool.name):
                result = tool.function(context, **proposal.action.arguments)
        except BaseException as error:
            note("tool.ran", outcome=_failure(error), ok=False)
            raise
        note("tool.ran", outcome=result.summary, ok=result.ok)
        if result.is_foreign and actor.session:
            self.lead(actor.session)
        return result

    def _action(self, tool: Tool, arguments: Mapping[str, Any], workspace: Path) -> Action:
        tool.check(arguments)
        return Action(
            tool=tool.name,
            tool_schema_sha256=tool.schema_sha256,
            arguments=arguments,
            cwd=real(workspace),
            sandbox=tool.confinement.words,
            facts=tool.facts(self._context(workspace), arguments),
        )

    def _context(
        self, workspace: Path, facts: Facts | None = None, actor: Actor | None = None
    ) -> Context:
        return Context(workspace, self._protected, facts or Facts(), actor)


_RAN = frozenset({"succeeded", "failed", "unknown"})


def _proposal(
    permission: str, action: Action, risk: Risk, verdict: Verdict, reason: str | None
) -> Proposal:
    needed, bars_asker = verdict.approvers, verdict.bars_asker
    return Proposal(action, risk, permission, verdict.rule, reason, needed, bars_asker)


def _refusal(name: str, verdict: Verdict) -> Denied:
    message = f"the policy refuses {name}: {verdict.reason}"
    return Denied(message, hint=f"ai policy show {verdict.rule}")


def _info(tool: Tool) -> ToolInfo:
    return ToolInfo(
        name=tool.name,
        description=tool.description,
        risk=tool.risk.word,
        permission=tool.permission,
        sandbox=tool.confinement.words,
        parameters=tool.schema,
    )


def _failure(error: BaseException) -> str:
    if isinstance(error, LocalaiError):
        return error.message
    return "interrupted" if isinstance(error, KeyboardInterrupt) else repr(error)
