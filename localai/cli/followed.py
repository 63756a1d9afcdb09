"""What `ai rag watch` says of a run: one line, for people or as JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from localai.cli.console import print_line
from localai.cli.exits import record, report
from localai.core.errors import LocalaiError
from localai.core.records import json_text

if TYPE_CHECKING:
    from localai.rag.records import WatchRun

_NAMES = 3


def tell(found: "WatchRun | LocalaiError", *, is_json: bool) -> None:
    """Print a run, or what went wrong; the watch goes on in any case."""
    if is_json:
        shown = {"error": record(found)} if isinstance(found, LocalaiError) else found
        print(json_text(shown), flush=True)
    elif isinstance(found, LocalaiError):
        report(found, [])
    else:
        moment = datetime.now(UTC).astimezone()
        print_line(f"{moment:%H:%M:%S}  {_said(found)}", flush=True)


def _said(run: "WatchRun") -> str:
    """`1 updated: a.md; 1 skipped: b.md (not text)`; of many a few are named."""
    groups = {
        "added": (run.added, _named(run, "added")),
        "updated": (run.updated, _named(run, "updated")),
        "removed": (run.removed, _named(run, "removed")),
        "skipped": (len(run.skipped), [f"{each.source} ({each.reason})" for each in run.skipped]),
    }
    said = [_counted(name, *group) for name, group in groups.items() if group[0]]
    return "; ".join(said) or "nothing to do"


def _named(run: "WatchRun", action: str) -> list[str]:
    return [each.source for each in run.files if each.action == action]


def _counted(action: str, count: int, names: Sequence[str]) -> str:
    more = ", ..." if count > len(names[:_NAMES]) else ""
    return f"{count} {action}: {', '.join(names[:_NAMES])}{more}"
