"""`ai approve`: yes, to exactly what was shown."""

from json import dumps
from typing import TYPE_CHECKING, Annotated

import typer

from localai.approvals.records import preview
from localai.approvals.standing import LONGEST_S, Scope
from localai.cli.approvals import brief
from localai.cli.ask import decide_yes, edited, one_time_code
from localai.cli.call import Call, Json, Yes, noun
from localai.core.clock import seconds
from localai.core.errors import Invalid

if TYPE_CHECKING:
    from localai.approvals.records import Approval
    from localai.approvals.standing import Standing

app = noun()


@app.command()
def approve(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...")],
    *,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept.")] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Only if the action's digest begins so.")
    ] = None,
    session: Annotated[
        bool, typer.Option("--session", help="And calls like it in its conversation, 8 hours.")
    ] = False,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="D", help="And calls like it for so long: 1h.")
    ] = None,
    edit: Annotated[
        bool, typer.Option("--edit", help="Change the arguments in $EDITOR first.")
    ] = False,
    totp: Annotated[
        str | None, typer.Option(metavar="CODE", help="Of your authenticator app.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="This call alone; the default.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Approve requests; on a terminal each is shown whole first."""
    if sum((once, session, for_ is not None, edit)) > 1:
        message = "--once, --session, --for and --edit exclude each other"
        raise Invalid(message, hint="give one of them")
    call = Call(ctx, json=json)
    scope = None
    if session or for_:
        scope = Scope(seconds(for_) if for_ else LONGEST_S, is_session=session)

    def act(name: str) -> "Approval":
        seen = call.app.approvals.to_decide(call.actor, name, sha256=sha256)
        if edit:
            return _amended(call, seen, reason, totp, yes=yes)
        rule = call.app.runner.draft_rule(call.actor, seen.id, scope) if scope else None
        decide_yes(seen, rule.words if rule else (), yes=yes)
        return _approved(call, seen, reason, totp, rule)

    call.each(ids, act, brief)


def _approved(
    call: Call, seen: "Approval", reason: str | None, totp: str | None, rule: "Standing | None"
) -> "Approval":
    approvals = call.app.approvals
    code = totp or one_time_code(approvals.asks_for_code(seen.risk))
    return approvals.approve(
        call.actor, seen.id, reason=reason, seen_sha256=seen.action_sha256, rule=rule, code=code
    )


def _amended(
    call: Call, seen: "Approval", reason: str | None, totp: str | None, *, yes: bool
) -> "Approval":
    before = dumps(seen.arguments, ensure_ascii=False, indent=2)
    proposal = call.app.runner.restated(call.actor, seen, edited(before, "arguments.json"))
    if proposal.action.arguments == seen.arguments:
        decide_yes(seen, yes=yes)
        return _approved(call, seen, reason, totp, None)
    decide_yes(preview(seen, proposal), yes=yes)
    approvals, digest = call.app.approvals, seen.action_sha256
    code = totp or one_time_code(approvals.asks_for_code(proposal.risk.word))
    return approvals.amend(
        call.actor, seen.id, proposal, reason=reason, seen_sha256=digest, code=code
    )
