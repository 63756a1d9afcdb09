"""What the race and crash tests run in other processes: real deciders, a real tool."""

import itertools
import os
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from approvals_home import Home, build

from localai.agent.runner import Rules, Runner
from localai.agent.tools import ByItself, Context, Registry, Tool, ToolResult
from localai.approvals.gate import Ask
from localai.approvals.records import Reply
from localai.core.errors import LocalaiError, Rejected
from localai.rbac.permissions import Actor, Risk

DRIVERS = ("sqlite3", "pysqlite3.dbapi2")


class Answer(NamedTuple):
    """What a decider was told about one request."""

    approval: str
    voter: str
    decision: str
    category: str
    message: str


def driver(name: str) -> ModuleType:
    """The SQLite driver of that name."""
    return import_module(name)


def decide_all(
    folder: Path, driver_name: str, voter: str, ids: Sequence[str], barrier: Any, answers: Any
) -> None:
    """Decide about every request at once with all other deciders; report what one is told."""
    home = build(folder, driver=driver(driver_name))
    actor, order = Actor(voter), random.Random(voter)
    shuffled = order.sample(list(ids), len(ids))
    seen = home.approvals.get(actor, ids[0]).action_sha256
    barrier.wait()
    told = [_decide(home, actor, approval, order, seen) for approval in shuffled]
    home.database.close()
    answers.put(told)


def _decide(home: Home, actor: Actor, approval: str, order: random.Random, seen: str) -> Answer:
    verb, decision = order.choice([("approve", "approved"), ("reject", "rejected")])
    decide: Callable[..., object] = getattr(home.approvals, verb)
    try:
        decide(actor, approval, seen_sha256=seen)
    except LocalaiError as error:
        return Answer(approval, actor.user_id, decision, error.category, error.message)
    return Answer(approval, actor.user_id, decision, "won", "")


def append(context: Context, line: str) -> ToolResult:
    """Append a line to the file of effects, all of it or nothing."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    file = os.open(context.workspace / "effects", flags, 0o600)
    os.write(file, f"{line}\n".encode())
    os.close(file)
    return ToolResult(True, line, line)


def runner(home: Home, workspace: Path) -> Runner:
    """A runner whose one tool leaves a trace of every run."""
    tool = Tool("append", append, "files:write", Risk.HIGH, ByItself("none"))
    return Runner(
        Registry([tool]),
        home.approvals,
        home.rbac.require,
        Rules(),
        workspace=workspace,
        protected=(),
    )


def work(folder: Path, driver_name: str, workspace: Path, seed: str) -> None:
    """Ask, decide, claim and run, over and over, until killed."""
    home = build(folder, driver=driver(driver_name))
    dice, running = random.Random(seed), runner(home, workspace)
    gate = Ask(home.approvals, home.operator, lambda _: Reply(dice.random() < 0.8))
    yes = Ask(home.approvals, home.operator, lambda _: Reply(is_yes=True))
    running.run(home.operator, "append", f'{{"line": "{seed}:0"}}', yes)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for count in itertools.count(1):
        with suppress(Rejected):
            running.run(home.operator, "append", f'{{"line": "{seed}:{count}"}}', gate)


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4])
