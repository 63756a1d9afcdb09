"""`ai notify`: who is told what, what waits, what could not be sent."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import ago, note, print_fields, print_line, print_table
from localai.core.errors import Invalid
from localai.core.records import json_text

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.notify.records import ChannelStatus, Notice, Pass, Preview, Sent, Status

app = noun("What people are told: mail, Slack, webhooks.")
Channel = Annotated[
    str, typer.Option(metavar="C", help="mail, slack, webhook, terminal or apprise.")
]


@app.command()
def status(ctx: typer.Context, *, json: Json = False) -> None:
    """Show each channel, what waits and what could not be sent."""
    call = Call(ctx, json=json)
    call.show(call.app.notify.status(call.actor), _status)


@app.command()
def test(
    ctx: typer.Context,
    *,
    channel: Channel,
    json: Json = False,  # noqa: PT028 - a command
) -> None:
    """Send a sample now, and say what the server answered."""
    call = Call(ctx, json=json)
    call.show(call.app.notify.test(call.actor, channel), _sent)


@app.command()
def preview(
    ctx: typer.Context,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="requested, ..., alert or digest.")],
    *,
    channel: Channel,
    approval: Annotated[
        str | None, typer.Option(metavar="ID", help="Of this request, not of a sample.")
    ] = None,
    json: Json = False,
) -> None:
    """Print what would be sent; nothing is sent."""
    call = Call(ctx, json=json)
    row = call.app.approvals.told(call.actor, approval) if approval else None
    call.show(call.app.notify.preview(call.actor, event, channel, row), _preview)


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(help="queued, leased, sent or dead.")] = None,
    channel: Annotated[str | None, typer.Option(metavar="C", help="Of this channel.")] = None,
    event: Annotated[str | None, typer.Option(help="As in: requested, timeout.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List what was told and what waits, newest first."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.notify.list(
        call.actor, status=status, channel=channel, event=event, limit=limit, cursor=cursor
    )
    call.show(page, _table, ids=[notice.id for notice in page.items])


@app.command()
def retry(
    ctx: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...")] = None,
    *,
    all: Annotated[bool, typer.Option("--all", help="All that could not be sent.")] = False,
    json: Json = False,
) -> None:
    """Try again what could not be sent."""
    if bool(ids) == all:
        raise Invalid("which ones?", hint="ai notify retry ID, or ai notify retry --all")
    call = Call(ctx, json=json)
    found = ids or call.app.notify.dead(call.actor)
    call.each(found, lambda name: call.app.notify.retry(call.actor, name), _retried)
    if not found:
        note("nothing is dead")


@app.command()
def run(
    ctx: typer.Context,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="What is due within two minutes, then end.")
    ] = False,
    json: Json = False,
) -> None:
    """Send what is due, and go on until Ctrl-C."""
    call = Call(ctx, json=json)
    call.app.notify.run(call.actor, lambda done: _told(done, is_json=json), once=once)


def _told(done: "Pass", *, is_json: bool) -> None:
    if is_json and (done.sent or done.failed):
        print(json_text(done), flush=True)
        return
    if done.sent:
        print_line(f"sent {done.sent}", flush=True)
    for failure in done.failed:
        note(f"not sent: {failure}")


def _status(found: "Status") -> None:
    if not found.channels:
        note("no channel is set up")
        note("hint: ai config set notify.smtp.host HOST   and notify.smtp.to ADDRESS")
        return
    rows = (
        (each.name, each.waiting, each.dead, ago(each.last_sent_at), each.to, _trouble(each))
        for each in found.channels
    )
    columns = ("CHANNEL", "WAITING", "DEAD", "LAST SENT", "TO", "TROUBLE")
    print_table(columns, rows, empty="")
    if found.waiting and not found.is_sending:
        note("nobody is sending: ai notify run")
    if found.dead:
        note("hint: ai notify list --status dead, then: ai notify retry --all")


def _trouble(channel: "ChannelStatus") -> str:
    return channel.problem or channel.last_error or ""


def _sent(sent: "Sent") -> None:
    print_line(f"sent by {sent.channel}: {sent.answer}")


def _preview(found: "Preview") -> None:
    print_fields({"channel": found.channel, "event": found.event, "subject": found.subject})
    print_line("")
    print_line(found.sent_as, lines=True)


def _retried(notice: "Notice") -> None:
    print_line(f"queued {notice.id} {notice.event} {notice.channel}")


def _table(page: "Page[Notice]") -> None:
    columns = ("ID", "STATUS", "EVENT", "CHANNEL", "REQUEST", "TRIES", "WHEN", "ERROR")
    rows = (
        (each.id, each.status, each.event, each.channel, each.approval, each.attempts)  # noqa: RUF005
        + (ago(each.sent_at or each.created_at), each.error)
        for each in page.items
    )
    print_table(columns, rows, empty="nothing was told yet")
