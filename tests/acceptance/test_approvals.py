"""Two terminals: one asks, the other decides."""

import json
import subprocess
import time
import unicodedata
from collections.abc import Callable, Iterator

import pytest
import spoofs
from gguf_models import tool_call
from terminal import Ai

WRITE = ("tools", "run", "write_file", "--args")
NOTE = json.dumps({"path": "note.txt", "content": "buy milk\n"})


@pytest.fixture
def asking(ai: Ai) -> Iterator[subprocess.Popen[str]]:
    """The first terminal: it wants to write a note and waits."""
    with ai.start(*WRITE, NOTE, "--wait", "60s", "--json") as process:
        assert process.stdin is not None
        process.stdin.close()
        yield process
        process.kill()


def pending(ai: Ai) -> dict[str, object]:
    """The one request that waits, as soon as the second terminal sees it."""
    for _ in range(200):
        items = ai("approvals", "list", "--status", "pending", "--json").json["items"]
        if items:
            return dict(items[0])
        time.sleep(0.05)
    raise AssertionError("no request was opened")


def test_an_approved_call_goes_on_and_runs_what_was_shown(
    ai: Ai, asking: subprocess.Popen[str]
) -> None:
    """The second terminal sees the whole action, approves by a short id, and the first writes."""
    request = pending(ai)
    assert not (ai.workspace / "note.txt").exists()
    shown = ai("approvals", "show", request["id"]).out
    assert "buy milk" in shown
    assert str(request["action_sha256"]) in shown
    assert ai("approve", str(request["id"])[:4]).code == 0
    assert asking.wait(timeout=30) == 0
    assert (ai.workspace / "note.txt").read_text() == "buy milk\n"
    ended = ai("approvals", "show", request["id"], "--json").json
    assert ended["status"] == "succeeded"
    assert ended["votes"][0]["decision"] == "approved"


@pytest.mark.prove
def test_a_rejected_call_exits_8_with_the_reason_and_writes_nothing(
    ai: Ai, asking: subprocess.Popen[str]
) -> None:
    """Rejected is not denied, expired or pending."""
    ai("reject", pending(ai)["id"], "--reason", "wrong file")
    assert asking.wait(timeout=30) == 8
    assert asking.stdout is not None
    error = json.loads(asking.stdout.read())["error"]
    assert error["category"] == "rejected"
    assert "wrong file" in error["message"]
    assert not (ai.workspace / "note.txt").exists()


@pytest.mark.prove
def test_a_file_that_changed_since_the_request_is_not_overwritten(
    ai: Ai, asking: subprocess.Popen[str]
) -> None:
    """What was approved is not what would happen now."""
    request = pending(ai)
    (ai.workspace / "note.txt").write_text("mine")
    assert ai("approve", request["id"]).code == 0
    assert asking.wait(timeout=30) == 5
    assert (ai.workspace / "note.txt").read_text() == "mine"
    assert ai("approvals", "show", request["id"], "--json").json["status"] == "revoked"


def test_nobody_there_is_exit_7_and_the_id(ai: Ai) -> None:
    """The request stays, for whoever comes."""
    asked = ai(*WRITE, NOTE)
    assert asked.code == 7
    assert str(pending(ai)["id"]) in asked.err


@pytest.mark.prove
def test_an_expired_request_is_exit_9(ai: Ai) -> None:
    """The request's own end wins over the caller's patience."""
    asked = ai("--set", "approvals.timeout=1s", *WRITE, NOTE, "--wait", "20s")
    assert asked.code == 9
    late = ai("approve", ai("approvals", "list", "-q").out.strip())
    assert late.code == 9


@pytest.mark.prove
def test_the_second_decision_is_told_the_truth(ai: Ai) -> None:
    """Exit 5, and who was first."""
    ai(*WRITE, NOTE)
    request = str(pending(ai)["id"])
    assert ai("reject", request, "--reason", "no").code == 0
    second = ai("approve", request, "--json")
    assert second.code == 5
    assert "already rejected" in second.json["error"]["message"]


