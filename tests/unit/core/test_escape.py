"""Nothing that a terminal would obey or hide reaches it."""

import random
import sys
import unicodedata

import pytest

from localai.core.escape import is_mixed_script, visible

EVERY_CHARACTER = [chr(code) for code in range(sys.maxunicode + 1)]
REFUSED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.fixture(scope="module")
def shown() -> list[str]:
    """Every character as it is shown when it stands alone."""
    return [visible(char) for char in EVERY_CHARACTER]


def _refused(text: str) -> set[str]:
    return {char for char in set(text) if unicodedata.category(char) in REFUSED}


def test_no_control_or_format_character_leaves(shown: list[str]) -> None:
    """All 1,114,112 code points, one by one: no C0, C1, Cf, surrogate or separator is left."""
    assert len(shown) == 1_114_112
    assert _refused("".join(shown)) == set()


def test_with_lines_only_the_newline_is_left() -> None:
    """Text that keeps its lines keeps nothing else that moves the cursor."""
    assert _refused(visible("".join(EVERY_CHARACTER), lines=True)) == {"\n"}


def test_a_text_is_escaped_character_by_character(shown: list[str]) -> None:
    """A neighbour changes nothing, so that nothing hides beside something harmless."""
    places = random.Random(7).choices(range(len(shown)), k=20_000)
    text = "".join(EVERY_CHARACTER[place] for place in places)
    assert visible(text) == "".join(shown[place] for place in places)


def test_every_escape_names_its_character(shown: list[str]) -> None:
    """What was escaped can be told apart: no two characters look the same."""
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize(
    "text",
    [
        "rm -rf build && make",
        "한국어 문장입니다.",
        "日本語　テキスト",
        "naïve café – “quoted” … €",
        "e\u0301 combining",
        "😀 🇰🇷 👍🏽",
        "[bold]not markup[/bold]",
        "",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    """Scripts, accents, emoji and punctuation are not touched."""
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2Jgone", "\\u{001B}[2Jgone"),
        ("\x9b2J", "\\u{009B}2J"),
        ("\x7f", "\\u{007F}"),
        ("safe\u202egpj.exe", "safe\\u{202E}gpj.exe"),
        ("ze\u200bro", "ze\\u{200B}ro"),
        ("👩\u200d💻", "👩\\u{200D}💻"),
        ("\ud800", "\\u{D800}"),
        ("one\u2028two", "one\\u{2028}two"),
        ("\ufe0f", "\\u{FE0F}"),
        ("\U000e0041", "\\u{E0041}"),
        ("\u3164", "\\u{3164}"),
        ("a\u00a0b", "a\\u{00A0}b"),
        ("\u2800", "\\u{2800}"),
    ],
)
def test_what_would_deceive_is_spelled_out(text: str, shown: str) -> None:
    """Cursor movement, reversed text, joiners, tags, blanks that are letters."""
    assert visible(text) == shown


def test_the_newline_stays_where_lines_are_kept() -> None:
    """A carriage return beside it, which would overwrite the line, does not."""
    assert visible("one\r\ntwo\n", lines=True) == "one\\r\ntwo\n"


@pytest.mark.parametrize(
    "text", ["p\u0430ypal", "\u0430dmin", "Αlpha", "see раypаl here", "Ϲopy \u0441opy"]
)
def test_a_word_of_two_alphabets_is_flagged(text: str) -> None:
    """Letters that look alike are the oldest deception."""
    assert is_mixed_script(text)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "Привет",
        "Привет world",
        "한국어text",
        "α + β",
        "naïve",
        "x1б",
        "C3PO-Ж",
        "",
        "日本go",
    ],
)
def test_words_of_one_alphabet_each_are_not(text: str) -> None:
    """Hangul or kanji beside Latin letters is how people write."""
    assert not is_mixed_script(text)
