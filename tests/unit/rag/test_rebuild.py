"""Collections made anew with another model."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import tiny_models
from rag_home import READER, WRITER, Room, room, sources

from localai.core.errors import Conflict, Denied, NotFound
from localai.core.web import Fetched
from localai.rag import ingest
from localai.rag.records import COMPANION_MODEL, SHIPPED_MODEL, Piped, Progress
from localai.rag.store import Store
from localai.rag.tables import collections

TESTS = Path(__file__).parents[2]


@pytest.fixture
def indexed(here: Room, documents: Path) -> Room:
    """A collection that the shipped model made; one file of the folder is not in it."""
    (documents / "draft.txt").write_text("A draft about trains.\n", encoding="utf-8")
    here.rag.index(WRITER, [documents], exclude=["draft*"])
    return here


@pytest.fixture
def other(indexed: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """The same home with another model in its settings."""
    package = tmp_path / "site/localai_minilm"
    tiny_models.write(tiny_models.pooled(384), package / "model")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    return room(indexed.data.parent, model=COMPANION_MODEL)


def folders(there: Room) -> int:
    """How many indexes lie on disk."""
    return len([each for each in there.data.iterdir() if each.is_dir()])


def test_a_collection_is_made_anew_with_the_model_of_the_settings(
    other: Room, documents: Path
) -> None:
    """The same files under the same names; what was left out before stays out."""
    report = other.rag.rebuild(WRITER, "default")
    assert (report.collection, report.added, report.skipped) == ("default", 3, ())
    shown = other.rag.show(READER, "default")
    assert (shown.model, shown.dim, shown.files) == (COMPANION_MODEL, 384, 3)
    assert shown.roots == (str(documents),)
    assert sources(other.rag.query(READER, "kettle", k=1)) == ["kettle.md"]
    assert sources(other.rag.query(READER, "여권을 잃어버리면")) == ["inner/ko.md"]
    assert (folders(other), other.rag.collections(READER).total) == (1, 1)
    assert other.rag.index(WRITER, [documents], exclude=["draft*"]).unchanged == 3


def test_the_old_index_answers_until_the_new_one_is_whole(other: Room) -> None:
    """At every step on the way, and never a mixture."""
    models: list[str] = []

    def ask(_: Progress) -> None:
        found = other.rag.query(READER, "kettle", k=1)
        assert sources(found) == ["kettle.md"]
        models.append(found.model)

    other.rag.rebuild(WRITER, "default", ask)
    assert models == [SHIPPED_MODEL] * 3
    assert other.rag.query(READER, "kettle", k=1).model == COMPANION_MODEL


def test_a_question_that_a_rebuilding_overtakes_is_asked_again(
    other: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had read where the old index lies, which is gone when it comes to look."""
    real = Store.search

    def overtaken(*given: Any, **more: Any) -> Any:
        monkeypatch.setattr(Store, "search", real)
        found = real(*given, **more)
        other.rag.rebuild(WRITER, "default")
        return found

    monkeypatch.setattr(Store, "search", overtaken)
    found = other.rag.query(READER, "kettle", k=1)
    assert (sources(found), found.model) == (["kettle.md"], COMPANION_MODEL)


def test_documents_that_are_gone_are_left_out_and_named(other: Room, documents: Path) -> None:
    """Also one in whose place a link lies now."""
    (documents / "kettle.md").unlink()
    (documents / "train.txt").unlink()
    (documents / "train.txt").symlink_to(documents / "draft.txt")
    report = other.rag.rebuild(WRITER, "default")
    left_out = {each.source: each.reason for each in report.skipped}
    assert left_out == {"kettle.md": "gone", "train.txt": "gone"}
    assert other.rag.show(READER, "default").files == 1


def test_a_collection_none_of_whose_documents_is_there_stays_as_it_was(
    other: Room, documents: Path
) -> None:
    """A disk that is not mounted must not empty it."""
    documents.rename(documents.with_name("elsewhere"))
    with pytest.raises(Conflict, match="stays as it was"):
        other.rag.rebuild(WRITER, "default")
    assert sources(other.rag.query(READER, "kettle", k=1)) == ["kettle.md"]
    documents.with_name("elsewhere").rename(documents)
    assert other.rag.rebuild(WRITER, "default").added == 3
    assert folders(other) == 1


