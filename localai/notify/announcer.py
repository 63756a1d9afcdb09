"""Writes down what is to be told, and wakes who sends it; loads nothing that sends.

It is a part of every decision where a channel is set up, so it costs a row and a millisecond.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from localai.core import log
from localai.core.clock import Clock
from localai.core.db import after_commit, is_first
from localai.core.files import claimed
from localai.core.ids import new_id
from localai.notify import alerts
from localai.notify.alerts import Group
from localai.notify.events import ALERT
from localai.notify.facts import facts_of
from localai.notify.plan import Plan, Planned, decides
from localai.notify.tables import notifications as n

_INSERT = insert(n).on_conflict_do_nothing(index_elements=[n.c.key])
_WITHDRAW = sa.delete(n).where(
    n.c.approval == sa.bindparam("of"),
    n.c.event == "escalated",
    n.c.state == "queued",
    n.c.attempts == 0,
)

NEGLECTED_US = 60_000_000
_NEGLECTED = sa.select(
    sa.exists().where(
        n.c.state == "queued",
        n.c.channel.in_(sa.bindparam("channels", expanding=True)),
        n.c.due_us < sa.bindparam("late", type_=sa.BigInteger),
    )
)


@dataclass(frozen=True)
class _Told:
    """What is told: of which request or group of alerts, how bad, and what tells it is new."""

    subject: str
    risk: str
    facts: str
    news: str = ""


class Announcer:
    """Enqueues; `command` starts a process that sends what is due, `lock` says if one is at it."""

    def __init__(self, clock: Clock, plan: Plan, lock: Path, command: Sequence[str]) -> None:
        self._clock = clock
        self._plan = plan
        self.lock = lock
        self._command = [*command]

    def announce(self, connection: sa.Connection, change: str, row: Mapping[str, Any]) -> None:
        """Enqueue what is to be told of a request's change, in the transaction of the change."""
        if decides(change):  # nobody need be told that nobody has decided
            connection.execute(_WITHDRAW, {"of": row["id"]})
        now = self._clock.now_us()
        planned = list(self._plan.notices(change, row, now))
        if planned:
            told = _Told(row["id"], row["risk"], facts_of(row))
            connection.execute(_INSERT, [self._row(told, each, now) for each in planned])
            self._wake(connection, now)

    def announce_alert(self, connection: sa.Connection, group: Group, sender: str) -> Sequence[str]:
        """Enqueue what is new of a group of alerts; returns the channels that will hear of it."""
        now, channels = self._clock.now_us(), []
        told = _Told(group.id, group.risk, alerts.facts_of(group, sender), f" {group.news}")
        for planned in self._plan.at_once(ALERT, group.risk, now):
            row = self._row(told, planned, now)
            if connection.execute(_INSERT, row).rowcount:
                channels.append(planned.channel)
        if channels:
            self._wake(connection, now)
        return tuple(channels)

    @property
    def has_channels(self) -> bool:
        """Whether anybody can be told of anything."""
        return bool(self._plan.channels)

    def _wake(self, connection: sa.Connection, now_us: int) -> None:
        """Have somebody send when the transaction is over."""
        if is_first(connection, "notify"):
            channels = [name for name in self._plan.channels if name != "terminal"]
            late = {"channels": channels, "late": now_us - NEGLECTED_US}
            is_neglected = bool(connection.scalar(_NEGLECTED, late))
            after_commit(connection, partial(self.hand_on, is_neglected=is_neglected))

    def _row(self, told: "_Told", planned: Planned, now_us: int) -> dict[str, Any]:
        event, channel, risk = planned.event, planned.channel, told.risk
        return {
            "id": new_id(),
            "key": f"{told.subject} {event} {channel}{told.news}",
            "event": event,
            "channel": channel,
            "approval": told.subject,
            "risk": risk,
            "facts": told.facts,
            "state": "queued",
            "created_us": now_us,
            "due_us": self._plan.when(planned.due_us, event, risk, channel),
            "until_us": planned.until_us,
            "attempts": 0,
        }

    def hand_on(self, *, is_neglected: bool = False) -> None:
        """Let another process send what is due, unless one is at it; takes a millisecond.

        One that leaves things lying (somebody has stopped it with Ctrl-Z, say) is not at it.
        """
        if is_held(self.lock) and not is_neglected:
            return
        # It outlives this command and its terminal, writes to the log alone, and lets whoever
        # decides go first. It sends for the home, so the key of an API user is not its business.
        own = {key: value for key, value in os.environ.items() if key != "LOCALAI_API_KEY"}
        nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
        command = ["nice", "-n", "10", *self._command]
        try:
            os.posix_spawnp("nice", command, own, file_actions=nothing, setsid=True)
        except OSError as error:  # what is told waits for the next process; the decision stands
            log.write("notify.start", error=str(error))


def is_held(lock: Path) -> bool:
    """Whether some process of this machine is sending."""
    if not lock.exists():
        return False
    with claimed(lock) as is_mine:
        return not is_mine
