"""Rate limits: a bucket for each user and tool, exact whoever calls."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TurnableClock

from localai.core.audit import Audit
from localai.core.db import Database
from localai.core.errors import Denied
from localai.core.files import write_private
from localai.core.rate import Rate
from localai.rbac.limits import Limits
from localai.rbac.permissions import Actor

MINA = Actor("mina")
FLOOD = """
import sys
from pathlib import Path
from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import Denied
from localai.core.rate import Rate
from localai.rbac.limits import Limits
from localai.rbac.permissions import Actor

class Stopped(Clock):
    def now_us(self):
        return 1_760_000_000_000_000

folder = Path(sys.argv[1])
database = Database(folder / "localai.db")
clock = Stopped()
audit = Audit(database, lambda: b"k" * 32, folder / "a", clock)
limits = Limits(database, audit, clock, Rate(37, 60))
taken = 0
for _ in range(20):
    try:
        limits.take(Actor("mina"), "write_file")
    except Denied:
        continue
    taken += 1
print(taken)
database.close()
"""


def _limits(
    database: Database, audit: Audit, clock: TurnableClock, calls: int, span: int
) -> Limits:
    return Limits(database, audit, clock, Rate(calls, span))


def _taken(limits: Limits, times: int, actor: Actor = MINA, tool: str = "write_file") -> int:
    taken = 0
    for _ in range(times):
        try:
            limits.take(actor, tool)
        except Denied:
            continue
        taken += 1
    return taken


@pytest.mark.parametrize(("calls", "span"), [(1, 1), (5, 60), (7, 60), (60, 60), (3, 86_400)])
def test_as_many_at_once_as_was_said_and_no_more(
    database: Database, audit: Audit, clock: TurnableClock, calls: int, span: int
) -> None:
    """Also where the calls do not divide the time."""
    assert _taken(_limits(database, audit, clock, calls, span), calls + 3) == calls


def test_calls_come_back_one_by_one(database: Database, audit: Audit, clock: TurnableClock) -> None:
    """Each after its share of the time, and never more than the bucket holds."""
    limits = _limits(database, audit, clock, 6, 60)
    assert _taken(limits, 10) == 6
    clock.advance(9.99)
    assert _taken(limits, 1) == 0
    clock.advance(0.01)
    assert _taken(limits, 5) == 1
    clock.advance(25)
    assert _taken(limits, 5) == 2
    clock.advance(100_000)
    assert _taken(limits, 20) == 6


def test_each_user_and_each_tool_has_a_bucket(
    database: Database, audit: Audit, clock: TurnableClock
) -> None:
    """What one empties is full for the other."""
    limits = _limits(database, audit, clock, 2, 60)
    assert _taken(limits, 5) == 2
    assert _taken(limits, 5, tool="read_file") == 2
    assert _taken(limits, 5, Actor("jun")) == 2
    assert _taken(limits, 5, MINA.agent("5e55")) == 0


def test_a_refusal_says_when_to_come_again(
    database: Database, audit: Audit, clock: TurnableClock
) -> None:
    """In words that a model reads, too; and it is true."""
    limits = _limits(database, audit, clock, 4, 60)
    _taken(limits, 4)
    with pytest.raises(Denied, match="4 times in 60 s, and has; try again in 15 s"):
        limits.take(MINA, "write_file")
    clock.advance(15)
    limits.take(MINA, "write_file")


def test_a_flood_leaves_one_row_in_the_audit(
    database: Database, audit: Audit, clock: TurnableClock
) -> None:
    """And the next flood one more."""
    limits = _limits(database, audit, clock, 2, 60)
    _taken(limits, 50, MINA.agent("5e55"))
    (entry,) = audit.page().items
    assert (entry.event, entry.actor, entry.subject) == ("tool.limited", "mina", "write_file")
    assert entry.details == {"rate": "2 times in 60 s", "kind": "agent", "session": "5e55"}
    clock.advance(30)
    _taken(limits, 50)
    assert audit.page().total == 2


def test_a_clock_that_is_set_back_empties_a_bucket_for_no_longer_than_it_takes_to_fill(
    database: Database, audit: Audit, clock: TurnableClock
) -> None:
    """And fills none."""
    limits = _limits(database, audit, clock, 6, 60)
    _taken(limits, 6)
    clock.set_back(86_400)
    assert _taken(limits, 1) == 0
    clock.advance(60)
    assert _taken(limits, 10) == 6


def test_eight_processes_together_take_exactly_the_limit(tmp_path: Path, migrated: Path) -> None:
    """With a clock that stands still, so that nothing comes back meanwhile."""
    write_private(tmp_path / "localai.db", migrated.read_bytes())
    command = [sys.executable, "-c", FLOOD, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    taken = [int(process.communicate()[0]) for process in processes]
    assert sum(taken) == 37
