"""The drain: sends what is due, for as long as it is wanted; one process at a time on a machine.

Rows are leased one by one in any case; the lock only keeps several processes from looking at the
same outbox, and from using a channel faster than it may be.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

from localai.core import log
from localai.core.clock import Clock
from localai.core.errors import LocalaiError
from localai.core.files import claimed, private_dir
from localai.notify.announcer import NEGLECTED_US, is_held
from localai.notify.channels import Channels
from localai.notify.message import Templates
from localai.notify.outbox import Batch, Outbox
from localai.notify.plan import Plan
from localai.notify.records import Failure, Pass

LINGERS_S: Final = 120
_LOOKS_S: Final = 2.0
_SECOND: Final = 1_000_000
# Slack takes about one message a second (https://api.slack.com/docs/rate-limits).
_APART_S: Final = 1.0


class Drain:
    """Sends what the outbox holds. `sweep` writes down requests whose time is over."""

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        outbox: Outbox,
        channels: Channels,
        plan: Plan,
        templates: Templates,
        clock: Clock,
        lock: Path,
        *,
        batch_s: int,
        sweep: Callable[[], object],
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._plan = plan
        self._templates = templates
        self._clock = clock
        self._lock = lock
        self._batch_s = max(float(batch_s), _APART_S)
        self._sweep = sweep
        self.is_over = Event()

    @property
    def is_held(self) -> bool:
        """Whether some process is at it."""
        return is_held(self._lock)

    def forever(self, tell: Callable[[Pass], None], *, is_heard: bool) -> None:
        """Send what becomes due until `is_over`; the terminal is rung where it `is_heard`."""
        while not self.is_over.is_set():
            with self._alone() as is_mine:
                while not self.is_over.is_set():
                    tell(self._looked(self._names(is_mine=is_mine, is_heard=is_heard)))
                    if self.is_over.wait(_LOOKS_S) or not is_mine:
                        break

    def once(self, wait: Callable[[float], object] | None = None) -> Pass:
        """Send what is due now or within two minutes, unless another process is at it.

        One that holds the lock and leaves things lying is not at it.
        """
        wait = wait or self.is_over.wait
        done = Pass(0)
        until = self._clock.now_us() + LINGERS_S * _SECOND
        # Whoever enqueues while the lock is held relies on us: look again after it is given back.
        while (due := self._due(until)) is not None:
            with self._alone() as is_mine:
                if not is_mine and due > self._clock.now_us() - NEGLECTED_US:
                    return done
                done += self.look(self._names(is_mine=True, is_heard=False))
            if (due := self._due(until)) is not None and not self.is_over.is_set():
                wait(max((due - self._clock.now_us()) / _SECOND, 0))
        return done

    def look(self, names: tuple[str, ...]) -> Pass:
        """Send all that is due on these channels, once."""
        self._sweep()
        self._outbox.release()
        done = Pass(0)
        for name in names:
            while not self.is_over.is_set() and (batch := self._take(name)) is not None:
                done += self._send(batch)
                if done.failed:
                    break
        return done

    def _looked(self, names: tuple[str, ...]) -> Pass:
        try:
            return self.look(names)
        except LocalaiError as error:  # the database may be back at the next look
            log.write("notify.look", error=error.message)
            return Pass(0, (error.message,))

    def _take(self, name: str) -> Batch | None:
        gathers = name not in {"webhook", "terminal"}
        return self._outbox.take(name, gathers=gathers, apart_s=self._batch_s)

    def _send(self, batch: Batch) -> Pass:
        try:
            message = self._templates.message(batch.id, batch.notices)
            answer = self._channels[batch.channel].send(message)
        except Failure as failure:
            return self._failed(batch, failure)
        except LocalaiError as error:
            return self._failed(batch, Failure(error.message))
        # A bug in one channel keeps no other from being used, and its notices are not lost.
        except Exception as error:  # noqa: BLE001
            log.write("notify.bug", error)
            return self._failed(batch, Failure(f"a bug in localai: {type(error).__name__}"))
        self._outbox.sent(batch, answer)
        return Pass(1)

    def _failed(self, batch: Batch, failure: Failure) -> Pass:
        self._outbox.failed(batch, failure)
        return Pass(0, (f"{batch.channel}: {failure.message}",))

    def _due(self, until_us: int) -> int | None:
        due = self._outbox.next_due_us(self._names(is_mine=True, is_heard=False))
        is_soon = due is not None and due <= max(until_us, self._clock.now_us())
        return due if is_soon else None

    def _names(self, *, is_mine: bool, is_heard: bool) -> tuple[str, ...]:
        others = (name for name in self._plan.channels if name != "terminal")
        rung = ("terminal",) if is_heard and "terminal" in self._plan.channels else ()
        return (*(others if is_mine else ()), *rung)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        private_dir(self._lock.parent)
        with claimed(self._lock) as is_mine:
            yield is_mine
