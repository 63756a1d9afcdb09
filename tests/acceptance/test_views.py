"""What people read: the same records as the JSON, as tables and lines."""

import json
from collections.abc import Callable

import pytest
from gguf_models import tool_call
from terminal import Ai

WRITE = ("tools", "run", "write_file", "--args", '{"path": "note.txt", "content": "x"}')


@pytest.mark.prove
def test_a_conversation_reads_as_a_dialogue(ai: Ai, with_model: Callable[..., str]) -> None:
    """Who said what, which tools were called, and what they answered."""
    (ai.workspace / "here.txt").write_text("the lamp is green")
    call = tool_call("read_file", path="here.txt")
    with_model([("last.role == 'tool'", "It is green."), ("'lamp' in last.content", call)])
    assert ai("chat", "which lamp?").out == "It is green.\n"
    listed = ai("sessions", "list")
    assert "which lamp?" in listed.out
    session = ai("sessions", "list", "-q").out.strip()
    lines = ai("sessions", "show", session[:5]).out.splitlines()
    assert [line.split()[0] for line in lines] == ["user:", "scripted:", "read_file:", "scripted:"]
    assert '[calls read_file {"path": "here.txt"}]' in lines[1]
    assert lines[2].endswith("the lamp is green")
    assert ai("sessions", "rm", session, "-y").code == 0
    assert "none here" in ai("sessions", "list").err


@pytest.mark.prove
def test_a_waiting_conversation_says_for_what(ai: Ai, with_model: Callable[..., str]) -> None:
    """The id of the request stands where the tool's answer will be."""
    call = tool_call("write_file", path="note.txt", content="x")
    with_model([("'note' in last.content", call)])
    ai("chat", "make a note")
    request = ai("approvals", "list", "-q").out.strip()
    shown = ai("sessions", "show", ai("sessions", "list", "-q").out.strip()).out
    assert f"[waits for a decision: {request}]" in shown


@pytest.mark.parametrize("noun", ["policy", "roles", "secrets", "tools", "rag models"])
def test_a_list_that_is_at_hand_comes_in_pages_too(ai: Ai, noun: str) -> None:
    """The pages together are the list, and a cursor of another list is none."""
    whole = ai(*noun.split(), "list", "-q").out.split()
    first = json.loads(ai(*noun.split(), "list", "--limit", "1", "--json").out)
    assert ([first["items"][0]["name"]], first["total"]) == (whole[:1], len(whole))
    assert f"--cursor {whole[0]}" in ai(*noun.split(), "list", "--limit", "1").err
    rest = json.loads(ai(*noun.split(), "list", "--cursor", first["next"], "--json").out)
    assert ([each["name"] for each in rest["items"]], rest["next"]) == (whole[1:], None)
    assert ai(*noun.split(), "list", "--cursor", "nothing").code == 2


@pytest.mark.prove
def test_requests_are_listed_counted_and_withdrawn(ai: Ai) -> None:
    """A request's life in words."""
    ai(*WRITE)
    request = ai("approvals", "list", "-q").out.strip()
    listed = ai("approvals", "list").out
    for word in (request, "pending", "high", "write_file", "in 5 min"):
        assert word in listed
    waited = ai("approvals", "wait", request, "--timeout", "1s")
    assert waited.code == 7
    cancelled = ai("approvals", "cancel", request)
    assert cancelled.out.startswith(f"cancelled {request} write_file by ")
    assert ai("approvals", "wait", request, "--timeout", "1s").out.startswith("cancelled")
    assert "cancelled  by " in ai("approvals", "show", request).out
    stats = ai("approvals", "stats").out
    assert "by_status      cancelled 1" in stats
    assert ai("approvals", "stats", "--since", "1d", "--json").json["total"] == 1


@pytest.mark.prove
def test_tools_show_what_they_take(ai: Ai) -> None:
    """Risk and permission in the list, the schema in full."""
    listed = ai("tools", "list").out
    assert "run_command" in listed
    assert "high" in listed
    shown = ai("tools", "show", "write_file").out
    assert '"required":["path","content"]' in shown
    assert ai("tools", "show", "write_fil").code == 4
    read = ai("tools", "run", "list_files", "--args", "-", stdin='{"path": "nowhere"}')
    assert read.code == 1


@pytest.mark.prove
def test_documents_are_reported_and_quoted(ai: Ai, with_model: Callable[..., str]) -> None:
    """What was done to files, then passages below the answer."""
    (ai.workspace / "lamp.md").write_text("# Lamps\n\nThe lamp in the hall is green.\n")
    (ai.workspace / "noise.bin").write_bytes(b"\x00\x01")
    report = ai("rag", "index", ".")
    assert report.out.startswith("1 added, 0 updated, 0 unchanged, 0 removed; 1 passages in ")
    assert "skipped noise.bin" in report.err
    found = ai("rag", "query", "which lamp is green?").out
    assert "lamp.md" in found
    assert "    The lamp in the hall is green." in found
    with_model(default="The one in the hall [1].")
    answered = ai("rag", "query", "which lamp is green?").out
    assert answered.startswith("The one in the hall [1].\n\n[1] ")
    assert "default" in ai("rag", "collections", "list").out
    assert "lamp" not in ai("rag", "query", "?!").out


