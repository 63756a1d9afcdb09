"""`ai approvals`: what waits for a person, and what became of the rest."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import ago, note, print_fields, print_line, print_table
from localai.core.canonical import canonical
from localai.core.clock import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localai.agent.runner import ToolOutcome
    from localai.approvals.records import Approval
    from localai.approvals.statistics import Statistics
    from localai.core.records import Page

app = noun("What waits for a person.")
_COLUMNS = ("ID", "STATUS", "RISK", "TOOL", "WHO", "ASKED", "EXPIRES")
_NOTHING = "nothing waits for you"
Id = Annotated[str, typer.Argument(metavar="ID", help="At least 4 characters of it.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(help="As in: pending, approved.")] = None,
    tool: Annotated[str | None, typer.Option(help="Of this tool alone.")] = None,
    user: Annotated[str | None, typer.Option(help="Asked for by this user.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and ring the bell for a new one.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List requests, newest first."""
    call = Call(ctx, json=json, quiet=quiet)

    def look() -> "Page[Approval]":
        return call.app.approvals.list(
            call.actor, status=status, tool=tool, user=user, limit=limit, cursor=cursor
        )

    if watch:
        from localai.cli.screen import table
        from localai.cli.watch import watching  # rich.live, for this option alone

        call.app.send_in_background()
        watching(look, lambda page: table(_COLUMNS, _rows(page)) if page.items else _NOTHING, json)
    page = look()
    call.show(page, _table, ids=[approval.id for approval in page.items])


@app.command()
def show(ctx: typer.Context, approval: Id, *, json: Json = False) -> None:
    """Show the whole action, and what became of it."""
    call = Call(ctx, json=json)
    call.show(call.app.approvals.get(call.actor, approval), whole)


@app.command()
def wait(
    ctx: typer.Context,
    approval: Id,
    *,
    timeout: Annotated[str, typer.Option(metavar="D", help="As in: 5m.")] = "5m",
    json: Json = False,
) -> None:
    """Wait until a request is decided; exit 7 if nobody did in time."""
    call = Call(ctx, json=json)
    decided = call.app.approvals.wait(call.actor, approval, timeout_s=seconds(timeout))
    call.show(decided, brief)


@app.command()
def cancel(ctx: typer.Context, approval: Id, *, json: Json = False) -> None:
    """Withdraw a pending request."""
    call = Call(ctx, json=json)
    call.show(call.app.approvals.cancel(call.actor, approval), brief)


@app.command()
def run(ctx: typer.Context, approval: Id, *, json: Json = False) -> None:
    """Run an approved request whose process is gone."""
    call = Call(ctx, json=json)
    call.show(call.app.runner.resume(call.actor, approval), ran)


@app.command()
def renew(ctx: typer.Context, approval: Id, *, json: Json = False) -> None:
    """Ask again for a request that expired."""
    call = Call(ctx, json=json)
    expired = call.app.approvals.get(call.actor, approval, "expired")
    proposal = call.app.runner.restated(call.actor, expired)
    call.show(call.app.approvals.renew(call.actor, expired.id, proposal), brief)


@app.command()
def revoke(
    ctx: typer.Context,
    approval: Id,
    *,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept.")] = None,
    json: Json = False,
) -> None:
    """Take back an approval that has not run."""
    call = Call(ctx, json=json)
    call.show(call.app.approvals.revoke(call.actor, approval, reason=reason), brief)


@app.command()
def stats(
    ctx: typer.Context,
    *,
    since: Annotated[str, typer.Option(metavar="D", help="As in: 7d.")] = "7d",
    json: Json = False,
) -> None:
    """Count requests and how long they waited."""
    call = Call(ctx, json=json)
    start = call.app.clock.now_us() - seconds(since) * 1_000_000
    call.show(call.app.approvals.statistics(call.actor, since_us=start), _statistics)


def whole(approval: "Approval") -> None:
    """Every line of the action, then its story."""
    for line in approval.shown:
        print_line(line)
    if approval.decided_at:
        word = approval.votes[-1].decision if approval.votes else approval.status
        why = f": {approval.decision_reason}" if approval.decision_reason else ""
        print_line(f"{word:10} by {approval.decided_by} at {approval.decided_at}{why}")
    if approval.finished_at:
        print_line(f"{'finished':10} at {approval.finished_at}")
    if approval.outcome:
        print_line(f"{'outcome':10} {approval.outcome}")
    if approval.replaces:
        print_line(f"{'replaces':10} {approval.replaces}")
    if approval.arguments != approval.proposed_arguments:
        proposed = canonical(approval.proposed_arguments).decode()
        print_line(f"{'proposed':10} {proposed}")


def brief(approval: "Approval") -> None:
    """One line: what was decided, by whom, why."""
    if approval.votes and approval.status == "pending":
        count = f"{len(approval.votes)} of the {approval.needed} people that it needs"
        print_line(f"pending {approval.id} {approval.tool_name}: approved by {count}")
        return
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    why = f": {approval.decision_reason}" if approval.decision_reason else ""
    print_line(f"{approval.status} {approval.id} {approval.tool_name}{by}{why}")


def ran(outcome: "ToolOutcome") -> None:
    """What a tool gave back."""
    print_line(outcome.result.text, lines=True)
    if not outcome.result.ok:
        note("the tool reports that it failed")


def _table(page: "Page[Approval]") -> None:
    print_table(_COLUMNS, _rows(page), empty=_NOTHING)


def _rows(page: "Page[Approval]") -> list[tuple[str, ...]]:
    return [
        (each.id, each.status, each.risk, each.tool_name, each.user_id)  # noqa: RUF005 - reads so
        + (ago(each.created_at), ago(each.expires_at) if each.status == "pending" else "")
        for each in page.items
    ]


def _statistics(found: "Statistics") -> None:
    shares = {name: getattr(found, name) for name in ("approval_rate", "expired_share")}
    times = {name: getattr(found, name) for name in ("avg_time", "median_time", "p95_time")}
    counts = {name: getattr(found, name) for name in ("by_status", "by_tool", "by_decider")}
    print_fields(
        vars(found)
        | {name: None if share is None else f"{share:.1%}" for name, share in shares.items()}
        | {name: None if time is None else f"{time:.1f} s" for name, time in times.items()}
        | {name: _counted(counted) for name, counted in counts.items()}
    )


def _counted(counts: "Mapping[str, object]") -> str:
    told = (
        f"{name} {_counted(count) if isinstance(count, dict) else count}"
        for name, count in counts.items()
    )
    return ", ".join(told)
