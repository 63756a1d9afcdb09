"""Small jobs of an agent as data: a repository, a request, what model and person say, what is true.

A job is a file of `tests/data/jobs`; its README describes the form. It goes through the whole
product: engine, loop, policy, approval, sandbox, audit.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import gguf_models
from terminal import Ai
from transcripts import Transcript

from localai.agent.events import Event
from localai.app import App
from localai.approvals.records import Approval, Reply
from localai.approvals.standing import Scope
from localai.infer.engine import Engine
from localai.infer.library import STARTER

FOLDER = Path(__file__).parent / "data" / "jobs"
WHO = "mina"
INTERRUPTED, PENDING = 130, 7
_REPOSITORIES = "repositories.toml"
_NOT_EXPECTED = "This is not what I was told to expect."
_WHEN = "2026-01-05T09:00:00Z"


@dataclass(frozen=True)
class Job:
    """One job, as its file has it."""

    name: str
    data: Mapping[str, Any]

    @property
    def golden(self) -> Path:
        """Where its transcript lies."""
        return FOLDER / f"{self.name}.md"

    @property
    def is_starters(self) -> bool:
        """Whether the model that ships does it, and not a scripted one."""
        return self.data.get("model") == "starter"

    @cached_property
    def rules(self) -> list[tuple[str, str]]:
        """The replies of a scripted model: its n-th one, if it then sees what it must."""
        said = "messages | selectattr('role', 'equalto', 'assistant') | list | length"
        return [
            (f"({said}) == {number} and " + _condition(reply), _reply(reply))
            for number, reply in enumerate(self.data.get("model", ()))
        ]


def jobs() -> list[Job]:
    """All of them, in their order."""
    files = sorted(each for each in FOLDER.glob("*.toml") if each.name != _REPOSITORIES)
    return [Job(each.stem, tomllib.loads(each.read_text(encoding="utf-8"))) for each in files]


def _condition(reply: Mapping[str, Any]) -> str:
    """What the last message must hold, or a condition as a chat template writes it."""
    sees = reply.get("sees", ())
    texts = [sees] if isinstance(sees, str) else sees
    holds = [f"{json.dumps(text, ensure_ascii=False)} in last.content" for text in texts]
    return " and ".join([*holds, reply.get("when", "true")])


def _reply(reply: Mapping[str, Any]) -> str:
    calls = (gguf_models.tool_call(call["tool"], **call["with"]) for call in reply.get("calls", ()))
    return "".join([reply.get("says", ""), *calls, reply.get("writes", "")])


def environment(home: Path) -> dict[str, str]:
    """The person's own home, with a name for git and a key that nobody is to see."""
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_text("the-private-key\n")
    (home / ".gitconfig").write_text("[user]\n\tname = Mina\n\temail = mina@example.org\n")
    named = {"HOME": str(home), "LOGNAME": WHO, "USER": WHO, "LANG": "C.UTF-8"}
    return {**named, "PATH": "/usr/local/bin:/usr/bin:/bin"}


def repository(folder: Path, data: Mapping[str, Any]) -> None:
    """Make the git repository of a job: what is committed, then what is only changed."""
    made = tomllib.loads((FOLDER / _REPOSITORIES).read_text(encoding="utf-8"))
    folder.mkdir()
    _git(folder, "init", "--quiet", "--initial-branch=main")
    first = {"subject": "Begin", "files": made[data["repository"]] | data.get("files", {})}
    for commit in [first, *data.get("history", ())]:
        _put(folder, commit["files"])
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", f"--message={commit['subject']}")
    _put(folder, data.get("changed", {}))


def _put(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _git(folder: Path, *words: str) -> str:
    dated = os.environ | {"GIT_AUTHOR_DATE": _WHEN, "GIT_COMMITTER_DATE": _WHEN}
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=dated).stdout


@dataclass
class Person:
    """Whoever sits at the terminal and answers as the job says."""

    app: App
    answers: list[Mapping[str, Any]]
    transcript: Transcript

    def __call__(self, approval: Approval) -> Reply:
        """Read what is shown, and answer."""
        assert self.answers, f"nobody expected to be asked about {approval.tool_name}"
        answer = self.answers.pop(0)
        self.transcript.asked(approval, answer)
        match answer["says"]:
            case "yes":
                return Reply(is_yes=True)
            case "no":
                return Reply(is_yes=False, reason=answer.get("reason"))
            case "always":
                rule = self.app.runner.draft_rule(
                    self.app.actor, approval.id, Scope(is_session=True)
                )
                self.transcript.lines("and reads the rule that this makes:", rule.words)
                return Reply(is_yes=True, rule=rule)
        raise KeyboardInterrupt


