"""`ai logs`: what a busy home logged, read by an operator."""

import json
import signal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from terminal import Ai

from localai.core.events import schema

SECRET = "lai_c4n4ry_hunter2hunter2hunter2"
SAID = "the quick brown canary jumps"


def _logged(ai: Ai, *words: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ai("logs", "--json", *words).out.splitlines()]


@pytest.mark.prove
def test_a_busy_home_is_told_line_by_line(ai: Ai) -> None:
    """By the schema, with ids to find what belongs together, and without what was said."""
    call = json.dumps({"path": "a.txt", "content": f"{SAID} {SECRET}"})
    assert ai("tools", "run", "write_file", "--args", call, "--wait", "0s").code == 7
    (approval,) = ai("approvals", "list", "-q").out.split()
    assert ai("approve", approval, "-y", "--reason", SAID).code == 0
    assert ai("approvals", "run", approval).code == 0
    assert ai("chat", SAID).code == 0
    assert ai("users", "add", "viv", "--role", "user").code == 0
    assert ai("--as", "viv", "keys", "list").code == 3

    lines = _logged(ai)
    check = Draft202012Validator(schema())
    assert [line for line in lines if not check.is_valid(line)] == []
    text = (ai.home / "logs" / "localai.log").read_text(encoding="utf-8")
    assert "canary" not in text
    assert "hunter2" not in text

    about = [(line["event"], line["command"]) for line in _logged(ai, "--approval", approval[:6])]
    assert about == [
        ("approval.requested", "tools run"),
        ("command.refused", "tools run"),
        ("approval.approved", "approve"),
        ("approval.claimed", "approvals run"),
        ("approval.succeeded", "approvals run"),
    ]
    (answered,) = [line for line in lines if line["event"] == "chat.answered"]
    assert answered["completion_tokens"] > 0
    assert _logged(ai, "--session", answered["session"][:8])[-1] == answered
    (denied,) = _logged(ai, "--level", "warning")
    assert denied["event"] == "permission.denied"
    assert (denied["subject"], denied["actor"]) == ("keys:write", lines[0]["actor"] + " as viv")

    assert ai("--as", "viv", "logs").code == 3
    assert ai("logs", "--level", "loud").code == 2


def test_the_log_is_followed_until_ctrl_c(ai: Ai) -> None:
    """Across rotation, wherever the log lies; what is hostile is shown escaped."""
    file = ai.workspace / "own.log"
    place = {"LOCALAI_LOG_FILE": str(file)}
    file.write_text("\x1b[2Jtorn\n")
    following = ai.start("logs", "-f", **place)
    assert following.stdout is not None
    assert following.stdout.readline() == "? \\u{001B}[2Jtorn\n"
    assert ai("users", "add", "ann", "--role", "viewer", **place).code == 0
    assert "user.added" in following.stdout.readline()
    file.rename(file.with_name("own.log.1"))
    assert ai("users", "add", "ben", "--role", "viewer", **place).code == 0
    assert "subject=ben" in following.stdout.readline()
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=60)
    assert (out, err, following.returncode) == ("", "ai: interrupted\n", 130)
