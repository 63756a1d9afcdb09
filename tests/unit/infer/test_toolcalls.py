"""The stream's tool calls."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from localai.infer.engine import ToolCall
from localai.infer.toolcalls import ToolCallParser, read_call

CALL = '<tool_call>\n{"name": "write_file", "arguments": {"path": "a.txt"}}\n</tool_call>'


def _read(*pieces: str) -> list[str | tuple[str, str]]:
    """Text joined where it touches, calls as (name, arguments)."""
    parser = ToolCallParser()
    found: list[str | tuple[str, str]] = []
    for part in [each for piece in pieces for each in parser.feed(piece)] + [*parser.finish()]:
        if isinstance(part, ToolCall):
            found.append((part.name, part.arguments))
        elif found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return found


def test_text_without_a_tag_passes_at_once() -> None:
    """Nothing is held back that cannot begin a tag."""
    parser = ToolCallParser()
    assert list(parser.feed("a < b and <tool")) == ["a < b and "]
    assert list(parser.feed("box>")) == ["<toolbox>"]
    assert list(parser.finish()) == []


def test_a_call_is_found_between_texts() -> None:
    """Its arguments are the model's own letters."""
    assert _read(f"Let me.\n{CALL}\nDone.") == [
        "Let me.\n",
        ("write_file", '{"path": "a.txt"}'),
        "Done.",
    ]


def test_several_calls_leave_no_blank_text_between_them() -> None:
    """The line breaks around tags are not part of the answer."""
    call = ("write_file", '{"path": "a.txt"}')
    assert _read(f"{CALL}\n{CALL}\n") == [call, call]


@given(st.lists(st.integers(0, len(CALL) + 10), max_size=8))
def test_a_call_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    """Tokens end anywhere."""
    text = f"Hello {CALL} bye"
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert _read(*pieces) == ["Hello ", ("write_file", '{"path": "a.txt"}'), "bye"]


@given(st.text(alphabet='<tool_call>/ab{}":', max_size=60))
def test_no_text_is_lost_outside_calls(text: str) -> None:
    """Without an opening tag, what goes in comes out."""
    assume("<tool_call>" not in text)
    assert "".join(map(str, _read(*text))) == text


def test_an_unclosed_call_is_a_call() -> None:
    """Small models forget the closing tag; half a call is refused by its arguments."""
    assert _read('<tool_call>{"name": "f", "arguments": {}}') == [("f", "{}")]
    assert _read('<tool_call>{"name": "f", "argu') == [("f", '{"name": "f", "argu')]


@pytest.mark.parametrize(
    ("raw", "name", "arguments"),
    [
        ('{"name": "f", "arguments": {"b": 1,  "a": [2]}}', "f", '{"b": 1,  "a": [2]}'),
        ('{"arguments": "{}", "name": "f"}', "f", '"{}"'),
        ('{"name": "f", "parameters": {"x": 1}}', "f", '{"x": 1}'),
        ('{"name": "f"}', "f", "{}"),
        (' {\n"name" :\t"f" , "arguments" : {"k":"값"} } ', "f", '{"k":"값"}'),
    ],
)
def test_arguments_are_kept_as_written(raw: str, name: str, arguments: str) -> None:
    """Neither order nor spaces change."""
    call = read_call(raw)
    assert (call.name, call.arguments) == (name, arguments)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("", ""),
        ("write a file", ""),
        ("{}", ""),
        ("[1]", ""),
        ('{"name": 7, "arguments": {}}', ""),
        ('{1: 2, "name": "f"}', "f"),
        ('{"name": "f", "arguments": {}', "f"),
        ('{"name": "f", "arguments": {}} and more', "f"),
        ('{"name": "f", "name": "g", "arguments": {}}', "f"),
        ('{"name": "f" "arguments": {}}', "f"),
        ('{"name": "f", "arguments": ' + "[" * 100_000, "f"),
    ],
)
def test_a_malformed_call_carries_the_whole_text(raw: str, name: str) -> None:
    """The caller refuses it; it is neither repaired nor shown."""
    call = read_call(raw)
    assert (call.name, call.arguments) == (name, raw)


def test_calls_have_ids_of_their_own() -> None:
    """Results are matched by them."""
    assert read_call("{}").id != read_call("{}").id
