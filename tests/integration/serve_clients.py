"""Clients that ask `ai serve` for everything at once, and remember what they were told."""

import itertools
import json
import random
import threading
from collections import deque
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

APPROVALS = "/api/v1/approvals"
CLIENTS = 8
_ACTS = (
    *("open", "decide") * 4,
    *("cancel", "claim", "report", "wait"),
    *("run", "read") * 2,
)
_RECENT = 40  # requests, of which clients choose: so that they meet
_PATIENCE_S = 60
_AGREED = {200, 409}  # 409 where another client was faster
_BUSY = 503  # as many tools as may are at work


class Gone(Exception):
    """The server went away; `was_asked` where it had the whole request."""

    def __init__(self, *, was_asked: bool) -> None:
        super().__init__("the server is gone")
        self.was_asked = was_asked


@dataclass(frozen=True)
class Caller:
    """A user with an API key."""

    name: str
    key: str = field(repr=False)


@dataclass
class Act:
    """What somebody did about a request; `words` are told with it, and are its own."""

    verb: str
    by: str
    words: str | None
    status: int | None = None  # None where no answer came

    @property
    def is_done(self) -> bool:
        """Whether the server said that it is done."""
        return self.status == 200

    @property
    def is_in_doubt(self) -> bool:
        """Whether nobody was told what became of it."""
        return self.status is None


@dataclass
class Asked:
    """A request as its client sent it, what it was answered, and what was done about it."""

    by: Caller
    key: str
    body: dict[str, Any]
    answer: dict[str, Any] | None = None
    status: str = "pending"  # as it was heard of last
    acts: list[Act] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The id that the server gave it."""
        assert self.answer is not None
        return str(self.answer["id"])

    @property
    def is_ours(self) -> bool:
        """Whether a tool of the home does it."""
        return bool(self.body["tool_name"] == "write_file")


class Journal:
    """All that was ever asked, from the first server to the last."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.wrong: list[str] = []
        self.cut_off = 0  # requests that the server had, and did not answer
        self._recent: deque[Asked] = deque(maxlen=_RECENT)
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def new(self, by: Caller, dice: random.Random) -> Asked:
        """A request that nobody has sent yet."""
        number = next(self._numbers)
        body: dict[str, Any] = {"tool_name": "deploy", "arguments": {"number": number}}
        if dice.random() < 0.5:
            arguments = {"path": f"{number}.txt", "content": f"number {number}\n"}
            body = {"tool_name": "write_file", "arguments": arguments}
        made = Asked(by, f"key-{number}", body | {"reason": f"because of {number}"})
        with self._lock:
            self.asked.append(made)
        return made

    def opened(self, asked: Asked, answer: dict[str, Any]) -> None:
        """The request is there: others may decide about it."""
        with self._lock:
            asked.answer = answer
            self._recent.append(asked)

    def some(self, status: str, dice: random.Random, *, is_ours: bool | None = None) -> Any:
        """A request that had this status when it was heard of last, often the newest; or None."""
        with self._lock:
            found = [
                each
                for each in self._recent
                if each.status == status and is_ours in (None, each.is_ours)
            ]
        if not found:
            return None
        return found[-1] if dice.random() < 0.5 else dice.choice(found)

    def words(self, verb: str) -> str:
        """A reason that nobody else gives."""
        return f"{verb} {next(self._numbers)}"


