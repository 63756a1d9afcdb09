"""Calls of tools in a conversation: run, answered in words, kept.

A call goes through the runner alone. A refusal is an answer that the model reads, and so is a
mistake; only an interrupt ends the turn.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from localai.agent import window
from localai.agent.events import Called
from localai.agent.history import History, Turn
from localai.agent.turn import MOST_ALIKE, Progress, Proposed
from localai.approvals.policy import Leave
from localai.approvals.records import Waiting
from localai.core.errors import Denied, LocalaiError
from localai.infer.engine import Engine
from localai.rbac.permissions import Actor

if TYPE_CHECKING:
    from localai.agent.runner import Runner, ToolOutcome
    from localai.approvals.gate import Gate

_USUAL_RESULT = 8_000  # tokens of a result, where a model does not say how much it can read


class Calls:
    """The calls of one home's conversations."""

    def __init__(self, history: History, runner: "Callable[[], Runner]") -> None:
        self._history = history
        self._runner = runner

    def settle(
        self, actor: Actor, turn: Progress, gate: "Gate", engine: Engine
    ) -> Iterator[Called]:
        """Take up the requests that waited when the conversation was left."""
        for waiting in self._history.read(actor, turn.session).turns:
            if waiting.content is not None or waiting.approval_id is None:
                continue
            name, approval = waiting.tool_name or "", waiting.approval_id
            called = self._outcome(name, "", partial(self._runner().settle, actor, approval, gate))
            if called.pending is None:
                called = replace(called, text=self._clipped(turn, called.text, engine))
                self._history.answer(actor, turn.session, waiting.seq, called.text)
            turn.calls.append(called)
            yield called

    def make(  # noqa: PLR0913 - a call, and all that it depends on
        self,
        actor: Actor,
        turn: Progress,
        proposed: Proposed,
        leave: Leave,
        gate: "Gate",
        engine: Engine,
    ) -> Called:
        """Run what the model proposes, as far as it may, and keep the answer."""
        call, receipt = proposed
        told = asdict(receipt) if receipt else None
        agent = actor.agent(turn.session)
        answer = Turn(0, "tool", "interrupted", tool_call_id=call.id, tool_name=call.name)
        runner = self._runner()

        def run() -> "ToolOutcome":
            if turn.is_repeated(call):
                message = f"{call.name} was called {MOST_ALIKE} times with the same arguments"
                raise Denied(message, hint="answer, or call it with others")
            return runner.run(agent, call.name, call.arguments, gate, receipt=told, leave=leave)

        try:
            called = self._outcome(call.name, call.arguments, run)
        except BaseException:
            # What it did before that is not known: the model must not take it for never run.
            self._history.add(actor, turn.session, answer)
            raise
        if called.pending is None:
            called = replace(called, text=self._clipped(turn, called.text, engine))
        content = None if called.pending else called.text
        answer = replace(answer, content=content, approval_id=called.pending)
        self._history.add(actor, turn.session, answer)
        return called

    def _clipped(self, turn: Progress, text: str, engine: Engine) -> str:
        """A result in half of the room that is left for results of this turn.

        What was waited for comes before that is known, and gets a quarter of the context.
        """
        if turn.room is None:
            most = engine.context // 4 if engine.context else _USUAL_RESULT
        else:
            most = turn.room // 2
        shorter = window.clipped(text, most, engine.count)
        turn.take(engine.count(shorter))
        return shorter

    def _outcome(self, name: str, arguments: str, run: "Callable[[], ToolOutcome]") -> Called:
        """Run, turning every refusal and mistake into words for the model."""
        try:
            outcome = run()
        except Waiting as waiting:
            return Called(name, arguments, False, waiting.message, waiting.approval_id)
        except LocalaiError as error:
            told = f"{error.category}: {error.message}{_advice(error)}"
            return Called(name, arguments, False, told)
        return Called(name, arguments, outcome.result.ok, outcome.told)


def _advice(error: LocalaiError) -> str:
    """The hint, but for commands of ours: those are a person's to type, and no model's."""
    return f" ({error.hint})" if error.hint and not error.hint.startswith("ai ") else ""
