"""The process that serves a home, as others see it and end it."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psutil

from localai import __version__
from localai.core.clock import rfc3339
from localai.core.errors import Conflict, Lost, NotFound, Unavailable
from localai.core.files import claimed
from localai.core.line.client import Line
from localai.core.line.method import Method, Tell
from localai.core.line.place import Place
from localai.core.records import Page

if TYPE_CHECKING:
    from localai.app.models import WithModels
    from localai.rbac.permissions import Actor

_STATUS: Final = "serve.status"
_UNLOAD: Final = "serve.unload"
_STOP: Final = "serve.stop"
_LOOK_S: Final = 0.05
_PATIENCE_S: Final = 40.0


@dataclass(frozen=True)
class LoadedModel:
    """A language model in memory; `idle_s` since its last answer, None while it answers.

    It is unloaded after `unloads_in_s` more seconds without a question; `waiting` ask it now.
    """

    name: str
    context: int
    idle_s: float | None
    unloads_in_s: float | None
    waiting: int


@dataclass(frozen=True)
class Process:
    """A process that serves this home; `commands` are attached to it now."""

    pid: int
    version: str
    address: str
    started_at: str
    memory_bytes: int
    commands: int
    models: tuple[LoadedModel, ...]


class Served:
    """The process that serves this home, if one does."""

    def __init__(
        self,
        line: Callable[[], Line | None],
        place: Place,
        require: Callable[["Actor", str], None],
    ) -> None:
        self._line = line
        self._place = place
        self._require = require

    def page(self, actor: "Actor") -> Page[Process]:
        """It alone, or nothing."""
        self._require(actor, "models:read")
        items, line = [], self._line()
        self._refuse_mute(line)
        if line is not None:
            with suppress(Lost):  # it ended just now
                items.append(line.call(_STATUS, None, Process))
        return Page(items, len(items))

    def unload(self, actor: "Actor") -> None:
        """Let it give the memory of its models back; Conflict while one answers."""
        self._require(actor, "models:write")
        if not self._served().call(_UNLOAD, None, bool):
            raise Conflict("a model is answering", hint="ai stop --unload, when it is done")

    def stop(self, actor: "Actor") -> int:
        """End it once what is under way is answered; gives its process id when it is gone."""
        self._require(actor, "config:write")
        line = self._served()
        pid = line.listener.pid
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            line.call(_STOP, None, type(None))
            line.close()
            deadline = time.monotonic() + _PATIENCE_S
            # A parent that does not look leaves a zombie, which is over as well.
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() > deadline:
                    raise Unavailable(f"process {pid} is still ending", hint=f"kill {pid}")
                time.sleep(_LOOK_S)
        return pid

    def _served(self) -> Line:
        line = self._line()
        self._refuse_mute(line)
        if line is None:
            raise NotFound("nothing serves this home", hint="ai serve")
        return line

    def _refuse_mute(self, line: Line | None) -> None:
        """Unavailable where a process serves this home that cannot be talked with."""
        if line is not None or (listener := self._place.read()) is None:
            return
        with claimed(self._place.lock) as is_free:
            if is_free:
                return
        message = f"process {listener.pid} of version {listener.version} serves this home, mute"
        raise Unavailable(message, hint=f"kill {listener.pid}   then: ai serve")


def methods(rooms: "WithModels", address: str, callers: Callable[[], int]) -> Mapping[str, Method]:
    """What the process that serves a home tells and does; it serves at the address."""
    started_at = rfc3339(rooms.clock.now_us()) or ""

    def status(_: None, __: Tell) -> Process:
        return Process(
            pid=os.getpid(),
            version=__version__,
            address=address,
            started_at=started_at,
            memory_bytes=psutil.Process().memory_info().rss,
            commands=callers() - 1,  # but for the one that asks this
            models=_models(rooms),
        )

    def unload(_: None, __: Tell) -> bool:
        rooms.unload()
        return rooms.resident.loaded is None and not rooms.resident.is_busy

    def stop(_: None, __: Tell) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    none = type(None)
    return {_STATUS: Method(none, status), _UNLOAD: Method(none, unload), _STOP: Method(none, stop)}


def _models(rooms: "WithModels") -> tuple[LoadedModel, ...]:
    if (found := rooms.resident.loaded) is None:
        return ()
    idle = None if found.idle_s is None else round(found.idle_s, 1)
    left = None if idle is None else max(0.0, rooms.kept_loaded_s - idle)
    return (LoadedModel(found.model, found.context, idle, left, found.waiting),)
