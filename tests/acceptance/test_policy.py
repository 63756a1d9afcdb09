"""The operator's policy, from the command line."""

import json
import re
from pathlib import Path

import pytest
from terminal import Ai

POLICY = """
[[rule]]
name = "notes"
effect = "allow"
tools = ["write_file"]
arguments.path = {within = ["notes"]}
match = [{arguments = {path = "notes/a.md"}}]
no_match = [{arguments = {path = "a.md"}}]

[[rule]]
name = "no-secrets"
effect = "deny"
why = "they are not for tools"
arguments.path = {within = ["notes/private"]}
match = [{tool = "read_file", arguments = {path = "notes/private/a"}}]
no_match = [{tool = "read_file", arguments = {path = "notes/a"}}]
"""


def _policy(ai: Ai, text: str = POLICY) -> None:
    file = ai.home / "policy.toml"
    file.write_text(text)
    file.chmod(0o600)


def _run(ai: Ai, tool: str, path: str) -> int:
    given = {"path": path, "content": "x"} if tool == "write_file" else {"path": path}
    return ai("tools", "run", tool, "--args", json.dumps(given)).code


@pytest.mark.prove
def test_rules_decide_what_runs_waits_and_is_refused(ai: Ai) -> None:
    """The strictest of them, then the mode; and a link leads nowhere else."""
    _policy(ai)
    (ai.workspace / "notes" / "private").mkdir(parents=True)
    (ai.workspace / "notes" / "private" / "a").write_text("s")
    (ai.workspace / "notes" / "link").symlink_to("private")
    assert _run(ai, "write_file", "notes/a.md") == 0
    assert (ai.workspace / "notes" / "a.md").read_text() == "x"
    assert _run(ai, "write_file", "a.md") == 7
    assert _run(ai, "write_file", "notes/private/a") == 3
    assert _run(ai, "read_file", "notes/private/a") == 3
    assert _run(ai, "read_file", "notes/link/a") == 3
    assert _run(ai, "read_file", "notes/a.md") == 0
    denied = ai("tools", "run", "read_file", "--args", '{"path": "notes/private/a"}')
    assert "the policy refuses read_file: they are not for tools" in denied.err
    assert "hint: ai policy show no-secrets" in denied.err


def test_a_call_can_be_tried_without_a_run(ai: Ai) -> None:
    """With the rule that decides; nothing waits afterwards."""
    _policy(ai)
    found = ai("policy", "check", "write_file", "--args", '{"path": "b", "content": "x"}', "--json")
    assert (found.json["effect"], found.json["rule"]) == ("ask", "normal.from-high")
    allowed = {"path": "notes/b", "content": "x"}
    found = ai("policy", "check", "write_file", "--args", json.dumps(allowed))
    assert "rule       notes" in found.out
    assert ai("approvals", "list", "--json").json["total"] == 0
    assert not (ai.workspace / "notes").exists()


def test_rules_are_listed_and_shown(ai: Ai) -> None:
    """Those of the file and those of the mode."""
    _policy(ai)
    listed = ai("policy", "list", "-q").out.split()
    assert listed == ["notes", "no-secrets", "normal.below-high", "normal.from-high"]
    assert "argument   path lies in 'notes'" in ai("policy", "show", "notes").out
    assert ai("policy", "show", "none").code == 4


@pytest.mark.prove
def test_a_policy_that_is_wrong_stops_every_tool(ai: Ai) -> None:
    """And says where; a project's own file changes nothing."""
    _policy(ai, POLICY.replace('"notes/a.md"', '"a.md"', 1))
    refused = ai("tools", "run", "list_files", "--args", "{}")
    assert refused.code == 2
    assert "rule notes: match: the rule does not match" in refused.err
    assert ai("policy", "list").code == 2
    failed = [
        check for check in ai("doctor", "--json").json["checks"] if check["status"] == "failed"
    ]
    assert [check["name"] for check in failed] == ["policy"]
    (ai.home / "policy.toml").unlink()
    (ai.workspace / "policy.toml").write_text(POLICY)
    assert _run(ai, "write_file", "notes/a.md") == 7


@pytest.mark.prove
def test_a_call_is_allowed_for_a_while_and_taken_back(ai: Ai) -> None:
    """The rule is shown when it is made, listed while it holds, and revoked by name."""
    waiting = ai("tools", "run", "write_file", "--args", '{"path": "a", "content": "1"}', "--json")
    request = ai("approvals", "list", "-q").out.split()[0]
    assert waiting.code == 7
    approved = ai("approve", request, "--for", "1h")
    assert approved.code == 0
    assert "argument   path is 'a'" in approved.err
    assert ai("approvals", "run", request).code == 0
    again = ai("tools", "run", "write_file", "--args", '{"path": "a", "content": "2"}')
    assert (again.code, (ai.workspace / "a").read_text()) == (0, "2")
    assert _run(ai, "write_file", "b") == 7
    name = next(each for each in ai("policy", "list", "-q").out.split() if "standing" in each)
    assert "until" in ai("policy", "show", name).out
    newest = ai("audit", "list", "--tool", "write_file", "--json").json["items"]
    assert any(each["details"].get("rule") == name for each in newest)
    assert ai("policy", "revoke", name).code == 0
    assert _run(ai, "write_file", "a") == 7


