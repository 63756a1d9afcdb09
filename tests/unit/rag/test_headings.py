"""The headings of light markups."""

import pytest

from localai.rag.chunks import chunk
from localai.rag.headings import headings
from localai.rag.sources import Kind

TITLED = """\
========
 Manual
========

Intro.

Kettle
======

Vinegar.

여권
----

Lost.

Trains
======

Nine.
"""


def outline(text: str, kind: Kind) -> list[tuple[int, str]]:
    """Level and title of each heading."""
    return [(each.level, each.title) for each in headings(text, kind)]


def test_levels_of_restructured_text_follow_their_first_use() -> None:
    """Its underlines have no order of their own; one with an overline is another style."""
    assert outline(TITLED, "rst") == [(1, "Manual"), (2, "Kettle"), (3, "여권"), (2, "Trains")]


def test_a_passage_of_restructured_text_has_its_lines_and_path() -> None:
    """The underline belongs to the heading, the overline too."""
    pieces = chunk(TITLED, "rst", "a.rst")
    assert [(each.start_line, each.end_line, each.title) for each in pieces] == [
        (1, 5, "a.rst › Manual"),
        (7, 10, "a.rst › Manual › Kettle"),
        (12, 15, "a.rst › Manual › Kettle › 여권"),
        (17, 20, "a.rst › Manual › Trains"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a paragraph\nof two lines\n============\n",
        "before\n\n----\n\nafter\n",
        "Title\n==\n\ntext\n",
        "====  ====\nA     B\n====  ====\n1     2\n====  ====\n",
        "+---+\n| a |\n+---+\n",
        "::\n\n    Title\n    =====\n",
        "Title\n-=-=-\n",
        "=====\n=====\n",
        "=====",
        "",
    ],
)
def test_not_every_line_of_marks_makes_a_heading(text: str) -> None:
    """Transitions, tables, quoted text and slips are none."""
    assert outline(text, "rst") == []


def test_underlined_headings_of_markdown_are_headings() -> None:
    """Beside those that are marked by a hash."""
    text = "Top\n===\n\n## Two\nPart\n----\ntext\n\n  Last  \n---\n"
    assert outline(text, "markdown") == [(1, "Top"), (2, "Two"), (2, "Part"), (2, "Last")]


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: a\n---\n",
        "two\nlines\n---\n",
        "- item\n---\n",
        "1. item\n---\n",
        "> quoted\n---\n",
        "| a | b |\n---\n",
        "text\n\n---\n\nmore\n",
        "```\ncode\n----\n```\n",
        "```\n```\n---\n",
        "    code\n---\n",
        "a\n-\n",
        "a\n- - -\n",
        "<div>\n---\n",
    ],
)
def test_a_line_of_dashes_is_mostly_no_heading(text: str) -> None:
    """It parts paragraphs, ends lists and tables, and frames what is about the file."""
    assert outline(text, "markdown") == []


def test_headings_of_asciidoc_stand_outside_of_blocks() -> None:
    """Listings and comments may hold anything."""
    text = "= Top\n\n----\n== no\n----\n\n== Two\n////\n== no\n////\n====\n=== Three\n====\n==no\n"
    assert outline(text, "asciidoc") == [(1, "Top"), (2, "Two"), (3, "Three")]


def test_headings_of_org_stand_at_the_margin() -> None:
    """An indented star is an item of a list, and a block holds what it likes."""
    text = "* Top\n ** no\n** Two :tag:\n#+BEGIN_SRC c\n* no\n#+END_SRC\n*bold*\n* End\n"
    assert outline(text, "org") == [(1, "Top"), (2, "Two :tag:"), (1, "End")]


@pytest.mark.parametrize("kind", ["markdown", "rst", "asciidoc", "org"])
@pytest.mark.parametrize(
    "unit", ["\n", "=", "==\n", "a\n==\n", "---\n", "* ", "= a\n", "----\n", "#+begin_src\n", " \n"]
)
def test_a_hostile_text_is_read_in_linear_time(unit: str, kind: Kind) -> None:
    """A quadratic pattern would hang here for minutes, and the suite with it."""
    text = unit * (300_000 // len(unit)) + "\n\nx"
    assert all(len(each.title) <= 200 for each in headings(text, kind))
