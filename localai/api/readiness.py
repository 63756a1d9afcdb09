"""Whether what this server stands on can be used: looked at when somebody asks, not too often."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from localai.app import App
from localai.core import settings as keys
from localai.core.errors import LocalaiError, Unavailable
from localai.infer.library import STARTER

State = Literal["ok", "warning", "failed"]
_FRESH_S = 5.0  # what was found holds so long: asking is free, and looking is not


@dataclass(frozen=True)
class Dependency:
    """Something that this server stands on, and how it stands."""

    name: str
    state: State
    told: str


@dataclass(frozen=True)
class Readiness:
    """Whether requests can be served; what fails is failed among the dependencies."""

    ready: bool
    dependencies: tuple[Dependency, ...]


class Examiner:
    """Looks at database, models, index and notifications of one home."""

    def __init__(self, rooms: App) -> None:
        self._rooms = rooms
        self._lock = threading.Lock()
        self._found: Readiness | None = None
        self._until = 0.0

    def look(self) -> Readiness:
        """How everything stands, as of the last few seconds.

        One looks at a time: whoever comes meanwhile is told what was found before.
        """
        last = self._found
        if not self._lock.acquire(blocking=last is None) and last is not None:
            return last
        try:
            if self._found is None or monotonic() >= self._until:
                checks = (_database, _models, _index, _notifications)
                found = tuple(self._made(check) for check in checks)
                self._found = Readiness(all(each.state != "failed" for each in found), found)
                self._until = monotonic() + _FRESH_S
            return self._found
        finally:
            self._lock.release()

    def _made(self, check: Callable[[App], tuple[State, str]]) -> Dependency:
        name = check.__name__.removeprefix("_")
        try:
            return Dependency(name, *check(self._rooms))
        except LocalaiError as error:
            return Dependency(name, "failed", error.message)
        except OSError as error:
            return Dependency(name, "failed", str(error))


def _database(rooms: App) -> tuple[State, str]:
    if rooms.rbac.find_operator() is None:
        raise Unavailable("this home has no operator", hint="ai init")
    return "ok", f"schema {rooms.database.version()}"


def _models(rooms: App) -> tuple[State, str]:
    if rooms.server is not None:
        return "ok", f"{rooms.server.url} answers, with {', '.join(rooms.server.models())}"
    names = [model.name for model in rooms.models.page(rooms.rbac.find_operator()).items]
    if not names:
        return "failed", "there is no chat model"
    return ("warning" if names == [STARTER] else "ok"), ", ".join(names)


def _index(rooms: App) -> tuple[State, str]:
    if rooms.settings[keys.RAG_QDRANT_URL]:
        return "ok", f"{rooms.qdrant.url} runs Qdrant {rooms.qdrant.check()}"
    return "ok", rooms.rag.engine


def _notifications(rooms: App) -> tuple[State, str]:
    operator = rooms.rbac.find_operator()
    if operator is None:
        return "failed", "this home has no operator"
    found = rooms.notify.status(operator)
    if wrong := [each for each in found.channels if each.problem]:
        return "warning", f"{wrong[0].name}: {wrong[0].problem}"
    if found.dead:
        return "warning", f"{found.dead} messages could not be sent"
    return "ok", ", ".join(each.name for each in found.channels) or "no channel is set up"
