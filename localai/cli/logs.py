"""`ai logs`: what every process of this home says of its work."""

from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from localai.cli.call import Call, Json, noun
from localai.cli.console import note, print_line
from localai.cli.screen import stdout
from localai.core.clock import rfc3339, seconds
from localai.core.escape import visible
from localai.core.log_reader import Line, Wanted
from localai.core.records import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FEW = 50
_ID = 8
_MOST_VALUE = 200
_SLACK_US = 60_000_000
_SECOND = 1_000_000
_STYLES = {"debug": "dim", "warning": "yellow", "error": "bold red"}
_FIRST = ("approval", "session", "command")
_LEFT_OUT = {"at", "level", "event", "pid", "version", *_FIRST}

app = noun()


@app.command()
def logs(
    ctx: typer.Context,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="D", help="Not older than this: 30m, 7d.")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="At least as grave: debug, info, warning or error.")
    ] = None,
    approval: Annotated[
        str | None, typer.Option(metavar="ID", help="About this request; its first digits do.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="ID", help="About this conversation.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="How many at most; 50 where --since does not say.", metavar="N"),
    ] = None,
    json: Json = False,
) -> None:
    """Show what this home's processes did, newest last."""
    call = Call(ctx, json=json)
    began = None if since is None else call.app.clock.now_us() - seconds(since) * _SECOND
    oldest = None if began is None else rfc3339(began - _SLACK_US)
    wanted = Wanted(rfc3339(began), oldest, level, approval, session)
    most = _FEW if limit is None and since is None else limit
    with closing(call.app.logs(call.actor)) as tail:
        found = tail.last(wanted, most)
        _print(found, is_json=json)
        if follow:
            _print(tail.following(wanted), is_json=json)
    if not found and not json:
        note("nothing logged that fits")


def _print(lines: "Iterable[Line]", *, is_json: bool) -> None:
    console = stdout()
    for line in lines:
        if is_json:
            print(json_text(line.entry or {"unreadable": line.text}), flush=True)
        elif console.is_terminal:
            console.print(_coloured(line), soft_wrap=True)
        else:
            print_line("  ".join(_parts(line)), flush=True)


def _coloured(line: Line) -> Text:
    level = line.entry["level"] if line.entry else "debug"
    style = _STYLES.get(level, "")
    at, *rest = (visible(part) for part in _parts(line))
    shown = Text().append(at, "dim" if rest else style)
    for number, part in enumerate(rest):
        shown.append("  ").append(part, style if number < 2 else "")  # noqa: PLR2004 - its name
    return shown


def _parts(line: Line) -> tuple[str, ...]:
    """Local time, level, event and fields; a line that is not ours, cut, and said to be none."""
    entry = line.entry
    if entry is None:
        return (f"? {_cut(line.text)}",)
    return _moment(entry["at"]), f"{entry['level']:<7}", entry["event"], _fields(entry)


def _moment(at: str) -> str:
    try:
        return f"{datetime.fromisoformat(at).astimezone():%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):
        return at


def _fields(entry: "Mapping[str, object]") -> str:
    named = {name: entry[name] for name in _FIRST if name in entry}
    named |= {name: value for name, value in entry.items() if name not in _LEFT_OUT}
    return "  ".join(f"{name}={_value(name, value)}" for name, value in named.items())


def _value(name: str, value: object) -> str:
    if name in {"approval", "session"}:
        return str(value)[:_ID]
    if name == "traceback":  # its last line says what it was; --json has all of it
        value = str(value).strip().rpartition("\n")[2]
    if isinstance(value, str) and value and not set(value) & set(' "='):
        return _cut(value)
    return _cut(json_text(value))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_VALUE else f"{text[:_MOST_VALUE]}..."
