"""What reaches the screen."""

import io
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from localai.cli.console import ago, json_text, linked, print_fields, print_table


@dataclass(frozen=True)
class Record:
    """Something to show."""

    name: str
    inner: tuple["Record", ...] = ()


def test_json_reads_back_as_the_record_whatever_it_holds() -> None:
    """Every code point survives, also inside of other records."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1, 7)]))
    read = json.loads(json_text(Record("a", (Record(everything),))))
    assert read == {"name": "a", "inner": [{"name": everything, "inner": []}]}


@pytest.mark.parametrize(
    "hidden", ["\x1b", "\x7f", "\x9b", "\u202e", "\u200b", "\ufeff", "\u3164", "\U000e0041"]
)
def test_json_holds_nothing_that_a_terminal_obeys_or_hides(hidden: str) -> None:
    """Controls and format characters are spelled as JSON escapes."""
    text = json_text({"name": hidden, hidden: 1})
    assert hidden not in text
    assert json.loads(text) == {"name": hidden, hidden: 1}


def test_korean_stays_readable_in_json() -> None:
    """Only what is unsafe is escaped."""
    assert json_text({"이름": "김치"}) == '{"이름": "김치"}'


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (5, "5 s ago"),
        (180, "3 min ago"),
        (7300, "2 h ago"),
        (200_000, "2 d ago"),
        (-90, "in 2 min"),
    ],
)
def test_a_moment_is_said_as_people_say_it(seconds: int, words: str) -> None:
    """Past and to come."""
    moment = datetime.now(UTC) - timedelta(seconds=seconds + (0.4 if seconds > 0 else -20))
    assert ago(moment.isoformat()) == words


def test_no_moment_is_no_words() -> None:
    """Something that has not happened."""
    assert ago(None) == ""


def test_a_table_escapes_its_cells_and_reads_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A name cannot hide its neighbours."""
    print_table(("NAME", "SAFE"), [("[conceal]rm -rf ~[/]\x1b[2J", True)], empty="none")
    assert "[conceal]rm -rf ~[/]\\u{001B}[2J" in capsys.readouterr().out


def test_an_empty_table_says_so_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays empty for whoever counts its lines."""
    print_table(("NAME",), [], empty="none yet")
    assert capsys.readouterr() == ("", "none yet\n")


def test_fields_keep_the_lines_of_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    """A second line stands below the first."""
    print_fields({"a": "one\ntwo", "long": None})
    assert capsys.readouterr().out == "a     one\n      two\nlong  \n"


def test_a_narrow_screen_shows_fields_instead_of_ids_in_pieces(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is copied from the screen must be whole."""
    monkeypatch.setenv("COLUMNS", "40")
    ids = ("98b83dd1602ce6c6", "9360cbac362e26b1")
    print_table(
        ("ID", "TOOL", "WHO"), [(each, "write_file", "오래된 연못") for each in ids], empty=""
    )
    assert capsys.readouterr().out == "".join(
        f"ID    {each}\nTOOL  write_file\nWHO   오래된 연못\n\n" for each in ids
    )


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("uri", ["file:///home/me/a%20b.md", "https://example.org/a?b=c#d"])
def test_a_terminal_gets_a_link(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OSC 8; a pipe gets the text, and so does a terminal that knows no escape sequences."""
    monkeypatch.setenv("TERM", "xterm")
    shown = linked("a.md L1", uri, stream=Terminal())
    assert shown == f"\x1b]8;;{uri}\x1b\\a.md L1\x1b]8;;\x1b\\"
    assert linked("a.md L1", uri, stream=io.StringIO()) == "a.md L1"
    monkeypatch.setenv("TERM", "dumb")
    assert linked("a.md L1", uri, stream=Terminal()) == "a.md L1"


@pytest.mark.parametrize(
    "uri",
    ["", "javascript:alert(1)", "https://e.org/\x1b\\\x1b[2J", "https://e.org/\u202e", "ssh://a"],
)
def test_what_is_no_address_is_no_link(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a document is called by may be hostile, and so may its text."""
    monkeypatch.setenv("TERM", "xterm")
    assert linked("a\x1b[2J", uri, stream=Terminal()) == "a\\u{001B}[2J"
