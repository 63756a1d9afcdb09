"""Runs the example: index notes, ask them, have a file written, approve it, prove the audit.

Everything is the product's own work, the starter's calls too: the same rooms, in a home that is
gone afterwards.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from localai.agent.events import ChatResult
from localai.agent.sandbox.probe import remedy
from localai.agent.turn import Request
from localai.app import App
from localai.approvals.records import Approval
from localai.core.chain import Verification
from localai.core.errors import LocalaiError
from localai.infer.engine import Engine
from localai.infer.library import STARTER

NOTES = {
    "office.md": "# The office\n\nThe Alder office opens at 9:30. The Alder office has 24 desks. "
    "The Birch room has seats for 12 people. The Heron printer stands in the kitchen.\n",
    "사무실.md": "# 사무실\n\n은하 사무실은 9시에 문을 연다. 은하 사무실에는 책상이 24개 있다. "
    "소나무 회의실에는 12명이 앉을 수 있다.\n",
}
QUESTIONS = ("What time does the Alder office open?", "은하 사무실에 책상이 몇 개 있나요?")
NOTE = "shopping.txt"
REQUEST = f"Write 'buy milk' to {NOTE}"
_WAIT_S = 30


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
            _documents(stage)
            _approval(stage)
            _sandbox(stage)
            proof = _audit(stage)
        finally:
            app.close()
    return Demonstration(tuple(stage.steps), proof.is_whole, time.perf_counter() - started)


def _documents(stage: _Stage) -> None:
    app = stage.app
    folder = app.workspace / "notes"
    folder.mkdir()
    for name, text in NOTES.items():
        (folder / name).write_text(text, encoding="utf-8")
    report = app.rag.index(app.actor, [folder])
    indexed = f"{report.added} files became {report.chunks} passages, on this machine alone"
    stage.tell("Index a folder of notes", "ai rag index notes", indexed)
    for question in QUESTIONS:
        found = app.ask_documents(
            app.actor,
            question,
            collection="default",
            k=3,
            answer=True,
            show=_silent,
            warn=_silent,
        )
        sources = [f"[{each.n}] {each.source} {each.location}" for each in found.passages]
        stage.tell("Ask them", f'ai rag query "{question}"', found.answer or "", *sources)


def _approval(stage: _Stage) -> None:
    """A conversation waits in one thread, as it would in one terminal; this one decides."""
    app = stage.app
    engine = app.engines.get(app.actor, model=STARTER, role="chat", warn=_silent)
    talk = _Talk(app, engine)
    talk.start()
    waiting = talk.opened()
    stage.tell(
        "Ask for a file. The model calls a tool, that is risky, so nothing happens yet",
        f'ai chat "{REQUEST}"',
        *waiting.shown,
    )
    decided = app.approvals.approve(app.actor, waiting.id, seen_sha256=waiting.action_sha256)
    stage.tell(
        "You approve exactly that, from any terminal",
        f"ai approve {waiting.id[:4]}",
        f"{decided.status} by {decided.decided_by}; one changed byte would be another digest",
    )
    result = talk.finished()
    written = (app.workspace / NOTE).read_text(encoding="utf-8")
    stage.tell("The stored call runs once, and the model goes on", f"cat {NOTE}", written)
    stage.tell("What it says of it", "ai chat -c", result.text)


def _sandbox(stage: _Stage) -> None:
    found = stage.app.sandbox.found
    better = () if found.tier == "full" else (f"{found.why}; for a better one: {remedy(found)}",)
    title = "A program that a model asks for runs in a sandbox, as good as there is one here"
    stage.tell(title, "ai doctor", stage.app.sandbox.words, *better)


class _Talk(threading.Thread):
    """One turn of a conversation beside us, whose request waits for its decision."""

    def __init__(self, app: App, engine: Engine) -> None:
        super().__init__(daemon=True)
        self._app = app
        self._engine = engine
        self._result: ChatResult | None = None
        self._error: LocalaiError | None = None

    def run(self) -> None:
        """Chat as `ai chat` does."""
        app, actor = self._app, self._app.actor
        gate = app.gate(actor, wait_s=_WAIT_S)
        try:
            *_, result = app.agent.chat(actor, Request(REQUEST), self._engine, gate)
        except LocalaiError as error:
            self._error = error
        else:
            self._result = result if isinstance(result, ChatResult) else None

    def opened(self) -> Approval:
        """The request, as soon as it is in the list."""
        while self.is_alive():
            items = self._app.approvals.list(self._app.actor, status="pending").items
            if items:
                return items[0]
            time.sleep(0.02)
        raise self._error or LocalaiError("the request was not opened")

    def finished(self) -> ChatResult:
        """What the turn came to."""
        self.join(_WAIT_S)
        if self._result is None:
            raise self._error or LocalaiError("the turn did not end")
        return self._result


def _silent(_: str) -> None:
    """The demo shows what is asked and answered itself."""


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
