"""kill -9 of `ai serve` under load: what was acknowledged is there, and nothing is done twice."""

import json
import os
import random
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from integration.serve_clients import APPROVALS, CLIENTS, Act, Asked, Caller, Client, Journal
from mail_server import mail_server
from mcp_clients import key_of, operator
from terminal import Ai

from localai.app import App

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]

IS_FULL = os.environ.get("PROVE") == "1"
KILLS = 100 if IS_FULL else 2
SEED = int(os.environ.get("PROVE_SEED") or random.SystemRandom().randrange(2**32))
_AGAIN = 10  # of what was answered, so many are asked for again

Records = Mapping[str, Mapping[str, Any]]

_MADE = {"approve": "approved", "reject": "rejected", "cancel": "cancelled"}
_ENDS = {"succeed": "succeeded", "fail": "failed"}
_RUNNING = ("executing", "succeeded", "failed", "unknown")
# What the audit has of a request in each state, after that it was asked for.
_STORY: dict[str, tuple[str, ...]] = {
    "pending": (),
    **{state: (state,) for state in _MADE.values()},
    "executing": ("approved", "claimed"),
    **{end: ("approved", "claimed", end) for end in ("succeeded", "failed", "unknown")},
}
_TOLD = {"approved", "rejected"}  # of the decisions, people are told of these
_AUDITED = """
SELECT json_extract(body, '$.subject'), json_extract(body, '$.event') FROM audit
WHERE json_extract(body, '$.event') LIKE 'approval.%' ORDER BY seq
"""


@pytest.fixture
def ai(tmp_path: Path) -> Iterator[Ai]:
    """A home in which nothing is over before its time, and people are told by mail."""
    workspace = tmp_path / "work"
    workspace.mkdir()
    made = Ai(tmp_path / "home", workspace)
    assert made("init").code == 0
    with mail_server() as post:
        (made.home / "config.toml").write_text(
            f'[approvals]\ntimeout = "1d"\ngrant = "1d"\n[rate_limits]\ncalls = "100000/1s"\n'
            f'[notify]\nbatch = "1s"\n[notify.smtp]\nhost = "127.0.0.1"\nport = {post.port}\n'
            'security = "none"\nto = "you@example.org"\n'
        )
        yield made


@contextmanager
def _serving(ai: Ai) -> Iterator[tuple[tuple[str, int], "subprocess.Popen[str]"]]:
    """Where it is served, until it is killed here or was before."""
    with ai.start("serve", "--port", "0") as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://([\d.]+):(\d+)", said)
        assert found is not None, said
        try:
            yield (found[1], int(found[2])), process
        finally:
            process.kill()


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(ai: Ai) -> None:
    """Requests, decisions, claims, runs; with their audit, their votes and their notices."""
    print(f"PROVE_SEED={SEED}")
    dice = random.Random(SEED)
    assert ai("users", "add", "mina", "--role", "operator").code == 0
    callers = [Caller(name, key_of(ai, name)) for name in (operator(ai), "mina")]
    journal, struck, known = Journal(), 0, 0
    for turn in range(KILLS + 1):
        with _serving(ai) as (address, process):
            with closing(Client(address, callers[0], journal, f"{SEED} {turn}")) as client:
                _prove_restart(client, ai, journal, known)
            known = len(journal.asked)
            if turn < KILLS:
                before = journal.cut_off
                _work_and_kill(address, process, callers, journal, dice)
                struck += journal.cut_off > before
        assert not journal.wrong, (SEED, journal.wrong)
        _prove_home(ai)
    assert ai("audit", "verify").code == 0
    assert struck >= KILLS // 2, f"PROVE_SEED={SEED}: too few kills met a request under way"
    _tell(journal, struck)


