"""What of a long conversation is read."""

from hypothesis import given
from hypothesis import strategies as st

from localai.agent import window
from localai.agent.window import first_kept, room, told
from localai.infer.engine import Message, ToolCall, ToolSpec

ROOM = 400


def _words(text: str) -> int:
    return len(text.split())


def _talk(*sizes: int) -> list[Message]:
    """Questions and answers in turn, of so many words."""
    roles = ("user", "assistant")
    return [Message(roles[n % 2], "word " * size) for n, size in enumerate(sizes)]


def _taken(messages: list[Message]) -> int:
    return sum(_words(message.content) + 8 for message in messages)


def test_what_fits_is_read_whole() -> None:
    """Counted where bytes alone do not show it."""
    messages = _talk(*[30] * 10)
    assert first_kept(messages, ROOM, _words) == 0
    assert first_kept(messages, 10 * 38, _words) == 0
    assert first_kept(messages, 10 * 38 - 1, _words) > 0


def test_a_short_conversation_is_not_counted() -> None:
    """It costs nothing where it cannot matter."""

    def refuse(text: str) -> int:
        raise AssertionError(text)

    assert first_kept(_talk(5, 5, 5), ROOM, refuse) == 0


def test_half_of_the_room_is_free_afterwards() -> None:
    """So that the beginning does not move at every question."""
    messages = _talk(*[30] * 11)
    first = first_kept(messages, ROOM, _words)
    assert first == 6
    assert _taken(messages[first:]) <= ROOM // 2
    starts = {first_kept(_talk(*[30] * n), ROOM, _words) for n in range(11, 16)}
    assert starts == {6}


def test_results_and_calls_go_with_their_question() -> None:
    """No tool's answer is read without the call; calls count as words do."""
    call = ToolCall("1", "write_file", "word " * 150)
    messages = [
        *_talk(10, 10, 10),
        Message("assistant", "", (call,)),
        Message("tool", "word " * 150, tool_call_id="1"),
        Message("assistant", "done"),
        *_talk(150),
    ]
    first = first_kept(messages, ROOM, _words)
    assert messages[first].role == "user"
    assert first == 6


def test_the_last_question_stays_whatever_its_size() -> None:
    """The engine then says that it is too long."""
    assert first_kept(_talk(10, 10, 5000), ROOM, _words) == 2
    assert first_kept(_talk(5000), ROOM, _words) == 0


def test_there_is_room_to_answer() -> None:
    """A quarter of a small context, 1,024 tokens of a large one."""
    assert room(2000, 100) == 2000 - 100 - 500
    assert room(32_768, 100) == 32_768 - 100 - 1024


@given(st.lists(st.integers(0, 120), min_size=1, max_size=60))
def test_the_beginning_moves_forward_alone(sizes: list[int]) -> None:
    """As a conversation grows, and never past its last question."""
    messages = _talk(*sizes)
    before = 0
    for end in range(1, len(messages) + 1):
        first = first_kept(messages[:end], ROOM, _words)
        assert first >= before
        assert messages[first].role == "user"
        kept = messages[first:end]
        questions = sum(message.role == "user" for message in kept)
        assert _taken(kept) <= ROOM or questions == 1
        before = first


def test_a_text_is_clipped_at_its_middle_and_says_so() -> None:
    """Its beginning and its end stay, within the tokens that there are."""
    text = "".join(f"{n} " for n in range(2000))
    shorter = window.clipped(text, 300, len)
    assert len(shorter) <= 300
    assert shorter.startswith("0 1 2 ")
    assert shorter.endswith("1998 1999 ")
    assert f" of {len(text)} characters]" in shorter


def test_a_text_that_fits_is_whole_and_one_without_room_is_named() -> None:
    """Nothing is clipped before it must be; nothing is left of what has no place at all."""
    assert window.clipped("short", 5, len) == "short"
    assert window.clipped("한글", 2, len) == "한글"
    assert window.clipped("long" * 100, 3, len) == "[left out: there is no room for it]"


def _tool(name: str, words: int) -> ToolSpec:
    return ToolSpec(name, "word " * words, {})


def test_tools_take_a_quarter_of_the_context_at_most_and_those_of_servers_another() -> None:
    """Of each, those that still fit, in their order: neither crowds the other out."""
    others = [_tool(f"files.t{n}", 20) for n in range(9)]
    tools = [_tool("read_file", 20), *others, _tool("a.b", 1), _tool("write_file", 90)]
    kept = [tool.name for tool in told(tools, 4 * 100, _words)]
    assert kept[0] == "read_file"
    assert kept[-1] == "a.b"
    assert 2 < len(kept) < len(others)
    assert told(tools, 4, _words) == []


def test_tools_are_not_counted_where_the_context_is_unknown() -> None:
    """A server knows how much its models read."""

    def refuse(text: str) -> int:
        raise AssertionError(text)

    assert len(told([_tool("a.b", 9)], 0, refuse)) == 1
