"""What a person at a terminal sees and types."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf_models
import pexpect
import pytest
from gguf_models import tool_call
from terminal import AI, Ai


@contextmanager
def typing(ai: Ai, *words: str, echo: bool = False) -> Iterator[Any]:
    """`ai` on a terminal of 100 columns."""
    environment = ai.environment | {"TERM": "xterm-256color"}
    for name in ("NO_COLOR", "LINES", "COLUMNS"):
        environment.pop(name, None)
    child = pexpect.spawn(
        str(AI),
        list(words),
        cwd=str(ai.workspace),
        env=environment,
        timeout=30,
        encoding="utf-8",
        dimensions=(40, 100),
        echo=echo,
    )
    try:
        yield child
    finally:
        child.close(force=True)


def exit_code(child: Any) -> int:
    """Wait for the end."""
    child.expect(pexpect.EOF)
    child.wait()
    return int(child.exitstatus)


def test_a_tool_call_is_shown_whole_and_asked_inline(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """`y` runs exactly what was shown."""
    call = tool_call("write_file", path="note.txt", content="buy milk\n")
    with_model([("last.role == 'tool'", "Noted."), ("'note' in last.content", call)])
    with typing(ai, "chat", "make a note") as child:
        child.expect("buy milk")
        child.expect(r"exactly as shown\?.*\[y/N/a\] ")
        assert child.expect([pexpect.TIMEOUT, "."], timeout=0.5) == 0  # nothing redraws over it
        child.sendline("y")
        child.expect("Noted")
        assert exit_code(child) == 0
    assert (ai.workspace / "note.txt").read_text() == "buy milk\n"


@pytest.mark.prove
def test_a_no_at_the_terminal_reaches_the_model_with_its_reason(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """The default answer is no."""
    call = tool_call("write_file", path="note.txt", content="x")
    with_model([("'too late' in last.content", "Then not."), ("'note' in last.content", call)])
    with typing(ai, "chat", "make a note") as child:
        child.expect(r"exactly as shown\?")
        child.sendline("")
        child.expect("Why not")
        child.sendline("too late")
        child.expect("Then not")
        assert exit_code(child) == 0
    assert not (ai.workspace / "note.txt").exists()


@pytest.mark.prove
def test_always_shows_a_rule_and_saves_it_after_a_second_yes(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """Then a call like it runs unasked in this conversation, and in no other one."""
    calls = [tool_call("write_file", path="note.txt", content=content) for content in "ab"]
    rules = [("last.role == 'tool'", "Noted."), ("'again' in last.content", calls[1])]
    with_model([*rules, ("'note' in last.content", calls[0])])
    with typing(ai, "chat", "make a note") as child:
        child.expect(r"exactly as shown\?.*\[y/N/a\] ")
        child.sendline("a")
        child.expect("argument   path is 'note.txt'")
        child.expect("in conversation [0-9a-f]{16}")
        child.expect(r"this rule\? \[y/N\] ")
        assert not any("standing" in name for name in ai("policy", "list", "-q").out.split())
        child.sendline("y")
        child.expect("Noted")
        assert exit_code(child) == 0
    assert any("standing" in name for name in ai("policy", "list", "-q").out.split())
    with typing(ai, "chat", "-c", "note it again") as child:
        assert child.expect(["Noted", "exactly as shown"]) == 0
        assert exit_code(child) == 0
    assert (ai.workspace / "note.txt").read_text() == "b"
    assert ai("chat", "make a note").code == 7


@pytest.mark.prove
def test_always_without_the_second_yes_saves_nothing(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """The call itself is asked about again, without it."""
    call = tool_call("write_file", path="note.txt", content="x")
    with_model([("last.role == 'tool'", "Noted."), ("'note' in last.content", call)])
    with typing(ai, "chat", "make a note") as child:
        child.expect(r"\[y/N/a\] ")
        child.sendline("a")
        child.expect(r"this rule\? \[y/N\] ")
        child.sendline("n")
        child.expect(r"no rule was made.*exactly as shown\?.*\[y/N\] ")
        child.sendline("y")
        child.expect("Noted")
        assert exit_code(child) == 0
    assert (ai.workspace / "note.txt").exists()
    assert not any("standing" in name for name in ai("policy", "list", "-q").out.split())


@pytest.mark.prove
@pytest.mark.parametrize(
    ("tool", "arguments", "why"),
    [
        ("write_file", '{"path": ".envrc", "content": ""}', "what is critical is approved once"),
        ("write_file", '{"path": "a", "content": "x"}', "belongs to no conversation"),
    ],
)
def test_always_is_not_offered_where_it_cannot_be(
    ai: Ai, tool: str, arguments: str, why: str
) -> None:
    """It says why, and `a` is then a no."""
    with typing(ai, "tools", "run", tool, "--args", arguments) as child:
        child.expect(why)
        child.expect(r"exactly as shown\?.*\[y/N\] ")
        child.sendline("a")
        child.expect("Why not")
        child.sendline("")
        assert exit_code(child) == 8


@pytest.mark.prove
def test_a_yes_at_the_terminal_takes_a_code_where_one_is_asked_for(ai: Ai) -> None:
    """In strict mode at critical risk; without the right one nothing is approved."""
    arguments = '{"path": ".bashrc", "content": "x"}'
    strict = ("--set", "security.mode=strict")
    with typing(ai, *strict, "tools", "run", "write_file", "--args", arguments) as child:
        child.expect(r"exactly as shown\?.*\[y/N\] ")
        child.sendline("y")
        child.expect("Code of your authenticator app: ")
        child.sendline("000000")
        assert exit_code(child) == 3
    assert not (ai.workspace / ".bashrc").exists()


@pytest.mark.prove
def test_approve_shows_the_action_and_asks_once(ai: Ai) -> None:
    """On a terminal nothing is approved unread."""
    ai("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "hello"}')
    request = ai("approvals", "list", "-q").out.strip()
    with typing(ai, "approve", request[:6]) as child:
        child.expect("hello")
        child.expect(r"Approve .*\?")
        child.sendline("n")
        assert exit_code(child) == 7
    assert ai("approvals", "show", request, "--json").json["status"] == "pending"
    with typing(ai, "approve", request[:6]) as child:
        child.expect(r"Approve .*\?")
        child.sendline("y")
        assert exit_code(child) == 0
    assert ai("approvals", "show", request, "--json").json["status"] == "approved"


@pytest.mark.prove
def test_a_long_payload_is_paged_and_never_cut(ai: Ai) -> None:
    """Ten thousand blank lines cannot push the end of the action off the screen unread."""
    content = "\\n" * 200 + "rm -rf ~"
    arguments = f'{{"path": "a.txt", "content": "{content}"}}'
    ai("tools", "run", "write_file", "--args", arguments)
    with typing(ai, "approve", ai("approvals", "list", "-q").out.strip()) as child:
        pages = []
        while child.expect([r"Enter shows more", r"Approve .*\?"]) == 0:
            pages.append(child.before)
            child.sendline("")
        assert len(pages) >= 5
        assert "rm -rf ~" in "".join([*pages, child.before])
        child.sendline("n")
        assert exit_code(child) == 7


@pytest.mark.prove
def test_markdown_is_rendered_and_code_is_coloured(ai: Ai, with_model: Callable[..., str]) -> None:
    """Stars and fences are gone, colours are there."""
    with_model(default="Some **bold** words.\n\n```python\nprint(1)\n```\n\nThe end.")
    with typing(ai, "chat", "show me") as child:
        assert exit_code(child) == 0
        shown = child.before
    assert "**bold**" not in shown
    assert "```" not in shown
    assert "\x1b[1mbold\x1b[0m" in shown
    assert shown.index("bold") < shown.index("print") < shown.index("The end")


@pytest.mark.prove
def test_a_conversation_has_many_turns_and_survives_ctrl_c(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """Ctrl-C stops an answer, Ctrl-D leaves; all of it is one session with a history."""
    rules = [("'stop' in last.content", gguf_models.Loop("still talking "))]
    with_model(rules, "Good day.")
    with typing(ai, "chat") as child:
        child.expect("> ")
        child.sendline("hello")
        child.expect("Good day")
        child.expect("> ")
        child.sendline("never stop")
        child.expect("still talking")
        child.sendintr()
        child.expect(r"\r\n\[stopped")
        child.expect("> ")
        child.sendline("hello again")
        child.expect("Good day")
        child.expect("> ")
        child.sendeof()
        assert exit_code(child) == 0
    sessions = ai("sessions", "list", "--json").json["items"]
    assert [each["messages"] for each in sessions] == [6]
    assert "never stop" in (ai.home / "data" / "chat_history").read_text()


def test_an_answer_that_fails_stays_in_its_conversation(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """The next question goes on where it was asked, also from the first one."""
    with_model(default="no json")
    wanted = ai.workspace / "schema.json"
    wanted.write_text('{"type": "string", "maxLength": 1}')
    with typing(ai, "chat", "--schema", str(wanted), "--max-tokens", "1") as child:
        for _ in range(2):
            child.expect("> ")
            child.sendline("hello")
            child.expect("error")
        child.expect("> ")
        child.sendeof()
        assert exit_code(child) == 0
    assert ai("sessions", "list", "--json").json["total"] == 1


def test_a_question_without_a_terminal_names_the_flag_that_answers(ai: Ai) -> None:
    """Nothing waits for a person who is not there."""
    (ai.workspace / "a.txt").write_text("one sentence")
    ai("rag", "index", "a.txt")
    removed = ai("rag", "collections", "rm", "default")
    assert removed.code == 2
    assert "hint: add --yes" in removed.err


@pytest.mark.prove
def test_a_conversation_that_waited_goes_on_before_the_first_question(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """`ai chat -c` at a terminal takes up what was approved elsewhere, then listens."""
    call = tool_call("write_file", path="note.txt", content="x")
    with_model([("last.role == 'tool'", "Noted."), ("'note' in last.content", call)])
    assert ai("chat", "make a note").code == 7
    ai("approve", ai("approvals", "list", "-q").out.strip())
    with typing(ai, "chat", "-c") as child:
        child.expect("Noted")
        child.expect("> ")
        child.sendeof()
        assert exit_code(child) == 0


@pytest.mark.prove
def test_arguments_are_changed_in_an_editor_and_shown_before_they_count(
    ai: Ai, tmp_path: Path
) -> None:
    """What runs is what was edited; what was proposed is kept."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/hello/goodbye/ "$1"\n')
    editor.chmod(0o700)
    ai.environment["EDITOR"] = str(editor)
    ai("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "hello"}')
    request = ai("approvals", "list", "-q").out.strip()
    with typing(ai, "approve", request, "--edit") as child:
        child.expect('content = "goodbye"')
        child.expect(r"Approve .*\?")
        child.sendline("y")
        assert exit_code(child) == 0
    approved = ai("approvals", "list", "--status", "approved", "--json").json["items"][0]
    assert approved["proposed_arguments"]["content"] == "hello"
    assert ai("approvals", "run", approved["id"]).code == 0
    assert (ai.workspace / "a.txt").read_text() == "goodbye"
    shown = ai("approvals", "show", approved["id"]).out
    assert f"replaces   {request}" in shown
    assert '"content":"hello"' in shown
    assert "superseded by" in ai("approvals", "show", request).out


@pytest.mark.prove
def test_an_editor_that_fails_approves_nothing(ai: Ai) -> None:
    """Nor does one that leaves no arguments, nor the lack of a terminal."""
    ai("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "hello"}')
    request = ai("approvals", "list", "-q").out.strip()
    assert ai("approve", request, "--edit").code == 2
    for editor, told in (
        ("false", "ended with 1"),
        ("/none", "could not edit"),
        ("rm", "could not"),
    ):
        ai.environment["EDITOR"] = editor
        with typing(ai, "approve", request, "--edit") as child:
            child.expect(told)
            assert exit_code(child) == 2
    assert ai("approvals", "show", request, "--json").json["status"] == "pending"


def test_watching_rings_the_bell_for_a_new_request(ai: Ai) -> None:
    """And shows how much time is left; Ctrl-C leaves."""
    with typing(ai, "approvals", "list", "--watch") as child:
        child.expect("nothing waits for you")
        ai("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "x"}')
        child.expect("\x07")
        child.expect(r"pending.*write_file.*in \d+ min")
        child.sendintr()
        assert exit_code(child) == 130


@pytest.mark.prove
def test_watching_in_a_pipe_prints_each_change(ai: Ai) -> None:
    """One line or one JSON object a change."""
    process = ai.start("approvals", "list", "--watch", "--json")
    ai("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "x"}')
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert ai("reject", first["id"]).code == 0
    second = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert (first["status"], second["status"]) == ("pending", "rejected")


def test_figures_are_drawn_until_somebody_has_seen_enough(ai: Ai) -> None:
    """On a screen of their own: what was on the terminal before is there again."""
    with typing(ai, "metrics", "--top") as child:
        child.expect("Requests are decided")
        child.expect("approvals waiting")
        child.sendintr()
        assert exit_code(child) == 130
        assert "\x1b[?1049l" in child.before
