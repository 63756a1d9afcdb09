"""`ai chat` with a real GGUF file through the real engine."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import chat_server
import gguf_models
import pytest
from chat_server import event
from terminal import Ai


@pytest.mark.prove
def test_nothing_asked_is_exit_2(ai: Ai, with_model: Callable[..., str]) -> None:
    """Also when there is a conversation in which nothing waits."""
    with_model()
    assert ai("chat").code == 2
    ai("chat", "hello")
    assert ai("chat", "-c").code == 2


def test_an_answer_is_plain_text_in_a_pipe(ai: Ai, with_model: Callable[..., str]) -> None:
    """Only the answer is on standard output."""
    with_model(default="안녕하세요! **Hello.**")
    assert ai("chat", "hi").out == "안녕하세요! **Hello.**\n"


@pytest.mark.prove
def test_standard_input_is_added_to_the_prompt(ai: Ai, with_model: Callable[..., str]) -> None:
    """`cat file | ai chat question`."""
    with_model([("'the file' in last.content and 'sum up' in last.content", "Both were read.")])
    assert ai("chat", "sum up", stdin="the file").out == "Both were read.\n"


@pytest.mark.prove
def test_a_conversation_continues_with_what_was_said(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """`-c` takes the last conversation, `--session` any."""
    with_model([("messages | selectattr('role', 'eq', 'user') | list | length == 2", "Second.")])
    first = ai("chat", "one", "--json").json
    assert ai("chat", "-c", "two").out == "Second.\n"
    assert ai("chat", "--session", first["session"][:6], "three").code == 0
    shown = ai("sessions", "show", first["session"][:6], "--json").json
    assert [turn["role"] for turn in shown["turns"]] == ["user", "assistant"] * 3


def test_the_json_result_has_the_fixed_fields(ai: Ai, with_model: Callable[..., str]) -> None:
    """Scripts rely on these names."""
    with_model(default="Yes.")
    result = ai("chat", "really?", "--json").json
    assert result["text"] == "Yes."
    assert set(result) == {
        "session",
        "model",
        "route",
        "text",
        "tool_calls",
        "pending",
        "usage",
    }
    assert set(result["usage"]) == {
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "ttft_ms",
        "tokens_per_second",
    }


@pytest.mark.prove
def test_a_stream_of_json_is_one_event_a_line(ai: Ai, with_model: Callable[..., str]) -> None:
    """The last event is the result."""
    with_model(default="One piece after another.")
    lines = ai("chat", "go", "--json", "--stream").out.splitlines()
    events = [json.loads(line) for line in lines]
    said = "".join(event["text"] for event in events if event["event"] == "said")
    assert said == "One piece after another."
    assert events[-1]["event"] == "done"


@pytest.mark.prove
def test_ctrl_c_keeps_what_was_said(ai: Ai, with_model: Callable[..., str]) -> None:
    """Exit 130, and the conversation holds the beginning of the answer."""
    with_model(default=gguf_models.Loop("on and on "))
    with ai.start("chat", "talk") as talking:
        assert talking.stdin is not None
        assert talking.stdout is not None
        talking.stdin.close()
        heard = talking.stdout.read(40)
        talking.send_signal(signal.SIGINT)
        assert talking.wait(timeout=30) == 130
    shown = ai("sessions", "show", _only(ai), "--json").json
    last = shown["turns"][-1]
    assert last["is_interrupted"]
    assert last["content"].startswith(heard)


@pytest.mark.prove
@pytest.mark.parametrize("kind", ["truncated", "garbage"])
def test_a_broken_file_is_refused_at_once(ai: Ai, kind: str) -> None:
    """`add` says that the file is broken; nothing is registered."""
    whole = gguf_models.scripted(ai.workspace / "whole.gguf", [])
    broken = ai.workspace / "broken.gguf"
    if kind == "truncated":
        gguf_models.truncated(broken, whole)
    else:
        gguf_models.garbage(broken, magic=True)
    assert ai("models", "add", broken).code == 2
    (left,) = ai("models", "list", "--json").json["items"]
    assert left["name"] == "starter"


@pytest.mark.prove
def test_a_file_that_breaks_later_is_an_error_not_a_crash(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """The engine never sees a file whose tensors are cut off."""
    with_model()
    linked = Path(ai("models", "list", "--json").json["items"][0]["file"])
    whole = linked.read_bytes()
    linked.write_bytes(whole[: len(whole) // 2])
    asked = ai("chat", "hi")
    assert asked.code in {2, 6}
    assert "Traceback" not in asked.err


@pytest.mark.prove
def test_a_file_that_vanished_is_named(ai: Ai, with_model: Callable[..., str]) -> None:
    """The error says which file, and what to type."""
    name = with_model()
    linked = ai("models", "list", "--json").json["items"][0]["file"]
    (ai.workspace.parent / "scripted.gguf").unlink()
    asked = ai("chat", "hi")
    assert asked.code == 6
    assert linked in asked.err
    assert f"ai models rm {name}" in asked.err


@pytest.mark.prove
def test_a_conversation_that_outgrows_the_context_says_so_and_is_kept(
    ai: Ai, with_model: Callable[..., str]
) -> None:
    """Nothing is cut silently, nothing is lost."""
    with_model()
    ai("chat", "first")
    grown = ai("--set", "engine.context=512", "chat", "-c", "word " * 2000)
    assert grown.code == 2
    assert "context is 512" in grown.err
    assert len(ai("sessions", "show", _only(ai), "--json").json["turns"]) >= 2


def _only(ai: Ai) -> str:
    return ai("sessions", "list", "-q").out.strip()


@pytest.mark.prove
def test_models_are_added_listed_used_and_removed(ai: Ai, with_model: Callable[..., str]) -> None:
    """The file that was linked stays."""
    name = with_model()
    ai("models", "use", name)
    listed = ai("models", "list", "--json").json["items"]
    assert [(each["name"], each["roles"]) for each in listed] == [
        ("scripted", ["chat"]),
        ("starter", []),
    ]
    assert ai("models", "info", name, "--json").json["has_template"]
    assert ai("models", "rm", name).code == 2  # nobody is there to say yes
    assert ai("models", "rm", name, "-y").code == 0
    assert (ai.workspace.parent / "scripted.gguf").exists()
    (left,) = ai("models", "list", "--json").json["items"]
    assert left["name"] == "starter"


@pytest.mark.prove
def test_usage_is_said_on_standard_error(ai: Ai, with_model: Callable[..., str]) -> None:
    """Figures do not mix with the answer."""
    with_model(default="Fine.")
    asked = ai("chat", "--usage", "how are you?")
    assert asked.out == "Fine.\n"
    assert "generated, first after" in asked.err


def test_a_hostile_answer_cannot_steer_the_terminal(ai: Ai, with_model: Callable[..., str]) -> None:
    """Escape sequences of the model are spelled out."""
    with_model(default="\x1b[2Jgone \u202etfel")
    assert ai("chat", "hi").out == "\\u{001B}[2Jgone \\u{202E}tfel\n"


@pytest.mark.prove
def test_an_answer_of_a_schema_is_that_json(
    ai: Ai, with_model: Callable[..., str], tmp_path: Path
) -> None:
    """It can be piped into a program; the starter, too, has no other way to answer."""
    wanted = tmp_path / "schema.json"
    names = {"type": "array", "items": {"enum": ["Kim", "이"]}}
    wanted.write_text(json.dumps({"type": "object", "properties": {"names": names}}))
    with_model(default='{"names": ["Kim", "이"]}')
    asked = ai("chat", "who?", "--schema", str(wanted))
    assert json.loads(asked.out) == {"names": ["Kim", "이"]}
    assert ai("chat", "-c", "again", "--schema", str(wanted), "--json").json["tool_calls"] == []
    starter = ai("chat", "-m", "starter", "names?", "--schema", str(wanted), "--max-tokens", "400")
    assert starter.code in {0, 6}
    if starter.code == 0:
        assert set(json.loads(starter.out).get("names", [])) <= {"Kim", "이"}


@pytest.mark.prove
def test_an_answer_that_does_not_fit_is_an_error(
    ai: Ai, with_model: Callable[..., str], tmp_path: Path
) -> None:
    """Nothing half is printed: not what was cut off, and not what breaks a rule of lengths."""
    wanted = tmp_path / "schema.json"
    wanted.write_text('{"type": "string", "maxLength": 3}')
    with_model(default='"too long"')
    for options, reason in (
        ((), "is too long"),
        (("--max-tokens", "1"), "ended before its JSON was whole"),
    ):
        asked = ai("chat", "hi", "--schema", str(wanted), *options)
        assert (asked.code, asked.out) == (6, "")
        assert reason in asked.err
    assert ai("chat", "hi", "--schema", str(wanted), "--tools").code == 2
    assert ai("chat", "hi", "--schema", str(tmp_path / "none")).code == 4
    wanted.write_text("[]")
    assert ai("chat", "hi", "--schema", str(wanted)).code == 2


@pytest.mark.prove
def test_conversations_are_searched_and_exported(ai: Ai, with_model: Callable[..., str]) -> None:
    """By parts of words, Korean too; as Markdown that a fence in a file cannot break, or JSON."""
    read = gguf_models.tool_call("read_file", path="notes.md")
    said = "집세는 월요일입니다.\n\n## user\n\n```sh\n# pay\n```\n# End"
    with_model([("last.role == 'tool'", said), ("true", read)])
    (ai.workspace / "notes.md").write_text("```\nrent:\tMonday ❤️\x1b[2J\u202e\n```\n")
    session = ai("chat", "When is the rent due?", "--json").json["session"]
    for word in ("rent", "집세", "월요"):
        found = ai("sessions", "search", word, "--json").json
        assert [each["session"] for each in found["items"]] == [session]
    assert "월요일" in ai("sessions", "search", "집세").out
    assert ai("sessions", "search", "rent", "-q").out == f"{session}\n"
    assert ai("sessions", "search", "nothing of the kind").out == ""
    text = ai("sessions", "export", session[:6]).out
    assert text.startswith("# When is the rent due?\n")
    hidden = "\\u{001B}[2J\\u{202E}"
    assert f"````\n```\nrent:\tMonday ❤️{hidden}\n```\n````\n" in text
    below = said.replace("## user", "#### user").replace("# End", "### End")
    assert f"## scripted\n\n{below}\n" in text
    assert text.count("\n## user\n") == 1
    exported = ai("sessions", "export", session, "--json").json
    assert [turn["role"] for turn in exported["turns"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]


@pytest.mark.prove
def test_a_conversation_resumes_from_what_is_remembered(ai: Ai) -> None:
    """In another process; a damaged memory is read again, and `sessions rm` removes it."""
    folder = ai.home / "cache/conversations"
    asked = ai("chat", "who are you, and what are you good at? " * 8, "--json").json
    assert [file.stem for file in folder.iterdir()] == [asked["session"]]
    again = ai("chat", "-c", "thank you", "--json").json
    assert again["usage"]["cached_tokens"] >= asked["usage"]["prompt_tokens"]
    [file] = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    once_more = ai("chat", "-c", "thank you", "--json").json
    assert once_more["usage"]["cached_tokens"] == 0
    assert ai("sessions", "rm", asked["session"], "-y").code == 0
    assert list(folder.iterdir()) == []
    ai("chat", "who are you? " * 20)
    assert len(list(folder.iterdir())) == 1
    ai("--set", "engine.parked_mb=0", "chat", "-c", "who are you? " * 20)
    assert list(folder.iterdir()) == []


@pytest.mark.prove
def test_a_server_answers_in_the_place_of_a_model(ai: Ai) -> None:
    """With its key, under the name that it has for its model; the rest is as always."""
    with chat_server.scripted() as server:
        done = "data: [DONE]"
        server.answers = [
            {"content": '{"data": [{"id": "big"}]}'},
            {"lines": [event("From afar."), done]},
        ]
        url = ("--set", f"engine.url={server.url}")
        secret = {"LOCALAI_SECRET_ENGINE_API_KEY": "sk-12345678"}
        asked = ai(*url, "chat", "hi", "--json", **secret).json
        assert (asked["text"], asked["model"], asked["route"]) == ("From afar.", "big", "chat")
        assert server.headers[-1]["Authorization"] == "Bearer sk-12345678"
        assert ai(*url, "chat", "-c", "-m", "other", "again", **secret).out == "From afar.\n"
        assert [each["content"] for each in server.asked[-1]["messages"]][1:] == [
            "hi",
            "From afar.",
            "again",
        ]
        server.answers = [{"content": '{"data": [{"id": "big"}, {"id": "small"}]}'}]
        assert ai(*url, "models", "use", "small", **secret).code == 0
        listed = ai(*url, "models", "list", "--json", **secret).json["items"]
        told = [(each["name"], each["file"], each["roles"]) for each in listed[:2]]
        assert told == [("big", server.url, []), ("small", server.url, ["chat"])]
        server.answers = [{"status": 401, "content": "{}"}]
        assert "not known" in ai(*url, "models", "list", **secret).err
        refused = ai(*url, "chat", "-m", "big", "hi", **secret)
        assert (refused.code, "sk-12345678" in refused.err) == (3, False)
    gone = ai("--set", "engine.url=http://127.0.0.1:9/v1", "chat", "-m", "big", "hi")
    assert gone.code == 6


@pytest.fixture
def both(ai: Ai, with_model: Callable[..., str]) -> Ai:
    """A home with a model for questions and one for code."""
    talker, coder = (
        with_model(default="Words.", name="talker"),
        with_model(default="x", name="coder"),
    )
    assert ai("models", "use", "--chat", talker, "--code", coder).code == 0
    return ai


@pytest.mark.prove
def test_the_question_chooses_the_model(both: Ai) -> None:
    """`--explain` says why; what is named wins; a follow-up stays with who answered."""
    asked = both("chat", "write a python function that adds", "--explain", "--json")
    assert (asked.json["model"], asked.json["route"]) == ("coder", "code")
    assert "route: code, " in asked.err
    assert "python +2" in asked.err
    assert both("chat", "-c", "now shorter", "--json").json["model"] == "coder"
    assert both("chat", "-c", "a poem for my birthday", "--json").json["model"] == "talker"
    assert both("chat", "--chat", "fix my python code", "--json").json["route"] == "chat"
    assert both("chat", "--code", "hello", "--json").json["model"] == "coder"
    named = both("chat", "-m", "talker", "fix my python code", "--json").json
    assert (named["model"], named["route"]) == ("talker", "explicit")
    assert both("chat", "--code", "--chat", "hello").code == 2


@pytest.mark.prove
def test_a_model_hands_the_conversation_over(ai: Ai, with_model: Callable[..., str]) -> None:
    """From the next turn on, in that conversation alone; what a person types counts more."""
    with_model(default="It is me.", name="other")
    call = gguf_models.tool_call("switch_model", name="other")
    with_model([("last.role == 'tool'", "Done."), ("'hand over' in last.content", call)])
    assert ai("models", "use", "scripted").code == 0
    assert ai("chat", "hand over", "--json").json["model"] == "scripted"
    after = ai("chat", "-c", "who is it?", "--json").json
    assert (after["model"], after["text"]) == ("other", "It is me.")
    assert ai("chat", "-c", "--chat", "who is it?", "--json").json["model"] == "scripted"
    assert ai("chat", "who is it?", "--json").json["model"] == "scripted"


@pytest.mark.prove
def test_one_model_is_for_both(ai: Ai, with_model: Callable[..., str]) -> None:
    """Nothing is weighed where there is nothing to choose."""
    with_model(default="Yes.")
    asked = ai("chat", "fix my python code", "--explain", "--json")
    assert asked.json["route"] == "chat"
    assert "scripted is for both" in asked.err


@pytest.mark.prove
def test_a_broken_model_is_replaced_by_the_other(both: Ai, tmp_path: Path) -> None:
    """Visibly: said and logged; never where it was named."""
    whole = (tmp_path / "coder.gguf").read_bytes()
    (tmp_path / "coder.gguf").write_bytes(whole[: len(whole) // 2])
    asked = both("chat", "fix my python code", "--json")
    assert (asked.code, asked.json["model"], asked.json["route"]) == (0, "talker", "code")
    assert "coder does not answer, talker does:" in asked.err
    assert "cannot be loaded" in asked.err
    logged = (both.home / "logs/localai.log").read_text()
    assert '"model.failed-over"' in logged
    named = both("chat", "-m", "coder", "hello")
    assert (named.code, named.out) == (6, "")
    (tmp_path / "coder.gguf").unlink()
    assert "the file of coder is gone" in both("chat", "--code", "hello").err


@pytest.mark.prove
def test_a_thought_is_shown_beside_the_answer(ai: Ai, with_model: Callable[..., str]) -> None:
    """On standard error, so that a pipe has the answer alone; it is not kept."""
    with_model(default="<think>\nTwo and\x1b[2J two.\n</think>\n\nFour.")
    asked = ai("chat", "2 + 2?")
    assert (asked.out, asked.err) == ("Four.\n", "Two and\\u{001B}[2J two.\n\n")
    stream = ai("chat", "-c", "again", "--json", "--stream").out.splitlines()
    assert "thought" in [json.loads(line)["event"] for line in stream[:2]]
    assert json.loads(stream[-1])["text"] == "Four."
    assert "Two and" not in ai("sessions", "show", _only(ai)).out
