"""Our answers in the shapes that OpenAI's clients read."""

from collections.abc import Sequence
from typing import Any

from localai.api import gateway_answers, gateway_errors
from localai.api.gateway_answers import Answer
from localai.infer.engine import Delta, ToolCall, Usage
from localai.rag.embeddings import Embedded

USAGE = Usage(10, 4, 3, 1.0, 1.0)
END = Delta(usage=USAGE, finish="tool_calls")


def chunks(answer: Answer, steps: Sequence[Delta]) -> list[dict[str, Any]]:
    return [chunk for step in steps for chunk in answer.chunks(("m", step))]


def test_a_whole_answer_says_everything() -> None:
    """Text, thought, calls, cost and why it ended."""
    answer = Answer("chat", 5)
    for step in (Delta(thought="hm"), Delta("hi"), Delta(tool_call=ToolCall("c", "f", "{}")), END):
        answer.take(("m", step))
    told = answer.whole()
    assert (told["object"], told["created"], told["model"]) == ("chat.completion", 5, "m")
    assert told["choices"][0]["finish_reason"] == "tool_calls"
    assert told["choices"][0]["message"] == {
        "role": "assistant",
        "content": "hi",
        "refusal": None,
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    }
    assert told["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 4},
    }


def test_calls_are_numbered_as_they_come() -> None:
    """With `one_call` there is no second one."""
    steps = [Delta(tool_call=ToolCall(name, name, "{}")) for name in ("a", "b")]
    for one_call, names in ((False, ["a", "b"]), (True, ["a"])):
        found = chunks(Answer("chat", 0, one_call=one_call), [*steps, END])
        calls = [c for each in found for c in each["choices"][0]["delta"].get("tool_calls", ())]
        assert [call["function"]["name"] for call in calls] == names
        assert [call["index"] for call in calls] == list(range(len(names)))


def test_what_is_no_call_is_text() -> None:
    """A client could do nothing with a call that has no name."""
    answer = Answer("chat", 0)
    answer.take(("m", Delta(tool_call=ToolCall("c", "", '{"nam'))))
    message = answer.whole()["choices"][0]["message"]
    assert (message["content"], "tool_calls" in message) == ('{"nam', False)


def test_the_cost_comes_only_where_it_was_asked_for() -> None:
    """In a last chunk without a choice; the others say that theirs is not known."""
    silent, told = Answer("chat", 0), Answer("chat", 0, tells_usage=True)
    assert all("usage" not in chunk for chunk in chunks(silent, [Delta("a"), END]))
    *others, last = chunks(told, [Delta("a"), END])
    assert {chunk["usage"] for chunk in others} == {None}
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 13)


def test_the_older_kind_has_texts() -> None:
    """And no roles."""
    found = chunks(Answer("text", 0), [Delta("a"), Delta("b"), END])
    assert [chunk["choices"][0]["text"] for chunk in found] == ["a", "b", ""]
    assert {chunk["object"] for chunk in found} == {"text_completion"}


def test_vectors_are_packed_as_little_endian_floats() -> None:
    """Which is what OpenAI's client unpacks."""
    found = Embedded("m", [[1.0, -0.5]], 3, 0)
    told = gateway_answers.embeddings(found, is_base64=True)
    assert told["data"][0]["embedding"] == "AACAPwAAAL8="
    assert told["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


def test_a_problem_is_told_with_the_field_that_is_meant() -> None:
    """What is not valid is 400 there; only what begins with a field's path names one."""
    problem = {"status": 422, "detail": "stop: a string", "hint": None, "category": "invalid"}
    assert gateway_errors.status_of(problem) == 400
    assert gateway_errors.told(problem)["error"] == {
        "message": "stop: a string",
        "type": "invalid_request_error",
        "param": "stop",
        "code": "invalid",
    }
    full = {"status": 503, "detail": "m: busy", "hint": "wait", "category": "unavailable"}
    error = gateway_errors.told(full)["error"]
    assert (error["message"], error["type"], error["param"]) == (
        "m: busy (wait)",
        "server_error",
        None,
    )
