"""Texts that a caller sends: named, replaced, untrusted, and never taken for documents."""

import pytest
from rag_home import READER, WRITER, Room, sources

from localai.core.errors import Denied, Invalid
from localai.rag.records import IndexReport
from localai.rag.sent import Text

KETTLE = Text("kettle.md", "# Kettle\n\nIt is descaled with vinegar.\n")
TRAIN = Text("notes/train.txt", "Trains leave from platform nine.\n")


def send(here: Room, *texts: Text) -> IndexReport:
    """Index the texts."""
    return here.rag.index(WRITER, (), texts=texts)


def test_a_text_is_found_under_its_name(here: Room) -> None:
    """With the heading that it stands under; a stranger may have written it."""
    assert send(here, KETTLE, TRAIN).added == 2
    best = here.rag.query(READER, "What is descaled with vinegar?").passages[0]
    assert (best.source, best.title) == ("kettle.md", "kettle.md › Kettle")
    assert (best.trust, best.uri) == ("untrusted", "")


def test_a_text_that_is_sent_again_takes_the_place_of_the_former(here: Room) -> None:
    """The same one costs nothing, and others stay."""
    send(here, KETTLE, TRAIN)
    assert send(here, KETTLE).unchanged == 1
    changed = send(here, Text("kettle.md", "It is descaled with lemon juice.\n"))
    assert (changed.updated, changed.removed) == (1, 0)
    assert "lemon" in here.rag.query(READER, "descaled").passages[0].text
    assert sources(here.rag.query(READER, "platform"))[0] == "notes/train.txt"


def test_a_text_outlives_a_rebuilding(here: Room) -> None:
    """It can be read nowhere but in the old index."""
    send(here, KETTLE)
    assert here.rag.rebuild(WRITER, "default").added == 1
    assert sources(here.rag.query(READER, "vinegar")) == ["kettle.md"]


@pytest.mark.parametrize("name", ["paper.pdf", "table.xlsx", "page.html", "code.py", "none", "/"])
def test_whatever_it_is_called_it_is_a_text(here: Room, name: str) -> None:
    """No reader of documents is begun for it."""
    assert send(here, Text(name, "The otter eats fish.\n")).skipped == ()
    assert sources(here.rag.query(READER, "What does the otter eat?")) == [name]


def test_names_that_look_alike_are_one(here: Room) -> None:
    """As macOS writes them, and as they are typed."""
    send(here, Text("\u1112\u1161\u11ab.txt", "one\n"))
    assert send(here, Text("\ud55c.txt", "one\n")).unchanged == 1


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "a" * 201])
def test_what_names_nothing_is_refused(here: Room, name: str) -> None:
    """Before anything is written."""
    with pytest.raises(Invalid):
        send(here, Text(name, "x"))
    assert here.rag.collections(READER).total == 0


def test_two_texts_of_one_name_are_refused(here: Room) -> None:
    """Nobody could say which of them stays."""
    with pytest.raises(Invalid, match="two texts are called"):
        send(here, KETTLE, KETTLE)


@pytest.mark.parametrize(
    ("text", "why"), [("a\0b", "not text"), ("x" * 2_000_001, "larger than 2 MB")]
)
def test_what_is_no_text_is_told_and_left_out(here: Room, text: str, why: str) -> None:
    """The others are taken in."""
    report = send(here, Text("odd", text), TRAIN)
    assert (report.added, report.skipped[0].source) == (1, "odd")
    assert why in report.skipped[0].reason


def test_who_may_not_write_sends_nothing(here: Room) -> None:
    """As with any other way to index."""
    with pytest.raises(Denied):
        here.rag.index(READER, (), texts=[KETTLE])