@dataclass
class Play:
    """A job at work in a home and a workspace."""

    job: Job
    app: App
    transcript: Transcript
    session: str | None = None
    exit: int = 0
    said: str = ""
    models: Path = field(default_factory=Path)

    def run(self) -> None:
        """Every turn, then what there is afterwards."""
        self.transcript.begin(self.job.data)
        for turn in self.job.data["turn"]:
            if "ai" in turn:
                self._elsewhere(turn["ai"])
            elif "edits" in turn:
                self._edit(turn["edits"])
            else:
                self._talk(turn)
        files = {name: self._file(name) for name in self.after.get("files", {})}
        self.transcript.end(self.requests, self.commits, files, self._events)

    @property
    def after(self) -> Mapping[str, Any]:
        """What must be true when all is over."""
        after: Mapping[str, Any] = self.job.data["after"]
        return after

    @property
    def requests(self) -> list[str]:
        """The requests of the job, the oldest first, each with its end."""
        items = reversed(self.app.approvals.list(self.app.actor).items)
        return [f"{each.tool_name} {each.status}" for each in items]

    @property
    def commits(self) -> list[str]:
        """The subjects of the commits, the newest first."""
        return _git(self.app.workspace, "log", "--format=%s").splitlines()

    def _file(self, name: str) -> str:
        return (self.app.workspace / name).read_text(encoding="utf-8")

    @property
    def _events(self) -> list[str]:
        entries = reversed(self.app.audit.page(limit=1000).items)
        return [each.event for each in entries if each.event.startswith(("approval", "tool"))]

    def _talk(self, turn: Mapping[str, Any]) -> None:
        """One turn of the conversation, at a terminal if a person is there."""
        app, actor = self.app, self.app.actor
        person = Person(app, list(turn.get("person", ())), self.transcript)
        gate = app.gate(actor, person if "person" in turn else None)
        self.session = app.agent.session(actor, self.session, turn.get("request"))
        self.transcript.name(self.session, "conversation")
        self.transcript.turn(turn)
        request = app.request(
            turn.get("request"), session=self.session, route="chat", system=None, with_tools=None,
            temperature=None, max_tokens=None, seed=None, **self.job.data.get("options", {}),
        )  # fmt: skip
        events = app.agent.chat(actor, request, self._engine, gate)
        try:
            with closing(events), interrupted(app.workspace, turn.get("interrupted_by")):
                self._show(events, turn.get("interrupted_after"))
        except KeyboardInterrupt:
            self.exit = INTERRUPTED
        self.transcript.ended(self.exit)
        assert not person.answers, "the person was asked less often than the job says"

    def _show(self, events: Iterator[Event], stops_after: int | None) -> None:
        ended = 0
        for event in events:
            self.transcript.event(event)
            ended += event.kind == "called"
            if event.kind == "done":
                self.exit, self.said = (PENDING if event.pending else 0), event.text
            if event.kind == "called" and ended == stops_after:
                raise KeyboardInterrupt

    @cached_property
    def _engine(self) -> Engine:
        if not self.job.is_starters:
            file = self.models / "scripted.gguf"
            context = self.job.data.get("context", 8192)
            gguf_models.scripted(file, self.job.rules, _NOT_EXPECTED, context=context)
            self.app.models.add(self.app.actor, file)
        model = STARTER if self.job.is_starters else None
        return self.app.engines.get(self.app.actor, model=model, role="chat", warn=str)

    @property
    def _waiting(self) -> Approval:
        (waiting,) = self.app.approvals.list(self.app.actor, status="pending").items
        return waiting

    def _edit(self, arguments: Mapping[str, Any]) -> None:
        """What `ai approve ID --edit` does, in another terminal."""
        app, seen = self.app, self._waiting
        proposal = app.runner.restated(app.actor, seen, json.dumps(arguments, ensure_ascii=False))
        app.approvals.amend(app.actor, seen.id, proposal, seen_sha256=seen.action_sha256)
        self.transcript.elsewhere(["approve", seen.id, "--edit"], json.dumps(arguments))

    def _elsewhere(self, words: Sequence[str]) -> None:
        """A command of ours, in a process of its own."""
        waiting = self.app.approvals.list(self.app.actor, status="pending").items
        for each in waiting:
            self.transcript.name(each.id, "request")
        given = [waiting[0].id if word == "ID" else word for word in words]
        if given[0] == "chat":
            self.app.engines.close()
        done = Ai(self.app.directories.config, self.app.workspace)(*given)
        self.exit, self.said = done.code, done.out
        self.transcript.elsewhere(given, done.out + done.err, done.code)


class interrupted:  # noqa: N801 - reads as what it does
    """Ctrl-C, as soon as the workspace has a file of that name."""

    def __init__(self, workspace: Path, name: str | None) -> None:
        self._file = workspace / (name or "")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._press, daemon=True) if name else None

    def __enter__(self) -> None:
        if self._thread:
            # A worker of the test runner leaves Ctrl-C to its parent.
            self._before = signal.signal(signal.SIGINT, signal.default_int_handler)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._thread:
            self._is_over.set()
            self._thread.join()
            signal.signal(signal.SIGINT, self._before)

    def _press(self) -> None:
        while not self._is_over.wait(0.02):
            if self._file.exists():
                os.kill(os.getpid(), signal.SIGINT)
                return


def running(workspace: Path) -> list[str]:
    """The programs that still run in the workspace."""
    found, until = [str(workspace)], time.monotonic() + 2
    while found and time.monotonic() < until:
        found = [line for line in _command_lines() if str(workspace) in line]
    return found


def _command_lines() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.name != str(os.getpid()):
                yield (process / "cmdline").read_bytes().decode(errors="replace")


def copied(made: Path, home: Path) -> Path:
    """A home of its own, from one that was made before."""
    shutil.copytree(made, home)
    home.chmod(0o700)
    return home
