"""The question about a call that waits, at the terminal where it was made."""

from typing import TYPE_CHECKING

from localai.approvals.records import Reply
from localai.approvals.standing import Scope
from localai.cli.ask import YES, confirm, one_time_code, page, prompt, told, word
from localai.cli.call import Call
from localai.cli.console import note
from localai.core.errors import LocalaiError

if TYPE_CHECKING:
    from localai.approvals.records import Approval
    from localai.approvals.standing import Standing

_ALWAYS = frozenset({"a", "always", "항상"})


def person(call: Call, approval: "Approval") -> Reply:
    """Show the whole action and ask: yes, no and why, or always in this conversation.

    Always is a standing rule: it is shown in full, and counts after a second yes.
    """
    page(approval.shown)
    rule = _rule(call, approval)
    question = f"Run {approval.tool_name} exactly as shown? ({approval.action_sha256[:12]})"
    said = word(f"{question} [{'y/N/a' if rule else 'y/N'}] ")
    if rule and said in _ALWAYS:
        page(told(rule.words))
        if confirm("Approve it, and this rule?", yes=False):
            return Reply(is_yes=True, rule=rule)
        note("no rule was made")
        said = word(f"{question} [y/N] ")
    if said in YES:
        code = one_time_code(call.app.approvals.asks_for_code(approval.risk))
        return Reply(is_yes=True, code=code)
    return Reply(is_yes=False, reason=prompt("Why not? (Enter for no reason) ").strip() or None)


def _rule(call: Call, approval: "Approval") -> "Standing | None":
    """What `a` would make; says what it is for, or why there is none."""
    try:
        rule = call.app.runner.draft_rule(call.actor, approval.id, Scope(is_session=True))
    except LocalaiError as error:
        note(f"a (always) is no answer here: {error.message}")
        return None
    note("a (always) allows calls like it in this conversation, by a rule that you read first")
    return rule
