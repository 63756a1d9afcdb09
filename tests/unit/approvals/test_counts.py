"""How calls of tools ended, counted with what the audit says of them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from approvals_home import Home, TurnableClock, action, build, proposal

from localai.approvals.records import Grant
from localai.core.counters import counted
from localai.core.errors import Conflict, Invalid, Unavailable
from localai.core.metrics import TOOL_RUNS

_RAN = {True: "succeeded", False: "failed", None: "unknown"}
_ENDS = ("succeeded", "failed", "unknown")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = build(tmp_path, TurnableClock())
    yield made
    made.rbac._tally.close()
    made.database.close()


def _claimed(home: Home, tool: str = "write_file") -> Grant:
    approval = home.approve(home.open(tool=tool))
    return home.approvals.claim(home.operator, approval.id, action(tool=tool))


def _counted(home: Home) -> dict[tuple[str, str], int]:
    found = counted(home.database, TOOL_RUNS)
    return {(labels["tool"], labels["status"]): n for labels, n in found}


def _audited(home: Home) -> Counter[tuple[str, str]]:
    """How calls ended, as the audit alone tells it."""
    found: Counter[tuple[str, str]] = Counter()
    for entry in home.audit.page(limit=1000).items:
        family, _, what = entry.event.partition(".")
        if family == "approval" and what in _ENDS:
            found[entry.details["tool"], what] += 1
        elif entry.event == "tool.ran":
            found[entry.subject, _RAN[entry.details.get("ok")]] += 1
        elif entry.event == "tool.denied":
            found[entry.subject, "denied"] += 1
    return found


def _die(home: Home) -> None:
    """The processes that run approved calls die, and somebody notices."""
    home.clock.boot = "another-boot"  # type: ignore[attr-defined]
    home.approvals.sweep()


def test_a_call_is_counted_once_by_how_it_ended(home: Home) -> None:
    """Asked for or not; what is told of it twice is counted once."""
    grant = _claimed(home)
    assert _counted(home) == {}
    home.approvals.finish(grant, "wrote 1 byte", ok=True)
    with pytest.raises(Conflict):
        home.approvals.finish(grant, "wrote 1 byte", ok=True)
    home.approvals.finish(_claimed(home), "no room", ok=False)
    home.approvals.note_call(home.operator, "tool.started", proposal(), "by a rule")
    home.approvals.note_call(home.operator, "tool.ran", proposal(), "wrote", ok=True)
    home.approvals.note_call(home.operator, "tool.ran", proposal(tool="shell"), "exit 1", ok=False)
    home.approvals.note_call(home.operator, "tool.ran", proposal(tool="shell"), "interrupted")
    home.approvals.note_call(home.operator, "tool.denied", proposal(tool="shell"), "strict")
    assert _counted(home) == {
        ("write_file", "succeeded"): 2,
        ("write_file", "failed"): 1,
        ("shell", "failed"): 1,
        ("shell", "unknown"): 1,
        ("shell", "denied"): 1,
    }
    assert _counted(home) == _audited(home)


def test_what_died_while_it_ran_is_unknown(home: Home) -> None:
    """Counted by whoever buries it, once."""
    grant = _claimed(home)
    _die(home)
    home.approvals.sweep()
    assert _counted(home) == {("write_file", "unknown"): 1} == _audited(home)
    with pytest.raises(Conflict):
        home.approvals.finish(grant, "too late", ok=True)
    assert _counted(home) == {("write_file", "unknown"): 1}


def test_what_never_ran_is_no_call(home: Home) -> None:
    """Rejected, cancelled, revoked, expired before and after the approval, and refused."""
    home.approvals.reject(home.operator, home.open().id)
    home.approvals.cancel(home.operator, home.open().id)
    home.approvals.revoke(home.operator, home.approve(home.open()).id)
    changed = home.approve(home.open())
    with pytest.raises(Conflict, match="changed"):
        home.approvals.claim(home.operator, changed.id, action(cwd="/elsewhere"))
    home.open()
    home.approve(home.open())
    home.clock.pass_time(10_000)  # type: ignore[attr-defined]
    assert home.approvals.sweep() == 2
    home.approvals.note_refusal(home.operator, "write_file", Invalid("no such argument"))
    assert _counted(home) == {} == _audited(home)


def test_an_end_that_is_not_written_down_is_not_counted(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count, the row and its audit are one step."""
    grant = _claimed(home)

    def torn(*_: object, **__: object) -> None:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(home.audit), "record", torn)
        with pytest.raises(Unavailable):
            home.approvals.finish(grant, "wrote", ok=True)
        with pytest.raises(Unavailable):
            home.approvals.note_call(home.operator, "tool.ran", proposal(), "wrote", ok=True)
    assert _counted(home) == {} == _audited(home)
    home.approvals.finish(grant, "wrote", ok=True)
    assert _counted(home) == {("write_file", "succeeded"): 1} == _audited(home)


def test_a_call_whose_count_cannot_be_written_did_not_end(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is counted and what is audited never differ, whichever of them breaks."""
    grant = _claimed(home)
    with home.database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE counters RENAME TO elsewhere")
    with pytest.raises(Unavailable):
        home.approvals.finish(grant, "wrote", ok=True)
    with home.database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO counters")
    assert _counted(home) == {} == _audited(home)
    assert home.approvals.get(home.operator, grant.approval.id).status == "executing"
