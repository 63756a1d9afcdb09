"""What happened in a job, as Markdown that somebody can read; the same on every machine.

Ids, digests, times, places, commit hashes and the words of the sandbox are replaced by names.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from localai.agent.events import Event
from localai.approvals.records import Approval

_MOST_LINES = 30
_PATTERNS = (
    (r"(?m)^( *sandbox +)(full|reduced) .*$", r"\1<the sandbox of this machine>"),
    (r"(?m)^( *program +)\".*\"  sha256 .*$", r"\1<its path>  sha256 <digest>"),
    (r"\b[0-9a-f]{64}\b", "<digest>"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"\b\d{4}-\d\d-\d\d\b", "<date>"),
    (r"\b(?=[a-f]*\d)[0-9a-f]{7,40}\b", "<hash>"),
    (r"clipped: \d+ of", "clipped: <many> of"),
)


class Transcript:
    """A transcript on its way."""

    def __init__(self, workspace: Path, home: Path) -> None:
        self._names = {str(workspace): "<workspace>", str(home): "<home>"}
        self._counts: dict[str, int] = {}
        self._parts: list[str] = []
        self._said = ""

    @property
    def text(self) -> str:
        """All of it, normalised."""
        text = "\n\n".join(self._parts) + "\n"
        for foreign, name in self._names.items():
            text = text.replace(foreign, name)
        for pattern, name in _PATTERNS:
            text = re.sub(pattern, name, text)
        return re.sub(r"(?m) +$", "", text)

    def name(self, identity: str, kind: str) -> None:
        """Call what has this id by its kind and a number."""
        if identity not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[identity] = f"<{kind} {self._counts[kind]}>"

    def begin(self, data: Mapping[str, Any]) -> None:
        """What the job is about."""
        model = "the starter" if data.get("model") == "starter" else "scripted"
        options = [f"--{name.replace('_', '-')}" + (f" {value}" if value is not True else "")
                   for name, value in data.get("options", {}).items()]  # fmt: skip
        told = f"Repository: {data['repository']}. Model: {model}."
        given = f" Options: `{' '.join(options)}`." if options else ""
        self._parts += [f"# {data['title']}", data["lesson"].strip(), told + given]

    def turn(self, turn: Mapping[str, Any]) -> None:
        """What a person asks for, or that the conversation goes on without a word."""
        request = turn.get("request")
        command = f'ai chat "{request}"' if request else "ai chat -c"
        self._parts.append(f"## `{command}`")

    def event(self, event: Event) -> None:
        """What happens in a turn."""
        match event.kind:
            case "said":
                self._said += event.text
            case "calling":
                self._rest()
                self._parts.append(f"The model calls **{event.name}**:")
                self._block(event.arguments.splitlines() or [""])
            case "called" if event.pending:
                self.name(event.pending, "request")
                self._parts.append(f"It waits for a person: {event.pending}")
            case "called":
                self._parts.append(f"{event.name or 'It'} {'answers' if event.ok else 'fails'}:")
                self._block(event.text.splitlines())
            case "stopped":
                self._parts.append(f"No more tools: {event.why}.")

    def asked(self, approval: Approval, answer: Mapping[str, Any]) -> None:
        """What a person was shown before anything ran, and the answer."""
        self.name(approval.id, "request")
        self.lines("The person is shown:", approval.shown)
        why = f": {answer['reason']}" if "reason" in answer else ""
        self._parts.append(f"and answers **{answer['says']}**{why}")

    def lines(self, head: str, lines: Iterable[str]) -> None:
        """Some lines under a head."""
        self._parts.append(head)
        self._block(list(lines))

    def ended(self, code: int) -> None:
        """The end of a turn."""
        self._rest()
        self._parts.append(f"Exit code {code}.")

    def elsewhere(self, words: Sequence[str], said: str, code: int = 0) -> None:
        """A command in another terminal."""
        self._parts.append(f"## In another terminal: `ai {shlex.join(words)}`")
        self._block(said.splitlines())
        self.ended(code)

    def end(
        self,
        requests: Sequence[str],
        commits: Sequence[str],
        files: Mapping[str, str],
        events: Sequence[str],
    ) -> None:
        """What there is afterwards."""
        self._parts.append("## Afterwards")
        kept = [f"requests: {', '.join(requests) or 'none'}", f"commits: {'; '.join(commits)}"]
        self._parts.append("\n".join(f"- {each}" for each in [*kept, f"audit: {_run(events)}"]))
        for name, text in files.items():
            self.lines(f"`{name}`:", text.splitlines() or ["(empty)"])

    def _rest(self) -> None:
        if said := self._said.strip():
            self._parts.append("The model says:")
            self._parts.append("\n".join(f"> {line}".rstrip() for line in said.splitlines()))
        self._said = ""

    def _block(self, lines: Sequence[str]) -> None:
        shown = list(lines)
        if len(shown) > _MOST_LINES:
            cuts = [line for line in shown if "[clipped:" in line]
            rest = f"({len(shown) - 6} more lines)" if not cuts else "(more lines)"
            shown = [*shown[:3], rest, *cuts, *shown[-3:]]
        self._parts.append("\n".join(f"    {line}" for line in shown))


def _run(events: Sequence[str]) -> str:
    """Events in their order; one that comes many times in a row is counted."""
    told: list[str] = []
    counts: list[int] = []
    for event in events:
        if told and told[-1] == event:
            counts[-1] += 1
        else:
            told.append(event)
            counts.append(1)
    return ", ".join(
        event + (f" ({count} times)" if count > 1 else "")
        for event, count in zip(told, counts, strict=True)
    )
