"""The grammars as text, and where the one for calls begins."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.infer.engine import ToolSpec
from localai.infer.grammar import Opening, citations, tool_calls

TAG = "<tool_call>"
CALL = f'{TAG}\n{{"name": "f", "arguments": {{"a": "{TAG}"}}}}\n</tool_call>'


def _begins(*pieces: str) -> list[int]:
    """The pieces at whose end a call begins."""
    opening = Opening()
    return [n for n, piece in enumerate(pieces) if opening.feed(piece.encode())]


def test_a_call_begins_after_its_tag() -> None:
    """However the tokens cut it, white space after it or not."""
    assert _begins("Well. ", TAG, '{"') == [1]
    assert _begins("Well. <", "tool", "_ca", "ll>", "\n") == [3]
    assert _begins("<tool_call>\n", "{") == [0]
    assert _begins(*TAG) == [len(TAG) - 1]


def test_text_in_the_same_token_spoils_the_beginning() -> None:
    """It was not checked; the next call is another matter."""
    assert _begins('<tool_call>{"', 'name": 1}', "</tool_call>", "\n", TAG) == [4]
    assert _begins('<tool_call>{"a": "', TAG, '"}') == []
    assert _begins(f"{CALL}{TAG}") == [0]


@pytest.mark.parametrize("text", ["tool_call>", "<tool_call", "< tool_call>", "<tool_calls>", ""])
def test_what_is_no_tag_begins_nothing(text: str) -> None:
    """Nor does a tag in a call's own text."""
    assert _begins(*text) == []
    assert _begins(text, text) == []


@given(st.lists(st.integers(0, len(CALL)), max_size=8))
def test_one_call_begins_at_most_once(cuts: list[int]) -> None:
    """At the piece that ends its tag, if that ends there."""
    edges = [0, *sorted(cuts), len(CALL)]
    found = _begins(*(CALL[a:b] for a, b in pairwise(edges)))
    expected = [n for n, end in enumerate(edges[1:]) if end in {len(TAG), len(TAG) + 1}]
    assert found == expected[:1]


@pytest.mark.parametrize("last", [1, 2, 5, 9, 10, 11, 19, 20, 37, 99, 100, 101, 250])
def test_a_citation_names_one_of_the_passages(last: int) -> None:
    """Every number from 1 on, and no other."""
    number = citations(last).rpartition("number ::= ")[2]
    pattern = re.compile(re.sub(r'[" ]', "", number))
    cited = [n for n in range(1100) if pattern.fullmatch(str(n))]
    assert cited == list(range(1, last + 1))
    assert not pattern.fullmatch("01")


def test_each_tool_stands_in_the_grammar_with_its_own_arguments() -> None:
    """Its name first."""
    flag = {"type": "object", "properties": {"f": {"type": "boolean"}}, "required": ["f"]}
    text = tool_calls([ToolSpec("one", "", flag), ToolSpec('t"wo', "", {})])
    assert r'"\"one\"" s "," s "\"arguments\"" s ":" s r' in text
    assert r'"\"t\\\"wo\"" s "," s "\"arguments\"" s ":" s object s' in text
    assert r'"\"f\"" s ":" s boolean s "}"' in text
    assert text.startswith("root ::= ")