def test_a_process_that_is_killed_leaves_the_old_index_and_its_work(
    other: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run goes on where it ended."""
    script = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from rag_home import WRITER, room\n"
        "from localai.rag import ingest\n"
        "ingest.BATCH = 1\n"
        f"there = room(Path({str(other.data.parent)!r}), model={COMPANION_MODEL!r})\n"
        "def kill(step):\n"
        "    if step.done == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "there.rag.rebuild(WRITER, 'default', kill)\n"
    )
    path = os.pathsep.join(map(str, (TESTS, tmp_path / "site")))
    ended = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path})
    assert ended.returncode == -signal.SIGKILL
    assert other.rag.query(READER, "kettle", k=1).model == SHIPPED_MODEL
    assert other.rag.collections(READER).total == 1
    monkeypatch.setattr(ingest, "BATCH", 1)
    report = other.rag.rebuild(WRITER, "default")
    assert (report.added, report.unchanged) == (1, 2)
    assert (folders(other), other.rag.show(READER, "default").files) == (1, 3)


def test_an_old_index_that_outlived_a_crash_is_not_taken_for_a_new_one(
    other: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was exchanged and not removed: going on with it would find what is gone."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "remove", _interrupted)
        other.rag.rebuild(WRITER, "default")
    assert folders(other) == 2
    back = room(other.data.parent)  # to the model of that old index
    report = back.rag.rebuild(WRITER, "default")
    assert (report.added, report.unchanged, folders(back)) == (3, 0, 1)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_was_indexed_meanwhile_is_not_lost(
    indexed: Room, other: Room, documents: Path
) -> None:
    """The exchange waits until the new index has it, too."""
    late = documents / "late.txt"

    def index(_: Progress) -> None:
        if not late.exists():
            late.write_text("The rent is due on Monday.\n", encoding="utf-8")
            indexed.rag.index(WRITER, [late])

    other.rag.rebuild(WRITER, "default", index)
    assert other.rag.show(READER, "default").files == 4
    assert sources(other.rag.query(READER, "rent", k=1)) == ["late.txt"]


def test_what_is_said_of_a_collection_and_its_files_stays(other: Room) -> None:
    """Only its index is another."""
    with other.database.transaction() as connection:
        connection.execute(sa.update(collections).values(description="The flat"))
        connection.execute(sa.text("UPDATE rag_files SET is_trusted = (source <> 'train.txt')"))
    created = other.rag.show(READER, "default").created_at
    other.rag.rebuild(WRITER, "default")
    assert other.rag.show(READER, "default").created_at == created
    with other.database.read() as connection:
        assert connection.scalars(sa.select(collections.c.description)).all() == ["The flat"]
        doubted = sa.text("SELECT source FROM rag_files WHERE NOT is_trusted")
        assert connection.scalars(doubted).all() == ["train.txt"]


def test_removing_a_collection_removes_what_a_rebuilding_left(
    other: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last folder."""
    with pytest.raises(KeyboardInterrupt):
        other.rag.rebuild(WRITER, "default", _interrupted)
    other.rag.remove(WRITER, "default")
    assert folders(other) == 0


def test_rebuilding_is_writing_and_needs_a_collection(indexed: Room) -> None:
    """Nothing is begun for a name that is not there."""
    with pytest.raises(Denied):
        indexed.rag.rebuild(READER, "default")
    with pytest.raises(NotFound):
        indexed.rag.rebuild(WRITER, "other")


def test_what_cannot_be_read_again_keeps_its_passages(other: Room, documents: Path) -> None:
    """What came through a pipe, and a page while there is no network: titles and lines, too."""
    here = room(other.data.parent, fetch=lambda url: Fetched(url, "", None, b"# Boat\n\nIt sails."))
    text = b"# Ferry\n\nIt leaves at ten.\n\n## Night\n\nIt leaves at eleven.\n"
    here.rag.index(WRITER, ["-"], piped=Piped("ferry.md", io.BytesIO(text)))
    here.rag.index(WRITER, ["https://example.org/boat.md"])
    here.database.close()
    report = other.rag.rebuild(WRITER, "default")
    assert (report.added, report.skipped) == (5, ())
    [night] = other.rag.query(READER, "eleven at night", k=1).passages
    assert (night.source, night.location, night.trust) == ("ferry.md", "L5-L7", "untrusted")
    assert night.title == "ferry.md \u203a Ferry \u203a Night"
    assert sources(other.rag.query(READER, "sails", k=1)) == ["https://example.org/boat.md"]
    other.rag.rebuild(WRITER, "default")
    assert other.rag.query(READER, "eleven at night", k=1).passages == (night,)
