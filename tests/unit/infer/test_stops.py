"""An answer ends before a stop, wherever tokens cut it."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from localai.infer.answer import Score, deltas
from localai.infer.demanded import called, demand
from localai.infer.engine import Delta, Message, ToolSpec, Usage
from localai.infer.toolcalls import CLOSE, OPEN

PIECES = st.lists(st.text("abx ", min_size=1, max_size=4), max_size=12)
STOPS = st.lists(st.text("abx", min_size=1, max_size=3), min_size=1, max_size=4)
USAGE = Usage(1, 0, 1, 1.0, 1.0)


def first_of(text: str, stops: list[str]) -> str:
    """The text before the stop that is whole first, all of it where none comes."""
    found = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    return text[: min(found)[1]] if found else text


@settings(max_examples=2_000 if os.environ.get("PROVE") else 100, deadline=None)
@given(PIECES, STOPS)
def test_no_more_is_said_than_before_the_first_stop(pieces: list[str], stops: list[str]) -> None:
    """And no less, and nothing that is taken back."""
    score = Score()
    found = list(deltas(pieces, score, with_tools=False, stops=stops))
    said = "".join(delta.text for delta in found)
    assert said == first_of("".join(pieces), stops)
    assert (found[-1].finish == "stop") == (said != "".join(pieces))


def test_nothing_more_is_computed_after_a_stop() -> None:
    """The engine is not asked for another token."""
    pieces = iter(["one two", " three", " four"])
    list(deltas(pieces, Score(), with_tools=False, stops=["two"]))
    assert next(pieces) == " three"


def test_a_stop_within_a_call_ends_nothing() -> None:
    """What is held back before a call is said before it."""
    call = f'{OPEN}{{"name": "f", "arguments": {{"a": "stop"}}}}{CLOSE}'
    found = list(deltas(["sto", call], Score(finish="stop"), with_tools=True, stops=["stop"]))
    assert [each.text for each in found if each.text] == ["sto"]
    assert [each.tool_call.name for each in found if each.tool_call] == ["f"]
    assert found[-1].finish == "tool_calls"


def test_a_demanded_call_is_read_or_shown_as_it_is() -> None:
    """One that was cut off is text, for its maker to see."""
    tool = ToolSpec("f", "Does it.", {"type": "object"})
    messages, form = demand([Message("user", "hi")], [tool])
    assert (messages[0].role, form.schema is not None) == ("system", True)
    for text, finish, name in (
        ('{"name": "f", "arguments": {}}', "stop", "f"),
        ('{"name": "f", "arg', "length", None),
    ):
        end = Delta(usage=USAGE, finish=finish)  # type: ignore[arg-type]
        found = list(called(each for each in (Delta(text[:9]), Delta(text[9:]), end)))
        assert found[0].tool_call is None if name is None else found[0].tool_call is not None
        assert found[-1].finish == ("tool_calls" if name else "length")
