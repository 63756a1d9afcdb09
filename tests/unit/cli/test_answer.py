"""Where a Markdown block ends, and what a pipe gets."""

from io import StringIO

import pytest
from rich.console import Console
from rich.markdown import Markdown

from localai.cli.answer import PlainAnswer
from localai.cli.markdown import Newest, finished


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("", ""),
        ("one line", ""),
        ("one line\n", ""),
        ("a paragraph\n\nthe next", "a paragraph\n\n"),
        ("```python\nx = 1\n\ny = 2\n", ""),
        ("```python\nx = 1\n\ny = 2\n```\nafter", "```python\nx = 1\n\ny = 2\n```\n"),
        ("~~~\na\n~~~\n", "~~~\na\n~~~\n"),
        ("before\n\n```\nopen\n", "before\n\n"),
        ("한글 문단\n\n다음", "한글 문단\n\n"),
    ],
)
def test_a_block_is_finished_by_a_blank_line_or_a_closed_fence(text: str, block: str) -> None:
    """A blank line inside a fence ends nothing."""
    assert text[: finished(text)] == block


def test_a_plain_answer_ends_its_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether or not the model did, and also when it pauses for a question."""
    with PlainAnswer() as shown:
        shown.add("one")
        shown.rest()
        shown.add("two\n")
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_block_taller_than_the_screen_shows_what_is_being_written() -> None:
    """A long listing does not stop moving at the bottom of the screen."""
    screen = StringIO()
    console = Console(width=20, height=5, file=screen)
    console.print(Newest(Markdown("\n\n".join(f"line {number}" for number in range(20)))))
    shown = screen.getvalue()
    assert "line 19" in shown
    assert "line 0" not in shown
    assert shown.count("\n") == 4
