"""The life of requests, driven at random: whatever people, agents and clocks do, the rules hold."""

import os
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from approvals_home import Home, TurnableClock, build, proposal
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from localai.approvals.records import Approval, Grant
from localai.approvals.tables import TRANSITIONS
from localai.core.errors import LocalaiError
from localai.rbac.permissions import Actor

IS_FULL = os.environ.get("PROVE") == "1"
FINAL = {state for state, following in TRANSITIONS.items() if not following}
PEOPLE = ("kim", "jun", "mina")


class Life(RuleBasedStateMachine):
    """Three people, a clock that goes both ways, and every request's whole story."""

    requests = Bundle("requests")
    grants = Bundle("grants")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="life-")
        self.clock = TurnableClock()
        self.home: Home = build(Path(self._folder.name) / "home", self.clock)
        for name, role in (("jun", "operator"), ("mina", "user")):
            self.home.add_user(name, role)
        self.told: dict[str, list[str]] = {}
        self.claims: dict[str, int] = {}
        self.count = 0

    def teardown(self) -> None:
        """The audit tells the same story, and is whole."""
        assert self.home.audit.verify().is_whole
        for request, states in self.told.items():
            decided = [each for each in self.home.events(request) if each in _DECISIONS]
            assert len(decided) <= 1, (request, states)
        self.home.rbac._tally.close()
        self.home.database.close()
        self._folder.cleanup()

    @rule(target=requests, who=st.sampled_from(PEOPLE), is_agent=st.booleans())
    def ask(self, who: str, is_agent: bool) -> str:
        actor = Actor(who).agent("5e55") if is_agent else Actor(who)
        self.count += 1
        content = {"path": "a.txt", "content": str(self.count)}
        try:
            opened = self.home.approvals.open(actor, proposal(arguments=content))
        except LocalaiError:
            return ""
        self.told[opened.id] = ["pending"]
        return opened.id

    @rule(request=requests, who=st.sampled_from(PEOPLE), is_yes=st.booleans())
    def decide(self, request: str, who: str, is_yes: bool) -> None:
        before = self._status(request)
        decide = self.home.approvals.approve if is_yes else self.home.approvals.reject
        seen = self._digest(request)
        after = self._try(lambda: decide(Actor(who), request, seen_sha256=seen))
        if after is not None:
            assert before == "pending"
            assert who != "mina"

    @rule(request=requests, who=st.sampled_from(PEOPLE))
    def withdraw(self, request: str, who: str) -> None:
        before = self._status(request)
        if self._try(lambda: self.home.approvals.cancel(Actor(who), request)) is not None:
            assert before == "pending"

    @rule(request=requests, who=st.sampled_from(PEOPLE))
    def take_back(self, request: str, who: str) -> None:
        before = self._status(request)
        if self._try(lambda: self.home.approvals.revoke(Actor(who), request)) is not None:
            assert before == "approved"

    @rule(target=grants, request=requests, is_same=st.booleans())
    def claim(self, request: str, is_same: bool) -> Any:
        if not request:
            return None
        before = self._status(request)
        stored = self._digest(request)
        content = self.home.approvals.get(self.home.operator, request).arguments
        made = proposal(arguments=content if is_same else {**content, "content": "other"})
        try:
            grant = self.home.approvals.claim(self.home.operator, request, made.action)
        except LocalaiError:
            return None
        assert before == "approved"
        assert made.action.sha256 == stored
        self.claims[request] = self.claims.get(request, 0) + 1
        return grant

    @rule(grant=consumes(grants), is_ok=st.booleans())
    def finish(self, grant: Grant | None, is_ok: bool) -> None:
        if grant is not None:
            ended = self.home.approvals.finish(grant, "done", ok=is_ok)
            assert ended.status == ("succeeded" if is_ok else "failed")

    @rule(seconds=st.sampled_from((1, 200, 299, 301, 901)))
    def wait(self, seconds: int) -> None:
        self.clock.pass_time(seconds)

    @rule(seconds=st.sampled_from((1, 300, 86_400)))
    def set_the_clock_back(self, seconds: int) -> None:
        self.clock.wall_offset_us -= seconds * 1_000_000

    @rule()
    def sweep(self) -> None:
        self.home.approvals.sweep()

    @invariant()
    def every_story_is_legal(self) -> None:
        for request, states in self.told.items():
            now = self._status(request)
            if now != states[-1]:
                assert now in _REACHABLE[states[-1]], (states, now)
                assert states[-1] not in FINAL, (states, now)
                states.append(now)

    @invariant()
    def nothing_runs_twice(self) -> None:
        assert all(count == 1 for count in self.claims.values())

    def _status(self, request: str) -> str:
        if not request:
            return ""
        return self.home.approvals.get(self.home.operator, request).status

    def _digest(self, request: str) -> str:
        if not request:
            return "0" * 64
        return self.home.approvals.get(self.home.operator, request).action_sha256

    def _try(self, act: Any) -> Approval | None:
        try:
            made: Approval = act()
        except LocalaiError:
            return None
        return made


_DECISIONS = {"approval.approved", "approval.rejected", "approval.cancelled"}


def _closure() -> dict[str, set[str]]:
    """From each state, every one that one or more steps lead to."""
    found: dict[str, set[str]] = {}
    for state in TRANSITIONS:
        reached, left = set(), [state]
        while left:
            for following in TRANSITIONS[left.pop()]:
                if following not in reached:
                    reached.add(following)
                    left.append(following)
        found[state] = reached
    return found


_REACHABLE = _closure()

TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=80 if IS_FULL else 15,
    stateful_step_count=40 if IS_FULL else 25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