@pytest.mark.prove
def test_several_ids_are_each_reported_and_the_first_failure_is_the_exit(ai: Ai) -> None:
    """One unknown id does not stop the others."""
    ai(*WRITE, NOTE)
    request = str(pending(ai)["id"])
    decided = ai("approve", "ffffffffffffffff", request)
    assert decided.code == 4
    assert f"approved {request}" in decided.out
    assert "ffffffffffffffff" in decided.err
    again = ai("reject", "ffffffffffffffff", request, "--json")
    assert again.code == 4
    assert [error["category"] for error in again.json["errors"]] == ["not_found", "conflict"]


@pytest.mark.prove
@pytest.mark.parametrize("prefix", ["%", "____", "*", "abc", "g" * 8])
def test_no_wildcard_and_no_short_prefix_names_a_request(ai: Ai, prefix: str) -> None:
    """Ids are exact, or a prefix of 4 hexadecimal digits at least."""
    ai(*WRITE, NOTE)
    assert ai("approve", prefix).code == 2
    assert pending(ai)["status"] == "pending"


@pytest.mark.prove
def test_another_digest_than_the_one_read_is_refused(ai: Ai) -> None:
    """`--sha256` makes the caller's own reading the condition."""
    ai(*WRITE, NOTE)
    request = pending(ai)
    assert ai("approve", request["id"], "--sha256", "0" * 12).code == 5
    begin = str(request["action_sha256"])[:12]
    assert ai("approve", request["id"], "--sha256", begin).code == 0


@pytest.mark.prove
def test_an_approved_call_whose_process_is_gone_runs_by_hand_once(ai: Ai) -> None:
    """`ai approvals run` claims what nobody waits for."""
    ai(*WRITE, NOTE)
    request = pending(ai)["id"]
    ai("approve", request)
    assert ai("approvals", "run", request).code == 0
    assert (ai.workspace / "note.txt").read_text() == "buy milk\n"
    assert ai("approvals", "run", request).code == 5


def test_low_risk_runs_unasked_and_is_audited(ai: Ai) -> None:
    """Reading asks nobody."""
    (ai.workspace / "here.txt").write_text("read me")
    read = ai("tools", "run", "read_file", "--args", '{"path": "here.txt"}')
    assert read.out == "read me\n"
    events = [each["event"] for each in ai("audit", "list", "--json").json["items"]]
    assert "tool.ran" in events


def test_a_tool_never_reaches_our_own_files(ai: Ai) -> None:
    """The database, the keys and the settings are not in any workspace."""
    ran = ai(
        "--workspace", ai.home, "tools", "run", "read_file", "--args", '{"path":"config.toml"}'
    )
    assert ran.code != 0
    key = ai(
        "--workspace",
        "/",
        "tools",
        "run",
        "read_file",
        "--args",
        json.dumps({"path": str(ai.home / "keys" / "secrets.key")}),
    )
    assert key.code != 0


@pytest.mark.prove
def test_without_the_sandbox_a_command_is_critical_and_strict_refuses_it(ai: Ai) -> None:
    """It runs unconfined, the request says so, and the switch is for development alone."""
    command = ("--set", "sandbox.enabled=false", "tools", "run", "run_command")
    command += ("--args", '{"argv": ["true"]}')
    assert ai(*command).code == 7
    assert "unconfined" in str(pending(ai)["sandbox"])
    assert pending(ai)["risk"] == "critical"
    refused = ai("--set", "security.mode=strict", *command)
    assert (refused.code, "sandbox.enabled = false" in refused.err) == (3, True)
    assert "switched off: sandbox.enabled" in ai(*command[:2], "doctor").out


