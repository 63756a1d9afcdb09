"""Eight processes decide the same requests at once: one winner each, the truth for the rest."""

import importlib.util
import multiprocessing
import os
from collections import Counter
from pathlib import Path

import pytest
from approvals_home import Home, build
from integration import approvals_worker as worker
from integration.approvals_worker import Answer

PROCESSES = 8
pytestmark = [pytest.mark.counted, pytest.mark.timeout(900)]

REQUESTS = 500 if os.environ.get("PROVE") == "1" else 60

drivers = pytest.mark.parametrize(
    "driver", [name for name in worker.DRIVERS if importlib.util.find_spec(name.split(".")[0])]
)


def _race(home: Home, driver: str, voters: list[str]) -> tuple[list[str], list[Answer]]:
    """Let every voter decide about every request in a process of its own."""
    ids = [home.open().id for _ in range(REQUESTS)]
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(len(voters)), spawn.Queue()
    folder = home.directories.config
    deciders = [
        spawn.Process(target=worker.decide_all, args=(folder, driver, voter, ids, barrier, answers))
        for voter in voters
    ]
    for decider in deciders:
        decider.start()
    told = [answer for _ in deciders for answer in answers.get(timeout=300)]
    for decider in deciders:
        decider.join()
    return ids, told


@drivers
def test_each_request_has_one_winner_and_everyone_is_told_the_truth(
    tmp_path: Path, driver: str
) -> None:
    """Success is told once a request, among processes of one person too; losers hear who won."""
    home = build(tmp_path / "home", driver=worker.driver(driver), timeout_s=3600)
    others = [home.add_user(f"voter{n}", "operator").user_id for n in range(PROCESSES // 2)]
    voters = ["kim"] * (PROCESSES - len(others)) + others

    ids, told = _race(home, driver, voters)

    winners = {answer.approval: answer for answer in told if answer.category == "won"}
    losers = [answer for answer in told if answer.category != "won"]
    assert Counter(answer.approval for answer in told) == dict.fromkeys(ids, PROCESSES)
    assert (sorted(winners), len(losers)) == (sorted(ids), REQUESTS * (PROCESSES - 1))
    for answer in losers:
        winner = winners[answer.approval]
        truth = f"{answer.approval} is already {winner.decision} by {winner.voter} at "
        assert (answer.category, answer.message[: len(truth)]) == ("conflict", truth)
    events = _events(home)
    for approval in home.approvals.list(home.operator, limit=REQUESTS).items:
        winner = winners[approval.id]
        assert (approval.status, approval.decided_by) == (winner.decision, winner.voter)
        assert [vote.user_id for vote in approval.votes] == [winner.voter]
        assert events[approval.id] == ["requested", winner.decision]
    assert home.audit.verify().is_whole
    home.database.close()


def _events(home: Home) -> dict[str, list[str]]:
    """The audit's events by request, oldest first."""
    found: dict[str, list[str]] = {}
    for entry in reversed(home.audit.page(limit=1_000_000).items):
        found.setdefault(entry.subject, []).append(entry.event.removeprefix("approval."))
    return found