def _work_and_kill(
    address: tuple[str, int],
    process: "subprocess.Popen[str]",
    callers: list[Caller],
    journal: Journal,
    dice: random.Random,
) -> None:
    """Let clients ask for everything at once, and kill the server at a moment of the dice."""
    clients = [
        Client(address, callers[number % 2], journal, f"{dice.random()}")
        for number in range(CLIENTS)
    ]
    threads = [threading.Thread(target=client.work) for client in clients]
    for thread in threads:
        thread.start()
    try:
        process.wait(dice.uniform(0.02, 0.8))
    except subprocess.TimeoutExpired:
        process.kill()
    assert process.wait() == -9, f"PROVE_SEED={SEED}: it ended by itself"
    for thread in threads:
        thread.join()


def _prove_home(ai: Ai) -> None:
    """As the dead process left it: a whole database, and a whole chain."""
    with closing(App(ai.home)) as app:
        with app.database.read() as connection:
            checked = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        verified = app.audit.verify()
    assert checked == ["ok"], SEED
    assert verified.is_whole, (SEED, verified.problems)
    assert verified.anchored is not None
    assert verified.entries - 1 <= verified.anchored <= verified.entries, SEED


def _prove_restart(client: Client, ai: Ai, journal: Journal, known: int) -> None:
    """What the clients were told is true in the next process, and what waited can be decided."""
    client.open()
    _prove_repeats(client, journal, known)
    found = _settled(client)
    assert found.keys() == {asked.id for asked in journal.asked}, SEED
    for asked in journal.asked:
        record = found[asked.id]
        try:
            _judge(asked, record, ai.workspace)
        except AssertionError as error:
            error.add_note(f"PROVE_SEED={SEED}: {asked} is {json.dumps(record)}")
            raise
        asked.status = str(record["status"])
    _prove_rows(ai, found)
    _prove_it_goes_on(client, journal)


def _settled(client: Client) -> Records:
    """Every request, once the server has written down whose process is dead."""
    while True:
        found = client.all()
        if ("write_file", "executing") not in {
            (record["tool_name"], record["status"]) for record in found.values()
        }:
            return found


def _prove_repeats(client: Client, journal: Journal, known: int) -> None:
    """The same key gives the first answer; whether the first was heard or not, there is one."""
    before = client.all()
    new = journal.asked[known:]
    there = {json.dumps(each["arguments"]): each["id"] for each in before.values()}
    for asked in [each for each in new if each.answer is None]:
        was = there.get(json.dumps(asked.body["arguments"]))
        answer = client.ask(asked)
        assert was in (None, answer["id"]), f"PROVE_SEED={SEED}: {asked} was opened twice"
    for asked in new[:_AGAIN]:
        assert client.ask(asked) == asked.answer, SEED


def _judge(asked: Asked, record: Mapping[str, Any], workspace: Path) -> None:
    """The request is as it was asked for, and its state is the work of somebody who tried."""
    answer, body = asked.answer or {}, asked.body
    said = {name: record[name] for name in ("tool_name", "arguments", "reason")}
    assert said == body
    assert record["user_id"] == asked.by.name
    fixed = ("action_sha256", "risk", "policy_rule", "sandbox", "created_at", "expires_at")
    assert all(record[name] == answer[name] for name in fixed)
    _judge_decision(asked, record)
    if asked.is_ours:
        _judge_run(asked, record, workspace)
    else:
        _judge_claim(asked, record)


def _judge_decision(asked: Asked, record: Mapping[str, Any]) -> None:
    acts = [act for act in asked.acts if act.verb in _MADE]
    votes = [(vote["user_id"], vote["decision"], vote["reason"]) for vote in record["votes"]]
    if record["status"] == "pending":
        # Nobody was told that it is decided, neither who did it nor who came too late.
        assert all(act.is_in_doubt for act in acts)
        assert not votes
        return
    by = _only(acts, lambda act: act.words == record["decision_reason"])
    made = _MADE[by.verb]
    assert record["decided_by"] == by.by
    assert votes == ([] if by.verb == "cancel" else [(by.by, made, by.words)])
    assert record["status"] == made or (made == "approved" and record["status"] in _RUNNING)