@pytest.mark.prove
def test_the_audit_is_listed_and_shown(ai: Ai) -> None:
    """Newest first, a page at a time, each entry in full."""
    ai(*WRITE)
    first = ai("audit", "list", "--limit", "1", "--json").json
    assert first["items"][0]["event"] == "approval.requested"
    second = ai("audit", "list", "--cursor", first["next"]).out
    assert "operator.created" in second
    shown = ai("audit", "show", "1").out
    assert "event    operator.created" in shown
    assert ai("audit", "show", "99").code == 4


@pytest.mark.prove
def test_secrets_and_settings_are_told_and_forgotten(ai: Ai) -> None:
    """Where a value comes from, never the value."""
    ai("secrets", "set", "webhook-key", stdin="swordfish99\n")
    assert "webhook-key        file" in ai("secrets", "list").out
    assert ai("secrets", "rm", "webhook-key").code == 0
    assert ai("secrets", "rm", "webhook-key").code == 4
    assert ai("secrets", "set", "unknown-name", stdin="x\n").code == 2
    assert "every setting is known" in ai("config", "check").out
    assert "approvals.timeout" in ai("config", "show").out
    assert ai("config", "path").out == f"{ai.home}/config.toml\n"
    assert ai("config", "get", "nothing").code == 4
    assert ai("--set", "nothing=1", "config", "show").code == 4
    assert ai("--set", "nothing", "config", "show").code == 2


@pytest.mark.prove
def test_models_tell_their_size_and_choice(ai: Ai, with_model: Callable[..., str]) -> None:
    """The list and the file's own words."""
    name = with_model()
    assert ai("models", "use", "--code", name).code == 0
    assert ai("models", "use").code == 2
    assert "code" in ai("models", "list").out
    assert "has_template  yes" in ai("models", "info", name).out
    assert ai("models", "info", "scriptd").code == 4


def test_what_watches_localai_is_written_out(fresh: Ai) -> None:
    """Without a home; said are the files and what comes next, and a second time nothing is done."""
    there = fresh.workspace / "watch here"
    done = fresh("dashboards", "export", "watch here")
    assert "wrote ai-suite-overview.json\n" in done.out
    assert f"next: cd '{there}', then read README.md" in done.err
    again = fresh("dashboards", "export", there, "--json").json
    assert (again["folder"], again["written"]) == (str(there), [])
    assert "compose.yaml" in again["kept"]
    (there / "compose.yaml").write_text("mine")
    assert fresh("dashboards", "export", there).code == 5
    assert not fresh.home.exists()


def test_arguments_are_checked_before_anything_happens(ai: Ai) -> None:
    """Numbers are numbers, in their range; words that are missing are asked for."""
    for words in (
        ("approvals", "list", "--limit", "none"),
        ("approvals", "list", "--limit", "0"),
        ("rag", "query", "x", "-k", "51"),
        ("chat", "x", "--temperature", "hot"),
        ("models", "add"),
        ("approvals", "list", "--status", "gone"),
        ("approvals", "stats", "--since", "soon"),
    ):
        wrong = ai(*words)
        assert wrong.code == 2, words
        assert wrong.err.startswith("ai: error: ")
        assert "hint: " in wrong.err


def test_the_version_is_said(ai: Ai) -> None:
    """One line."""
    assert ai("--version").out.startswith("ai 0.")


@pytest.mark.prove
def test_what_became_of_a_request_is_shown(ai: Ai) -> None:
    """The decision, its reason and the outcome stand below the action."""
    ai(*WRITE)
    request = ai("approvals", "list", "-q").out.strip()
    ai("approve", request, "--reason", "as agreed")
    ai("approvals", "run", request)
    *_, decision, finished, outcome = ai("approvals", "show", request).out.splitlines()
    assert decision.startswith("approved   by ")
    assert decision.endswith(": as agreed")
    assert finished.startswith("finished   at ")
    assert outcome == "outcome    wrote 1 bytes to note.txt"


@pytest.mark.prove
def test_a_page_says_that_there_are_more_and_takes_no_other_cursor(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """The cursor that is told leads on; a mistyped one is no first page."""
    with_model()
    ai("chat", "one")
    ai("chat", "two")
    told = ai("sessions", "list", "--limit", "1").err
    assert told == "there are more: --cursor 1\n"
    last = ai("sessions", "list", "--limit", "1", "--cursor", told.split()[-1])
    assert "one" in last.out
    assert last.err == ""
    assert ai("sessions", "list", "--cursor", "zz").code == 2


@pytest.mark.prove
def test_the_audit_is_exported_and_searched(ai: Ai) -> None:
    """As JSON Lines, oldest first; what was done to it is named."""
    ai("tools", "run", "list_files", "--args", "{}")
    ai("tools", "run", "write_file", "--args", '{"path": "a", "content": "x"}')
    lines = [json.loads(line) for line in ai("audit", "export").out.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    asked = ai("audit", "export", "--tool", "write_file", "--action", "approval").out
    assert [json.loads(line)["event"] for line in asked.splitlines()] == ["approval.requested"]
    assert ai("audit", "list", "--until", "1d", "--json").json["total"] == 0
    verified = ai("audit", "verify")
    assert "this cannot know: who did it" in verified.err
    (ai.home / "keys" / "audit.anchor").write_text(f"{99:020d} {'0' * 64}\n")
    assert ai("audit", "verify", "--json").json["tampering"] == "truncated"
