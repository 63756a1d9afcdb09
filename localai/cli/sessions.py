"""`ai sessions`: conversations that were held."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.ask import confirm
from localai.cli.call import Call, Cursor, Json, Limit, Quiet, Yes, noun
from localai.cli.console import ago, note, print_fields, print_line, print_table
from localai.core.clock import seconds
from localai.core.escape import visible
from localai.core.records import Page

if TYPE_CHECKING:
    from localai.agent.history import Session, Transcript
    from localai.agent.search import Found
    from localai.agent.session_statistics import SessionStatistics

app = noun("Conversations that were held.")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_HEADING = re.compile(r"^( {0,3})(#{1,2}\s)")
_OBEYED = re.compile("[^\t\n -~\u00a0-\u2029\u202f-\u2065\u206a-\U0010ffff]")
All = Annotated[bool, typer.Option("--all", help="Those of every project.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="At least 4 characters of it.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    all_: All = False,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the conversations of this project, the last used first."""
    call = Call(ctx, json=json, quiet=quiet)
    project = None if all_ else call.app.project
    page = call.app.history.list(call.actor, project=project, limit=limit, cursor=cursor)
    call.show(page, _table, ids=[session.id for session in page.items])


@app.command()
def show(ctx: typer.Context, session: Id, *, json: Json = False) -> None:
    """Show all that was said in a conversation."""
    call = Call(ctx, json=json)
    call.show(call.app.history.read(call.actor, session), _transcript)


@app.command()
def search(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORD...", help="Or parts of words.")],
    *,
    meaning: Annotated[
        bool, typer.Option("--meaning", help="What is near in meaning, best first.")
    ] = False,
    all_: All = False,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find messages of this project that have all the words, newest first."""
    call = Call(ctx, json=json, quiet=quiet)
    text, project = " ".join(words), None if all_ else call.app.project
    if meaning:
        page = call.app.recollection.find(call.actor, text, project=project, limit=limit)
    else:
        page = call.app.search.find(call.actor, text, project=project, limit=limit, cursor=cursor)
    call.show(page, _found, ids=list(dict.fromkeys(found.session for found in page.items)))


@app.command()
def stats(ctx: typer.Context, *, json: Json = False) -> None:
    """Count your conversations, and what was said in them."""
    call = Call(ctx, json=json)
    call.show(call.app.history.statistics(call.actor), _counted)


@app.command()
def export(ctx: typer.Context, session: Id, *, json: Json = False) -> None:
    """Write a conversation as Markdown, or as JSON, on standard output."""
    call = Call(ctx, json=json)
    call.show(call.app.history.read(call.actor, session), _markdown)


@app.command()
def rm(ctx: typer.Context, session: Id, *, yes: Yes = False) -> None:
    """Forget a conversation."""
    call = Call(ctx)
    found = call.app.history.read(call.actor, session).session
    if confirm(f"Forget {found.id}, {found.title!r}?", yes=yes):
        call.app.history.remove(call.actor, found.id)
        note(f"forgotten: {found.id}")


@app.command()
def pin(ctx: typer.Context, session: Id, *, json: Json = False) -> None:
    """Keep a conversation whatever its age."""
    call = Call(ctx, json=json)
    call.show(call.app.history.pin(call.actor, session, is_pinned=True), _pinned)


@app.command()
def unpin(ctx: typer.Context, session: Id, *, json: Json = False) -> None:
    """Let a conversation grow old again."""
    call = Call(ctx, json=json)
    call.show(call.app.history.pin(call.actor, session, is_pinned=False), _pinned)


@app.command()
def prune(
    ctx: typer.Context,
    *,
    unused: Annotated[str, typer.Option(metavar="D", help="Unused for so long: 90d, 52w.")] = "90d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list them.")] = False,
    yes: Yes = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Forget old conversations; important ones, where tools ran, stay three times as long."""
    call = Call(ctx, json=json, quiet=quiet)
    old = call.app.history.old(call.actor, seconds(unused))
    is_due, question = bool(old) and not dry_run, f"Forget these {len(old)}?"
    if is_due and call.is_json:  # a refusal would be a second document
        is_due = yes = confirm(question, yes=yes)
    call.show(Page(old, len(old)), _table, ids=[each.id for each in old])
    if is_due and confirm(question, yes=yes):
        note(f"forgotten: {len(call.app.history.prune(call.actor, seconds(unused)))}")


def _counted(found: "SessionStatistics") -> None:
    roles = ", ".join(f"{count} of {role}" for role, count in found.by_role.items())
    print_fields(vars(found) | {"by_role": roles})


def _pinned(session: "Session") -> None:
    note(f"{'pinned' if session.is_pinned else 'not pinned'}: {session.id}, {session.title!r}")


def _table(page: "Page[Session]") -> None:
    rows = ((each.id, ago(each.updated_at), each.messages, _shown(each)) for each in page.items)
    empty = 'none here: ai chat "..."   or in all projects: ai sessions list --all'
    print_table(("ID", "LAST USED", "MESSAGES", "TITLE"), rows, empty=empty)


def _shown(session: "Session") -> str:
    return f"{'* ' if session.is_pinned else ''}{session.title}"


def _found(page: "Page[Found]") -> None:
    rows = ((each.session, ago(each.at), each.role, each.snippet) for each in page.items)
    print_table(("ID", "SAID", "BY", "TEXT"), rows, empty="nothing of the kind was said")


def _markdown(transcript: "Transcript") -> None:
    session = transcript.session
    parts = [f"# {session.title}", f"{session.created_at}, in `{session.workspace}`"]
    for turn in transcript.turns:
        parts.append(f"## {turn.tool_name or turn.model or turn.role}")
        if turn.content is None:
            parts.append(f"Waits for a decision: {turn.approval_id}")
        elif turn.content.strip():
            is_result = turn.role == "tool"
            parts.append(_fenced(turn.content) if is_result else _below(turn.content.strip()))
        for called in turn.tool_calls:
            parts += [f"Calls `{called.name}`:", _fenced(called.arguments)]
    print("\n\n".join(map(_exported, parts)))


def _exported(text: str) -> str:
    """The text as it was said, but for what a terminal would obey or show in another order."""
    return _OBEYED.sub(lambda found: visible(found[0]), text)


def _below(text: str) -> str:
    """The text with its headings two levels down, so that none looks like a turn; code as it is."""
    lines, fence = [], ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not mark[2].strip():
            fence = ""
        elif not fence:
            line = _HEADING.sub(r"\1##\2", line)  # noqa: PLW2901 - the line as it is written
        lines.append(line)
    return "\n".join(lines)


def _fenced(text: str) -> str:
    """The text in a fence that is longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.strip()}\n{fence}"


def _transcript(transcript: "Transcript") -> None:
    for turn in transcript.turns:
        who = turn.tool_name or turn.model or turn.role
        waits = f"[waits for a decision: {turn.approval_id}]"
        lines = waits.split("\n") if turn.content is None else turn.content.splitlines()
        lines += [f"[calls {call.name} {call.arguments}]" for call in turn.tool_calls]
        lines += ["[stopped here]"] if turn.is_interrupted else []
        for number, line in enumerate(lines):
            print_line(f"{who + ':' if number == 0 else '':12} {line}")