class Client:
    """One keep-alive connection, on which one thing is asked after another."""

    def __init__(self, address: tuple[str, int], by: Caller, journal: Journal, seed: str) -> None:
        self._connection = HTTPConnection(*address, timeout=_PATIENCE_S)
        self._by = by
        self._journal = journal
        self._dice = random.Random(seed)

    def work(self) -> None:
        """Ask at random until the server is gone."""
        try:
            while True:
                getattr(self, self._dice.choice(_ACTS))()
        except Gone as gone:
            self._journal.cut_off += gone.was_asked
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def open(self) -> Asked:
        """Ask for something new."""
        asked = self._journal.new(self._by, self._dice)
        self.ask(asked)
        return asked

    def ask(self, asked: Asked) -> dict[str, Any]:
        """Send a request, perhaps again: by the same user with the same key."""
        headers = {"Idempotency-Key": asked.key, "X-API-Key": asked.by.key}
        status, answer = self.say("POST", APPROVALS, asked.body, headers)
        self._expect(status == 201, "open", answer)
        if asked.answer is None:
            self._journal.opened(asked, answer)
        return answer

    def decide(self, asked: Asked | None = None) -> int | None:
        """Approve or reject."""
        verb = "approve" if self._dice.random() < 0.8 else "reject"
        asked = asked or self._journal.some("pending", self._dice)
        return self._put(asked, verb) if asked else None

    def cancel(self) -> None:
        """Withdraw a request."""
        if asked := self._journal.some("pending", self._dice):
            self._do(asked, Act("cancel", self._by.name, None), "DELETE", "")

    def claim(self) -> None:
        """Say that another system begins."""
        if asked := self._journal.some("approved", self._dice, is_ours=False):
            self._put(asked, "claim")

    def report(self, asked: Asked | None = None) -> int | None:
        """Say how it ended."""
        asked = asked or self._journal.some("executing", self._dice, is_ours=False)
        return self._put(asked, self._dice.choice(("succeed", "fail"))) if asked else None

    def run(self, asked: Asked | None = None) -> int | None:
        """Let a tool of the home run."""
        asked = asked or self._journal.some("approved", self._dice, is_ours=True)
        return self._do(asked, Act("run", self._by.name, None), "POST", "/run") if asked else None

    def wait(self) -> None:
        """Wait for a decision; the server may be gone before there is one."""
        if asked := self._journal.some("pending", self._dice):
            status, answer = self.say("GET", f"{APPROVALS}/{asked.id}/wait?timeout=0.5")
            self._expect(status == 200, "wait", answer)

    def read(self) -> None:
        """Read a list, figures, or one request."""
        asked = self._journal.some("pending", self._dice)
        paths = ("?limit=20", "?status=pending&limit=5", "/stats", f"/{asked.id}" if asked else "")
        status, answer = self.say("GET", APPROVALS + self._dice.choice(paths))
        self._expect(status == 200, "read", answer)

    def all(self) -> dict[str, dict[str, Any]]:
        """Every request of the home, as it stands."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            _, page = self.say("GET", f"{APPROVALS}?limit=1000{cursor}")
            found += page["items"]
            if page["next"] is None:
                return {each["id"]: each for each in found}
            cursor = f"&cursor={page['next']}"

    def say(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The answer's status and JSON; Gone where none came."""
        given = {"X-API-Key": self._by.key, "Content-Type": "application/json", **(headers or {})}
        was_asked = False
        try:
            text = None if body is None else json.dumps(body)
            self._connection.request(method, path, text, given)
            was_asked = True
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, HTTPException) as error:
            raise Gone(was_asked=was_asked) from error

    def _put(self, asked: Asked, verb: str) -> int:
        act = Act(verb, self._by.name, self._journal.words(verb))
        return self._do(asked, act, "PUT", "", {"action": verb, "reason": act.words})

    def _do(
        self, asked: Asked, act: Act, method: str, end: str, body: dict[str, Any] | None = None
    ) -> int:
        asked.acts.append(act)
        act.status, answer = self.say(method, f"{APPROVALS}/{asked.id}{end}", body)
        is_busy = act.verb == "run" and act.status == _BUSY
        self._expect(is_busy or act.status in _AGREED, act.verb, answer)
        if act.is_done:
            asked.status = answer.get("approval", answer)["status"]
        return act.status

    def _expect(self, is_so: bool, verb: str, answer: object) -> None:
        if not is_so or "locked" in str(answer):
            self._journal.wrong.append(f"{verb}: {answer}")
