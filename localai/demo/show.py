"""Runs the example: index the guide, ask it, let a tool call wait, approve it, prove the audit.

Everything is the product's own work: the same rooms, in a home that is gone afterwards.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from localai import guide
from localai.agent.runner import ToolOutcome
from localai.app import App
from localai.approvals.records import Approval
from localai.core.audit import Verification
from localai.core.canonical import canonical
from localai.core.errors import LocalaiError
from localai.rag.records import Answer, Passage
from localai.rbac.permissions import Actor

QUESTION = "How do I approve a request from another terminal?"
KOREAN = "다른 터미널에서 요청을 승인하려면 어떻게 하나요?"
NOTE = "answer.md"
_WAIT_S = 30
_LINES = 3


@dataclass(frozen=True)
class Step:
    """One thing that the demo did: a title, what it means, and what it printed."""

    title: str
    command: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Demonstration:
    """What happened, and how long it took in seconds."""

    steps: tuple[Step, ...]
    ok: bool
    seconds: float


@dataclass
class _Stage:
    app: App
    show: Callable[[Step], None]
    steps: list[Step] = field(default_factory=list)

    def tell(self, title: str, command: str, *lines: str) -> None:
        self.steps.append(Step(title, command, lines))
        self.show(self.steps[-1])


def demonstrate(show: Callable[[Step], None]) -> Demonstration:
    """Run the example, handing each step to `show` as it is done."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="localai-demo-") as scratch:
        workspace = Path(scratch) / "workspace"
        workspace.mkdir()
        app = App(Path(scratch) / "home", workspace=workspace)
        try:
            stage = _Stage(app, show)
            found = _documents(stage)
            _approval(stage, found)
            proof = _audit(stage)
        finally:
            app.close()
    return Demonstration(tuple(stage.steps), proof.is_whole, time.perf_counter() - started)


def _documents(stage: _Stage) -> Answer:
    app = stage.app
    report = app.rag.index(app.actor, [guide.FOLDER], exclude=["*.py"])
    indexed = f"{report.added} files became {report.chunks} passages, on this machine alone"
    stage.tell(
        "Index a folder: here, the guide that ships with localai", "ai rag index GUIDE", indexed
    )
    answers = [app.rag.query(app.actor, question, k=2) for question in (QUESTION, KOREAN)]
    for found in answers:
        lines = [line for passage in found.passages for line in _passage(passage)]
        stage.tell("Ask it", f'ai rag query "{found.question}"', *lines)
    return answers[0]


def _passage(passage: Passage) -> list[str]:
    text = [line for line in passage.text.splitlines() if line.strip()]
    shown = [f"    {line}" for line in text[:_LINES]]
    return [f"[{passage.n}] {passage.source} {passage.location}", *shown]


def _approval(stage: _Stage, found: Answer) -> None:
    """An agent's write waits in one thread, as it would in one terminal; this one decides."""
    app = stage.app
    agent = app.actor.agent("demo")
    best = found.passages[0]
    content = f"# {found.question}\n\n{best.text}\n\nSource: {best.source} {best.location}\n"
    call = _Call(app, agent, {"path": NOTE, "content": content})
    call.start()
    waiting = call.opened()
    arguments = f'\'{{"path": "{NOTE}", "content": ...}}\''
    stage.tell(
        "An agent wants to write a file. That is risky, so nothing happens yet",
        f"ai tools run write_file --args {arguments} --wait 5m",
        *waiting.shown,
    )
    decided = app.approvals.approve(app.actor, waiting.id, seen_sha256=waiting.action_sha256)
    stage.tell(
        "You approve exactly that, from any terminal",
        f"ai approve {waiting.id[:4]}",
        f"{decided.status} by {decided.decided_by}; one changed byte would be another digest",
    )
    outcome = call.finished()
    written = (app.workspace / NOTE).read_text(encoding="utf-8")
    is_same = "exactly what was approved" if written == content else "NOT what was approved"
    stage.tell(
        "The agent goes on: the stored call runs once",
        f"cat {NOTE}",
        outcome.result.text,
        f"{NOTE} holds {len(written.encode())} bytes, {is_same}",
    )


class _Call(threading.Thread):
    """A tool call that waits for its decision beside us."""

    def __init__(self, app: App, agent: Actor, arguments: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._app = app
        self._agent = agent
        self._arguments = arguments
        self._outcome: ToolOutcome | None = None
        self._error: LocalaiError | None = None

    def run(self) -> None:
        """Run the tool through the same runner as any agent."""
        app = self._app
        gate = app.gate(self._agent, wait_s=_WAIT_S)
        reason = "The user asked me to keep the answer."
        try:
            self._outcome = app.runner.run(
                self._agent, "write_file", canonical(self._arguments).decode(), gate, reason=reason
            )
        except LocalaiError as error:
            self._error = error

    def opened(self) -> Approval:
        """The request, as soon as it is in the list."""
        while self.is_alive():
            items = self._app.approvals.list(self._app.actor, status="pending").items
            if items:
                return items[0]
            time.sleep(0.02)
        raise self._error or LocalaiError("the request was not opened")

    def finished(self) -> ToolOutcome:
        """What the tool gave back."""
        self.join(_WAIT_S)
        if self._outcome is None:
            raise self._error or LocalaiError("the tool did not run")
        return self._outcome


def _audit(stage: _Stage) -> Verification:
    proof = stage.app.audit.verify()
    events = [entry.event for entry in reversed(stage.app.audit.page(limit=20).items)]
    told = f"{proof.entries} entries, each chained to the one before" if proof.is_whole else ""
    stage.tell(
        "Everything that was decided is in an audit that cannot be rewritten unseen",
        "ai audit verify",
        " -> ".join(events),
        told or "; ".join(proof.problems),
    )
    return proof
