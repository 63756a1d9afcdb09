"""Calls that small models write badly."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.agent.repair import mended
from localai.infer.engine import ToolCall, ToolSpec

_READ = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_RUN = {
    "type": "object",
    "properties": {
        "argv": {"type": "array", "items": {"type": "string"}},
        "cwd": {"type": "string"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "all": {"type": "boolean"},
    },
    "required": ["argv"],
}
_TOOLS = (ToolSpec("read_file", "Read.", _READ), ToolSpec("run_command", "Run.", _RUN))


def _mended(name: str, arguments: str) -> tuple[str, Any]:
    call = mended(ToolCall("call_1", name, arguments), _TOOLS)
    return call.name, json.loads(call.arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        "{'path': 'a.txt'}",
        '{"path": "a.txt",}',
        '{path: "a.txt"}',
        '```json\n{"path": "a.txt"}\n```',
        '"{\\"path\\": \\"a.txt\\"}"',
        '{"Path": "a.txt"}',
        '{"name": "read_file", "arguments": {"path": "a.txt"}}',
        "{'name': 'read_file', 'parameters': {'path': 'a.txt'}}",
    ],
)
def test_what_has_one_reading_is_read(arguments: str) -> None:
    """Quotes, commas, fences, a call inside of a call."""
    assert _mended("read_file", arguments) == ("read_file", {"path": "a.txt"})


@pytest.mark.parametrize("name", ["Read-File", "readFile", "functions.read_file", "READ FILE"])
def test_a_name_is_known_by_its_letters(name: str) -> None:
    """Where one tool alone has them."""
    assert _mended(name, '{"path": "a"}')[0] == "read_file"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"argv": "ls"}, {"argv": ["ls"]}),
        ({"argv": '["ls", "-l"]'}, {"argv": ["ls", "-l"]}),
        ({"argv": ["ls"], "count": "5"}, {"argv": ["ls"], "count": 5}),
        ({"argv": ["ls"], "share": "0.5"}, {"argv": ["ls"], "share": 0.5}),
        ({"argv": ["ls"], "all": "True"}, {"argv": ["ls"], "all": True}),
        ({"argv": ["ls"], "cwd": None}, {"argv": ["ls"]}),
    ],
)
def test_a_value_is_put_into_the_type_that_is_taken(
    written: dict[str, Any], read: dict[str, Any]
) -> None:
    """Numbers as text, a list as text; null is no value."""
    assert _mended("run_command", json.dumps(written)) == ("run_command", read)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"path": "a.txt", "path": "b.txt"}',
        '{"path": "half of a fi',
        '{"path": "a.txt"',
        '{"path": NaN}',
        '{"n": 9007199254740993}',
        "no call at all",
        "",
        "[]",
        "{" * 5000,
        "{" + "a" * 200_000 + "}",
    ],
)
def test_what_has_two_readings_or_none_stays_as_it_is(arguments: str) -> None:
    """For an answer that says what is wrong with it; nothing is guessed, nothing completed."""
    call = ToolCall("call_1", "read_file", arguments)
    assert mended(call, _TOOLS) == call


def test_values_that_fit_nothing_are_left_for_the_check() -> None:
    """The tool says what it takes."""
    assert _mended("run_command", '{"argv": ["ls"], "count": "many", "all": "perhaps"}')[1] == {
        "argv": ["ls"],
        "count": "many",
        "all": "perhaps",
    }


def test_two_spellings_of_one_argument_are_not_made_one() -> None:
    """Which of them was meant nobody knows."""
    given = '{"path": "a", "PATH": "b"}'
    assert _mended("read_file", given)[1] == {"path": "a", "PATH": "b"}


def test_an_unknown_tool_keeps_its_name() -> None:
    """The answer names the nearest ones."""
    assert _mended("fly_away", '{"path": "a"}') == ("fly_away", {"path": "a"})


@given(st.dictionaries(st.sampled_from(["path", "cwd", "x"]), st.text(), max_size=3))
def test_a_well_written_call_is_never_touched(arguments: dict[str, str]) -> None:
    """Not even in its spelling: what the model wrote is what is kept."""
    call = ToolCall("call_1", "read_file", json.dumps(arguments))
    assert mended(call, _TOOLS) == call


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    """Whatever a model writes, a call comes back."""
    assert mended(ToolCall("call_1", text, text), _TOOLS).id == "call_1"