@pytest.mark.prove
def test_a_script_that_changed_since_the_request_does_not_run(ai: Ai) -> None:
    """What the person read is what runs, also where the program is a shell."""
    script = ai.workspace / "go.sh"
    script.write_text("echo good > out.txt\n")
    ai("tools", "run", "run_command", "--args", '{"argv": ["sh", "go.sh"]}')
    request = pending(ai)["id"]
    ai("approve", request)
    script.write_text("echo evil > out.txt\n")
    assert ai("approvals", "run", request).code == 5
    assert not (ai.workspace / "out.txt").exists()


@pytest.mark.prove
def test_a_model_that_calls_a_tool_waits_and_goes_on_after_the_decision(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """Exit 7 with the id; `ai chat -c` takes up the approved call and finishes the answer."""
    call = tool_call("write_file", path="note.txt", content="buy milk\n")
    with_model([("last.role == 'tool'", "Noted."), ("'note' in last.content", call)])
    asked = ai("chat", "make a note", "--json")
    assert asked.code == 7
    (request,) = asked.json["pending"]
    assert pending(ai)["id"] == request
    assert ai("chat", "-c").code == 7
    assert ai("approve", request).code == 0
    assert ai("chat", "-c").out == "Noted.\n"
    assert (ai.workspace / "note.txt").read_text() == "buy milk\n"
    shown = ai("approvals", "show", request, "--json").json
    assert shown["requester_kind"] == "agent"


@pytest.mark.prove
def test_a_model_reads_the_reason_of_a_refusal(ai: Ai, with_model: Callable[..., str]) -> None:
    """A refused call is an answer, not an error."""
    call = tool_call("write_file", path="note.txt", content="x")
    with_model([("'not today' in last.content", "Then not."), ("'note' in last.content", call)])
    ai("chat", "make a note")
    ai("reject", pending(ai)["id"], "--reason", "not today")
    assert ai("chat", "-c").out == "Then not.\n"


@pytest.mark.prove
def test_the_audit_is_whole_and_catches_a_changed_row(ai: Ai) -> None:
    """Every decision is in the chain."""
    ai(*WRITE, NOTE)
    ai("approve", pending(ai)["id"])
    assert ai("audit", "verify").code == 0
    anchor = ai.home / "keys" / "audit.anchor"
    anchor.write_bytes(anchor.read_bytes().replace(b"0", b"1", 1))
    assert ai("audit", "verify").code == 5


@pytest.mark.prove
def test_what_expired_is_renewed_and_what_was_approved_taken_back(ai: Ai) -> None:
    """A renewed request is a new one; a revoked approval never runs."""
    call = ("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "x"}')
    ai("--set", "approvals.timeout=1s", *call)
    (request,) = ai("approvals", "list", "-q").out.split()
    assert ai("approvals", "wait", request, "--timeout", "20s").code == 9
    renewed = ai("approvals", "renew", request, "--json").json
    assert renewed["status"] == "pending"
    assert f"replaces   {request}" in ai("approvals", "show", renewed["id"]).out
    assert ai("approvals", "renew", request).code == 5
    assert ai("approve", renewed["id"]).code == 0
    assert ai("approvals", "revoke", renewed["id"], "--reason", "not now").code == 0
    assert ai("approvals", "run", renewed["id"]).code == 5
    assert not (ai.workspace / "a.txt").exists()


@pytest.mark.prove
def test_no_spoof_leaves_unescaped(ai: Ai) -> None:
    """In words and in JSON, which still gives back what was asked."""
    content = "\n".join(spoofs.ALL.values())
    arguments = {"path": "p\u0430ypal.txt", "content": content}
    assert ai("tools", "run", "write_file", "--args", json.dumps(arguments)).code == 7
    request = ai("approvals", "list", "-q").out.strip()
    show = ("approvals", "show", request)
    told = [ai(*words) for words in (show, (*show, "--json"), ("approvals", "list", "--json"))]
    for each in told:
        text = each.out + each.err
        assert not {unicodedata.category(char) for char in text if char != "\n"} & _HIDDEN
    assert told[1].json["arguments"] == arguments
    assert "mixes alphabets" in told[0].out


_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
