"""What the audit says about a call that a model proposed."""

import hashlib
import json
from collections.abc import Callable

import pytest
from gguf_models import tool_call
from terminal import Ai

from localai.cli.audit import _entry
from localai.core.audit import Entry

NOTE = tool_call("write_file", path="note.txt", content="x")


@pytest.mark.prove
def test_the_audit_shows_where_a_call_came_from(ai: Ai, with_model: Callable[..., str]) -> None:
    """The model's file, its settings and the seed that was given."""
    with_model([("'note' in last.content", NOTE)])
    assert ai("chat", "make a note", "--seed", "5", "--temperature", "0.5").code == 7
    (asked,) = ai("audit", "list", "--action", "approval.requested", "--json").json["items"]
    receipt = asked["details"]["receipt"]
    file = ai.workspace.parent / "scripted.gguf"
    assert receipt["model"] == "scripted"
    assert receipt["model_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (receipt["seed"], receipt["sampler"]["temperature"]) == (5, 0.5)
    shown = ai("audit", "show", asked["seq"])
    assert receipt["model_sha256"] in shown.out
    assert receipt["prompt_sha256"] in shown.out
    assert ai("audit", "show", asked["seq"], "--json").json["details"]["receipt"] == receipt
    assert ai("audit", "verify").code == 0


@pytest.mark.prove
def test_a_seed_that_nobody_gave_is_told(ai: Ai, with_model: Callable[..., str]) -> None:
    """Two calls have two of them, the digests are the same."""
    with_model([("'note' in last.content", NOTE)])
    for _ in range(2):
        ai("chat", "make a note")
    first, second = ai("audit", "list", "--action", "approval.requested", "--json").json["items"]
    first, second = first["details"]["receipt"], second["details"]["receipt"]
    assert first.pop("seed") != second.pop("seed")
    assert first == second


def test_the_starter_gives_receipts_too(ai: Ai) -> None:
    """It is greedy, so there is no seed."""
    ai("chat", "Write 'buy milk' to shopping.txt")
    (asked,) = ai("audit", "list", "--action", "approval.requested", "--json").json["items"]
    receipt = asked["details"]["receipt"]
    assert (receipt["model"], receipt["sampler"], receipt["seed"]) == (
        "starter",
        {"temperature": 0},
        None,
    )


def test_what_a_person_runs_has_no_receipt(ai: Ai) -> None:
    """Neither where it runs nor where it waits."""
    ai("tools", "run", "list_files", "--args", '{"path": "."}')
    ai("tools", "run", "write_file", "--args", json.dumps({"path": "a", "content": "x"}))
    ran = ai("audit", "list", "--json").json["items"]
    assert {"tool.ran", "approval.requested"} <= {each["event"] for each in ran}
    assert not [each for each in ran if "receipt" in each["details"]]


def test_a_receipt_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in the audit is spelled out."""
    details = {"receipt": {"model": "\x1b[2J\u202egone"}}
    _entry(Entry(1, "now", "kim", "tool.ran", "read_file", details))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "gone" in shown