@pytest.mark.prove
def test_how_far_an_approval_reaches_is_said_once(ai: Ai) -> None:
    """And not for longer than eight hours."""
    assert _run(ai, "write_file", "a") == 7
    request = ai("approvals", "list", "-q").out.split()[0]
    assert ai("approve", request, "--once", "--session").code == 2
    assert ai("approve", request, "--for", "9h").code == 2
    assert ai("approve", request, "--session").code == 2
    assert ai("approve", request, "--once").code == 0


def _asked(ai: Ai, path: str) -> str:
    """The id of a request to write there."""
    given = json.dumps({"path": path, "content": "x"})
    assert ai("tools", "run", "write_file", "--args", given).code == 7
    newest = ai("approvals", "list", "--limit", 1, "-q").out
    return str(newest.strip())


def _candidate(ai: Ai, text: str = POLICY) -> Path:
    file = ai.home.parent / "candidate.toml"
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.mark.prove
def test_a_candidate_is_tried_on_what_was_asked(ai: Ai) -> None:
    """What contradicts a person stands first, and nothing changes."""
    approved, rejected = _asked(ai, "notes/private/a"), _asked(ai, "notes/a.md")
    open_, other = _asked(ai, "notes/b.md"), _asked(ai, "a.md")
    assert ai("approve", approved).code == 0
    assert ai("reject", rejected).code == 0
    file = _candidate(ai)
    found = ai("policy", "backtest", file, "--since", "30d", "--json").json
    assert found["requests"] == 4
    assert found["now"] == {"allow": 0, "ask": 4, "deny": 0}
    assert found["candidate"] == {"allow": 2, "ask": 1, "deny": 1}
    assert found["rejected_allowed"] == {"now": 0, "candidate": 1}
    assert found["approved_denied"] == {"now": 0, "candidate": 1}
    assert (found["total"], found["next"]) == (3, None)
    told = [
        (each["id"], each["status"], each["candidate"], each["rule"]) for each in found["items"]
    ]
    assert told == [
        (rejected, "rejected", "allow", "notes"),
        (approved, "approved", "deny", "no-secrets"),
        (open_, "pending", "allow", "notes"),
    ]
    assert found["items"][0]["tool_name"] == "write_file"
    assert {each["now"] for each in found["items"]} == {"ask"}
    shown = ai("policy", "backtest", file)
    assert re.search(r"rejected by a person, and allowed +0 +1 *\n", shown.out)
    assert "this cannot know: calls that ran or were refused unasked" in shown.err
    assert other not in shown.out
    assert not (ai.home / "policy.toml").exists()
    assert ai("approvals", "show", open_, "--json").json["status"] == "pending"


@pytest.mark.prove
def test_what_a_candidate_changes_is_paged(ai: Ai) -> None:
    """By the cursor that the page before names; the policy in force itself changes nothing."""
    ids = {_asked(ai, f"notes/{name}") for name in "abc"}
    file = _candidate(ai)
    first = ai("policy", "backtest", file, "--limit", 2)
    cursor = first.err.partition("--cursor ")[2].split()[0]
    second = ai("policy", "backtest", file, "--limit", 2, "--cursor", cursor, "-q")
    shown = re.findall(r"^[0-9a-f]{16}", first.out, re.MULTILINE)
    assert {*shown, *second.out.split()} == ids
    assert ai("policy", "backtest", file, "--cursor", "x").code == 2
    _policy(ai)
    same = ai("policy", "backtest", file)
    assert (same.code, "no request differs" in same.err) == (0, True)


@pytest.mark.prove
def test_a_candidate_that_is_wrong_is_no_candidate(ai: Ai) -> None:
    """With the same error as the policy, and tools still run."""
    wrong = _candidate(ai, POLICY.replace('"notes/a.md"', '"a.md"', 1))
    refused = ai("policy", "backtest", wrong)
    assert (refused.code, refused.out) == (2, "")
    assert "candidate.toml: rule notes: match: the rule does not match" in refused.err
    assert ai("tools", "run", "list_files", "--args", "{}").code == 0
    assert ai("policy", "backtest", wrong.with_name("none.toml")).code == 4
    assert ai("policy", "backtest", _candidate(ai), "--since", "soon").code == 2
    assert ai("users", "add", "mina", "--role", "user").code == 0
    assert ai("--as", "mina", "policy", "backtest", _candidate(ai)).code == 3
