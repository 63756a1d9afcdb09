"""`ai metrics`: short-lived commands lose no count, and figures are read in every way."""

import json
import signal
import stat
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from terminal import Ai

WRITE = ("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "x"}')


def _samples(text: str) -> dict[str, float]:
    return {
        " ".join([sample.name, *map(str, sample.labels.values())]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _busy(ai: Ai) -> None:
    """One request that is approved and run, one that is rejected, one read, two refusals."""
    for verb in (("approve", "-y"), ("reject",)):
        assert ai(*WRITE).code == 7
        (waiting,) = ai("approvals", "list", "--status", "pending", "-q").out.split()
        assert ai(*verb, waiting).code == 0
        if "approve" in verb:
            assert ai("approvals", "run", waiting).code == 0
    assert ai("tools", "run", "read_file", "--args", '{"path": "a.txt"}').code == 0
    assert ai("users", "add", "mina", "--role", "viewer").code == 0
    for _ in range(2):
        assert ai("--as", "mina", "users", "add", "eve", "--role", "admin").code == 3


@pytest.mark.prove
def test_what_commands_did_is_published_and_proved(ai: Ai, tmp_path: Path) -> None:
    """Printed, written for another user to read, and equal to the audit."""
    _busy(ai)
    printed = _samples(ai("metrics").out)
    assert printed["approval_requests_total pending"] == 2
    assert printed["approval_requests_total approved"] == 1
    assert printed["approval_requests_total rejected"] == 1
    assert printed["approval_response_time_seconds_count"] == 2
    assert printed["rbac_permission_checks_total denied viewer"] == 2
    assert printed["rbac_role_assignments_total viewer"] == 1
    assert printed["localai_rbac_role_members admin"] == 1
    file = tmp_path / "localai.prom"
    done = ai("metrics", "--textfile", file)
    assert (done.code, done.out) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert _samples(file.read_text())["approval_requests_total pending"] == 2
    proof = ai("metrics", "--verify", "--json")
    assert (proof.code, proof.json["is_exact"]) == (0, True)
    counted = {each["what"]: each["counted"] for each in proof.json["items"]}
    assert (counted["requests"], counted["executions"], counted["permissions denied"]) == (2, 2, 2)


@pytest.mark.prove
def test_the_view_is_one_document_for_scripts_and_a_table_in_a_pipe(ai: Ai) -> None:
    """With the same figures."""
    assert ai(*WRITE).code == 7
    found = ai("metrics", "--top", "--json").json
    assert found["now"]["approvals_waiting"] == 1
    assert [each["name"] for each in found["objectives"]] == ["requests", "answers", "approvals"]
    shown = ai("metrics", "--top").out
    assert "Requests are decided" in shown
    assert "approvals waiting" in shown


@pytest.mark.prove
def test_scrapes_are_answered_until_the_process_is_told_to_end(ai: Ai) -> None:
    """On this machine alone; what another process does meanwhile is in the next one."""
    server = ai.start("metrics", "--serve", "--port", 0)
    try:
        assert server.stderr is not None
        url = server.stderr.readline().split()[-1]
        assert url.startswith("http://127.0.0.1:")
        seen = []
        for _ in range(2):
            with urllib.request.urlopen(url, timeout=30) as answer:
                seen.append(_samples(answer.read().decode())["approval_requests_total pending"])
            assert ai(*WRITE).code == 7
        assert seen == [0, 1]
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--textfile", "x", "--top"), 2),
        (("--textfile", "/proc/x"), 2),
        (("--serve", "--port", "70000"), 2),
        (("--port", "9464"), 2),
    ],
)
def test_what_cannot_be_done_is_refused(ai: Ai, words: tuple[str, ...], code: int) -> None:
    """And nothing is printed in its place."""
    done = ai("metrics", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("ai: error: ") or "Usage" in done.err


@pytest.mark.prove
def test_a_count_that_was_changed_is_found(ai: Ai) -> None:
    """Whoever edits the database finds no agreement with the audit."""
    import sqlite3

    assert ai("tools", "run", "list_files", "--args", '{"path": "."}').code == 0
    (file,) = ai.home.rglob("localai.db")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE counters SET value = value + 1 WHERE name LIKE 'mcp_tool_e%'")
    database.close()
    done = ai("metrics", "--verify", "--json")
    assert done.code == 5
    first = json.loads(done.out.splitlines()[0])
    assert {each["what"] for each in first["items"] if each["counted"] != each["audited"]} == {
        "executions"
    }