def _judge_claim(asked: Asked, record: Mapping[str, Any]) -> None:
    """Another system's action runs until that system says how it ended."""
    claims = [act for act in asked.acts if act.verb == "claim"]
    ends = [act for act in asked.acts if act.verb in _ENDS]
    if record["status"] not in _RUNNING:
        assert not any(act.is_done for act in (*claims, *ends))
        return
    _only(claims, lambda _: True)
    if record["status"] == "executing":
        assert not any(act.is_done for act in ends)
    else:
        by = _only(ends, lambda act: act.words == record["outcome"])
        assert record["status"] == _ENDS[by.verb]


def _judge_run(asked: Asked, record: Mapping[str, Any], workspace: Path) -> None:
    """A tool ran once where that is said, not at all where it was not claimed, else who knows."""
    runs = [act for act in asked.acts if act.verb == "run"]
    arguments = asked.body["arguments"]
    file = workspace / arguments["path"]
    if record["status"] not in _RUNNING:
        assert not any(act.is_done for act in runs)
        assert not file.exists()
        return
    assert record["status"] in {"succeeded", "unknown"}
    by = _only(runs, lambda _: True)
    if record["status"] == "succeeded":
        assert file.read_text() == arguments["content"]
    else:
        assert by.is_in_doubt


def _only(acts: list[Act], fits: Any) -> Act:
    """The one who did it: the one that was told so, else one of those that were told nothing."""
    done = [act for act in acts if act.is_done]
    assert len(done) <= 1, "done twice"
    fitting = [act for act in (done or acts) if fits(act) and (act.is_done or act.is_in_doubt)]
    assert fitting, "nobody did it"
    return fitting[0]


def _prove_rows(ai: Ai, found: Records) -> None:
    """Every change is audited, once and in order, and counted; every decision has its notice."""
    events: dict[str, list[str]] = {}
    notices: dict[str, set[str]] = {}
    with closing(App(ai.home)) as app, app.database.read() as connection:
        for subject, event in connection.exec_driver_sql(_AUDITED):
            events.setdefault(subject, []).append(event.removeprefix("approval."))
        for subject, event in connection.exec_driver_sql(
            "SELECT approval, event FROM notifications"
        ):
            notices.setdefault(subject, set()).add(event)
        counts = app.metrics.prove(app.actor)
    assert counts.is_exact, (SEED, counts.items)
    for name, record in found.items():
        story = _STORY[record["status"]]
        assert events.get(name) == ["requested", *story], (SEED, record)
        assert notices.get(name) == {"requested"} | _TOLD.intersection(story), (SEED, record)


def _prove_it_goes_on(client: Client, journal: Journal) -> None:
    """What waits is waited for and decided; another system tells how its action ended.

    What nobody knows the end of is never run again.
    """
    by_status: dict[str, list[Asked]] = {}
    for asked in journal.asked:
        by_status.setdefault(asked.status, []).append(asked)
    for asked in by_status.get("pending", ())[:2]:
        status, answer = client.say("GET", f"{APPROVALS}/{asked.id}/wait?timeout=0")
        assert (status, answer["status"]) == (200, "pending"), SEED
        assert client.decide(asked) == 200, SEED
    for asked in [each for each in by_status.get("executing", ()) if not each.is_ours][:1]:
        assert client.report(asked) == 200, SEED
    for asked in by_status.get("unknown", ())[-2:]:
        assert client.run(asked) == 409, SEED


def _tell(journal: Journal, struck: int) -> None:
    ends = Counter(asked.status for asked in journal.asked)
    acts = [act for asked in journal.asked for act in asked.acts]
    doubt = sum(act.is_in_doubt for act in acts)
    print(f"{struck} of {KILLS} kills met {journal.cut_off} requests under way; {len(acts)} acts")
    print(f"about {len(journal.asked)} requests, {doubt} never answered: {sorted(ends.items())}")
    if IS_FULL:
        assert ends["unknown"], f"PROVE_SEED={SEED}: no kill met a tool at work"
