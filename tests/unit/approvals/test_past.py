"""A policy is tried on what is stored."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from approvals_home import Home, TurnableClock

from localai.approvals.backtest import Judge
from localai.approvals.past import Past
from localai.approvals.policies import Policies
from localai.approvals.tables import approvals
from localai.core.errors import Denied, Invalid, NotFound

ALLOW = """
[[rule]]
name = "all"
effect = "allow"
tools = ["write_file"]
match = [{}]
no_match = [{tool = "read_file"}]
"""


@pytest.fixture
def past(home: Home, tmp_path: Path) -> Past:
    tools = {"read_file": ["path"], "write_file": ["path", "content"]}
    policies = Policies(tmp_path / "policy.toml", "normal", home.rbac.require, lambda: tools)
    judge = Judge("normal", True, home.rbac.roles, frozenset())
    return Past(home.database, home.approvals.sweep, home.rbac.require, policies, judge)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    file = tmp_path / "candidate.toml"
    file.write_text(ALLOW)
    file.chmod(0o600)
    return file


def test_requests_since_then_are_judged_as_they_are_now(
    home: Home, clock: TurnableClock, past: Past, candidate: Path
) -> None:
    """What expired meanwhile is said to be so; what is older is left out."""
    home.open()
    clock.pass_time(60)
    since = clock.now_us()
    refused = home.open()
    home.approvals.reject(home.operator, refused.id)
    late = home.open(tool="run_command", arguments={"argv": ["ls"]}).id
    clock.pass_time(301)
    found = past.backtest(home.operator, candidate, since_us=since)
    assert (found.requests, found.rejected_allowed["candidate"]) == (2, 1)
    assert [(each.id, each.status) for each in found.items] == [(refused.id, "rejected")]
    assert home.approvals.get(home.operator, late).status == "expired"
    assert past.backtest(home.operator, candidate, since_us=0).requests == 3


def test_more_requests_than_are_read_at_once_are_all_read_once(
    home: Home, past: Past, candidate: Path
) -> None:
    """Several of one microsecond among them."""
    opened = home.open().id
    with home.database.transaction() as connection:
        row = connection.execute(sa.select(approvals)).one()._asdict()
        rows = [
            row | {"id": f"{n:016x}", "created_us": row["created_us"] + n // 7} for n in range(333)
        ]
        connection.execute(sa.insert(approvals), rows)
    found = past.backtest(home.operator, candidate, since_us=0, limit=1000)
    assert found.requests == found.total == 334
    assert {each.id for each in found.items} == {opened, *(each["id"] for each in rows)}


def test_a_candidate_is_read_and_proved_as_the_policy_is(
    home: Home, past: Past, candidate: Path
) -> None:
    """And what is wrong with it stops no tool."""
    with pytest.raises(NotFound, match="there is no file"):
        past.backtest(home.operator, candidate.with_name("none.toml"), since_us=0)
    candidate.write_text(ALLOW.replace("match = [{}]", 'match = [{tool = "read_file"}]', 1))
    with pytest.raises(Invalid, match=r"candidate\.toml: rule all: match: the rule does not"):
        past.backtest(home.operator, candidate, since_us=0)
    candidate.write_text(ALLOW)
    candidate.chmod(0o666)
    with pytest.raises(Invalid, match="can be written by other users"):
        past.backtest(home.operator, candidate, since_us=0)


def test_it_needs_both_permissions(home: Home, past: Past, candidate: Path) -> None:
    """It shows the policy and the requests."""
    past.backtest(home.add_user("jun", "viewer"), candidate, since_us=0)
    with pytest.raises(Denied, match="policy:read"):
        past.backtest(home.add_user("mina", "user"), candidate, since_us=0)
