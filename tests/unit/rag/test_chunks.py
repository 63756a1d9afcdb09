"""Text to chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.rag.chunks import MAX_KOREAN, MAX_LATIN, Chunk, chunk
from localai.rag.sources import Kind

PIECES = st.sampled_from(
    ["# One\n", "## Two\n", "\n", "\n\n", "word ", "가나다라. ", "x" * 1500, "\t", "```\n", "    "]
    + ["def f():\n", "a sentence ends. ", "#", "\u3000", "\x0b", "line\n", "}\n", "긴" * 700]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)
KINDS: st.SearchStrategy[Kind] = st.sampled_from(["markdown", "text", "code"])


def lines_of(text: str, piece: Chunk) -> str:
    """The lines that the chunk names."""
    return "\n".join(text.split("\n")[piece.start_line - 1 : piece.end_line])


@given(TEXTS, KINDS)
def test_a_chunk_is_found_in_the_lines_that_it_names(text: str, kind: Kind) -> None:
    """Its first and last line are the first and last that hold any of it."""
    for piece in chunk(text, kind, "f"):
        lines = lines_of(text, piece)
        assert piece.text in lines
        assert piece.text.count("\n") == piece.end_line - piece.start_line


@given(TEXTS, KINDS)
def test_chunks_are_short_in_order_and_never_blank(text: str, kind: Kind) -> None:
    """The embedding model reads the whole of every chunk."""
    pieces = chunk(text, kind, "f")
    assert all(0 < len(piece.text.strip()) <= len(piece.text) <= MAX_LATIN for piece in pieces)
    starts = [piece.start_line for piece in pieces]
    assert starts == sorted(starts)


@given(TEXTS)
def test_plain_text_loses_nothing_but_blanks(text: str) -> None:
    """Every word of a text is in exactly one chunk."""
    kept = "".join(piece.text for piece in chunk(text, "text", "f"))
    assert "".join(kept.split()) == "".join(text.split())


def test_a_title_is_the_file_and_the_headings_above() -> None:
    """A chunk says where it stands, without the text around it."""
    text = "intro\n\n# A\ntext a\n\n## B ##\ntext b\n\n### C\ntext c\n\n## D\ntext d\n"
    titles = [piece.title for piece in chunk(text, "markdown", "x.md")]
    assert titles == [
        "x.md",
        "x.md \u203a A",
        "x.md \u203a A \u203a B",
        "x.md \u203a A \u203a B \u203a C",
        "x.md \u203a A \u203a D",
    ]


def test_the_title_is_indexed_with_the_text_and_not_shown_as_text() -> None:
    """A question that names the heading finds the passage below it."""
    [piece] = chunk("plain words", "text", "notes.txt")
    assert (piece.text, piece.indexed) == ("plain words", "notes.txt\nplain words")


def test_a_hash_inside_a_fence_is_no_heading() -> None:
    """Shell comments are code."""
    text = "# Real\n\n```sh\n# comment\n~~~\n# more\n```\n\nafter\n"
    assert [piece.title for piece in chunk(text, "markdown", "f")] == ["f \u203a Real"]


def test_a_hash_in_code_and_plain_text_is_no_heading() -> None:
    """Only Markdown has headings."""
    assert [piece.title for piece in chunk("# note\nx = 1\n", "code", "f.py")] == ["f.py"]


def test_a_heading_with_only_deeper_headings_below_makes_no_chunk() -> None:
    """Its words are in their titles already."""
    text = "# Guide\n\n## Start\nrun it\n"
    assert [piece.text for piece in chunk(text, "markdown", "f")] == ["## Start\nrun it"]


def test_a_heading_with_nothing_below_is_kept() -> None:
    """An outline of headings can still be found."""
    text = "# One\n# Two\n"
    assert [piece.text for piece in chunk(text, "markdown", "f")] == ["# One", "# Two"]


def test_paragraphs_are_packed_together_and_never_cut_if_they_fit() -> None:
    """A chunk ends where a paragraph does."""
    paragraphs = [f"{letter * 395}." for letter in "abcde"]
    pieces = chunk("\n\n".join(paragraphs), "text", "f")
    assert [piece.text for piece in pieces] == [
        "\n\n".join(paragraphs[0:2]),
        "\n\n".join(paragraphs[2:4]),
        paragraphs[4],
    ]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    """Half a sentence answers nothing."""
    sentence = "This sentence has exactly a few words in it. "
    pieces = chunk(sentence * 60, "text", "f")
    assert all(piece.text.endswith("it.") for piece in pieces)
    assert len(pieces) == 3


def test_korean_chunks_are_shorter() -> None:
    """A Korean syllable says more than a Latin letter."""
    pieces = chunk("가나다라 마바사아. " * 200, "text", "f")
    assert max(len(piece.text) for piece in pieces) <= MAX_KOREAN


def test_a_line_without_a_space_is_cut_all_the_same() -> None:
    """Minified code must not become one giant passage."""
    pieces = chunk("x" * 2500, "code", "f.js")
    assert [len(piece.text) for piece in pieces] == [1000, 1000, 500]
    assert {(piece.start_line, piece.end_line) for piece in pieces} == {(1, 1)}


def test_code_is_cut_before_definitions_at_the_margin() -> None:
    """A blank line inside a function is a worse place to cut."""
    body = "\n\n".join(f"    step_{n}()" for n in range(30))
    code = "\n\n".join(f"def f{n}():\n{body}\n" for n in range(4))
    pieces = chunk(code, "code", "f.py")
    assert all(piece.text.startswith("def f") for piece in pieces)


def test_an_indent_before_the_first_word_is_kept() -> None:
    """A piece of Python without its indent is another program."""
    [piece] = chunk("\n\n    indented\n", "code", "f.py")
    assert (piece.text, piece.start_line) == ("    indented", 3)


def test_what_is_left_of_a_long_part_joins_the_part_after_it() -> None:
    """No crumbs of one line stand alone where they fit elsewhere."""
    long = "\n".join(f"line number {n} of a long list" for n in range(40))
    pieces = chunk(f"{long}\n\nThe end.", "text", "f")
    assert pieces[-1].text.endswith("list\n\nThe end.")


def test_a_heading_without_end_is_cut_in_titles() -> None:
    """It would be copied into every passage below it; the text itself keeps it whole."""
    first, second = chunk(f"# {'a' * 5000}\nx\n## b\ny", "markdown", "f")[-2:]
    assert first.title == f"f \u203a {'a' * 200}"
    assert second.title == f"{first.title} \u203a b"


@pytest.mark.parametrize("unit", ["\n", " \n", "# ", "#", "\n \t", "` ", "```\n", ". ", "\n\n  x"])
@pytest.mark.parametrize("kind", ["markdown", "code"])
def test_a_hostile_text_is_read_in_linear_time(unit: str, kind: Kind) -> None:
    """A quadratic pattern would hang here for minutes, and the suite with it."""
    text = unit * (300_000 // len(unit)) + "x"
    assert chunk(text, kind, "f")[-1].text.endswith("x")


@pytest.mark.parametrize("name", ["0417.txt", "2024-11-22.pdf", "42"])
def test_a_name_that_is_a_number_is_shown_and_not_embedded(name: str) -> None:
    """It says nothing about the text."""
    [piece] = chunk("The rent is due.", "text", name)
    assert (piece.title, piece.indexed) == (name, "The rent is due.")
