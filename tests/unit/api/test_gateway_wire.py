"""What OpenAI's clients send, read as conversations, tools and forms."""

import os
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localai.api import gateway_wire as wire
from localai.core.errors import Invalid
from localai.infer.engine import Message, Sampling, ToolCall

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
PARTS = ["role", "content", "type", "text", "function", "tool_calls", "id", "name"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=8),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8), each, max_size=3)
    ),
    max_leaves=4,
)
NAMES = [
    *("model", "messages", "tools", "tool_choice", "response_format", "stop", "stream"),
    *("stream_options", "n", "seed", "temperature", "top_p", "max_tokens", "modalities"),
    *("reasoning_effort", "parallel_tool_calls", "logit_bias", "prompt", "echo"),
]


def chat(**given: Any) -> wire.Wanted:
    return wire.chat({"model": "m", "messages": HELLO} | given)


def test_each_role_and_each_kind_of_content_is_read() -> None:
    """A developer is who OpenAI calls the system now; text parts are one text."""
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": parts, "name": "mina"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
    ]
    assert chat(messages=messages).asked.messages == [
        Message("system", "Be brief."),
        Message("user", "one two", name="mina"),
        Message("assistant", "", tool_calls=(ToolCall("c1", "add", '{"a": 1}'),)),
        Message("tool", "2", tool_call_id="c1"),
    ]


def test_what_steers_the_answer_is_read() -> None:
    """And what is null is not there."""
    wanted = chat(
        temperature=0, top_p=0.5, seed=7, max_tokens=9, stop="end", reasoning_effort="none", n=None
    )
    assert wanted.asked.sampling == Sampling(temperature=0, max_tokens=9, seed=7, top_p=0.5)
    assert (wanted.asked.form.stops, wanted.asked.form.thinks) == (("end",), False)
    assert (wanted.is_stream, wanted.tells_usage, wanted.one_call) == (False, False, False)
    streamed = chat(stream=True, stream_options={"include_usage": True}, parallel_tool_calls=False)
    assert (streamed.is_stream, streamed.tells_usage, streamed.one_call) == (True, True, True)


@pytest.mark.parametrize(
    ("choice", "names", "must_call"),
    [
        (None, ["add", "sub"], False),
        ("auto", ["add", "sub"], False),
        ("none", [], False),
        ("required", ["add", "sub"], True),
        ({"type": "function", "function": {"name": "sub"}}, ["sub"], True),
    ],
)
def test_the_choice_of_tools_is_kept(choice: Any, names: list[str], must_call: bool) -> None:
    """A model that must call one tool is told of no other."""
    other = {"type": "function", "function": {"name": "sub", "description": "Less."}}
    asked = chat(tools=[TOOL, other], tool_choice=choice).asked
    assert [tool.name for tool in asked.tools] == names
    assert asked.must_call == must_call


def test_a_schema_is_told_and_held_to() -> None:
    """After the client's own instruction, which stays the first."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    asked = chat(messages=messages, response_format=form).asked
    assert asked.form.schema == schema
    assert asked.messages[0].content.startswith("Be brief.\n\nAnswer with one JSON value")
    assert chat(response_format={"type": "json_object"}).asked.form.schema == {"type": "object"}
    assert chat(response_format={"type": "text"}).asked.form.schema is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"messages": "hello"}, "messages: "),
        ({"messages": ["hello"]}, "messages.0: "),
        ({"messages": [{"role": "user"}]}, "messages.0.content: "),
        ({"messages": [{"role": "tool", "content": "2"}]}, "messages.0.tool_call_id: "),
        ({"model": 5}, "model: "),
        ({"stream": "yes"}, "stream: "),
        ({"seed": 1.5}, "seed: "),
        ({"seed": True}, "seed: "),
        ({"top_p": 2}, "top_p: "),
        ({"stop": [""]}, "stop: "),
        ({"stop": 5}, "stop: "),
        ({"audio": {"voice": "a"}}, "audio: "),
        ({"functions": [{"name": "old"}]}, "functions: "),
        ({"tools": [{"type": "custom"}]}, "tools.0.type: "),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name: "),
        ({"tools": [TOOL], "response_format": {"type": "json_object"}}, "tools: "),
        ({"tools": [TOOL], "tool_choice": {"function": {"name": "sub"}}}, "tool_choice: "),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema: "),
    ],
)
def test_what_is_wrong_is_named_by_its_path(wrong: dict[str, Any], told: str) -> None:
    """So that whoever wrote the client finds it."""
    with pytest.raises(Invalid) as refused:
        chat(**wrong)
    assert refused.value.message.startswith(told)


def test_a_schema_that_points_elsewhere_is_refused() -> None:
    """Nothing is fetched for a stranger."""
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1/a.json"}}}
    with pytest.raises(Invalid, match="nothing is fetched"):
        chat(response_format={"type": "json_schema", "json_schema": {"schema": schema}})


def test_a_text_is_one_message_and_a_short_answer() -> None:
    """As OpenAI's older kind of completion has it."""
    asked = wire.completion({"model": "m", "prompt": ["hello"]}).asked
    assert (asked.messages, asked.sampling.max_tokens) == ([Message("user", "hello")], 16)
    for wrong in ({"prompt": ["a", "b"]}, {"echo": True}, {"best_of": 2}, {"suffix": "x"}, {}):
        with pytest.raises(Invalid):
            wire.completion({"model": "m"} | wrong)


@settings(max_examples=1_000 if os.environ.get("PROVE") else 40, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4),
    st.lists(st.dictionaries(st.sampled_from(PARTS), JSON, max_size=4), max_size=2),
)
def test_whatever_comes_is_read_or_refused(body: dict[str, Any], messages: list[Any]) -> None:
    """A stranger's JSON raises nothing but Invalid."""
    for read in (wire.chat, wire.completion):
        for given_ in (body, {"model": "m", "messages": HELLO, "prompt": "a"} | body):
            for whole in (given_, given_ | {"messages": messages}, given_ | {"tools": messages}):
                with suppress(Invalid):
                    read(whole)
