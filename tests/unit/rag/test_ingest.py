"""What an index run does to a collection."""

import os
from pathlib import Path
from typing import Any

import pytest
from rag_home import WRITER, Room, sources

from localai.core.errors import NotFound, Unavailable
from localai.rag import ingest
from localai.rag.edge import EdgeIndex
from localai.rag.index import Point
from localai.rag.records import Progress


def counts(here: Room, *paths: Path, **options: object) -> tuple[int, int, int, int]:
    """Index, and count the files added, updated, unchanged and removed."""
    report = here.rag.index(WRITER, list(paths), **options)  # type: ignore[arg-type]
    return report.added, report.updated, report.unchanged, report.removed


def found(here: Room, text: str) -> list[str]:
    """The sources of what is found, best first."""
    return sources(here.rag.query(WRITER, text))


def chunks(here: Room) -> int:
    """How many passages the collection says it has."""
    return here.rag.show(WRITER, "default").chunks


def stored(here: Room) -> int:
    """How many passages the index really has."""
    return EdgeIndex(here.data / here.catalog.get("default").directory).count()


def test_a_second_run_finds_nothing_to_do(here: Room, documents: Path) -> None:
    """Unchanged files are known by their content."""
    assert counts(here, documents) == (3, 0, 0, 0)
    assert counts(here, documents) == (0, 0, 3, 0)


def test_a_touched_file_is_unchanged(here: Room, documents: Path) -> None:
    """The content counts, not the time."""
    counts(here, documents)
    os.utime(documents / "train.txt", (1, 1))
    assert counts(here, documents) == (0, 0, 3, 0)


def test_a_changed_file_replaces_its_passages(here: Room, documents: Path) -> None:
    """What it said before cannot be found any more."""
    counts(here, documents)
    (documents / "train.txt").write_text("Ferries leave from the harbour.\n", encoding="utf-8")
    assert counts(here, documents) == (0, 1, 2, 0)
    texts = [each.text for each in here.rag.query(WRITER, "trains ferries platform").passages]
    assert "Ferries leave from the harbour." in texts
    assert "Trains leave from platform nine." not in texts


def test_lines_follow_what_moved_in_a_file(here: Room, documents: Path) -> None:
    """A passage keeps its text, and its place is the new one."""
    counts(here, documents)
    file = documents / "train.txt"
    file.write_text("\n\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    counts(here, documents)
    [passage] = here.rag.query(WRITER, "platform", k=1).passages
    assert passage.location == "L3-L3"


def test_a_deleted_file_is_forgotten(here: Room, documents: Path) -> None:
    """Its passages and its row go."""
    counts(here, documents)
    (documents / "train.txt").unlink()
    assert counts(here, documents) == (0, 0, 2, 1)
    assert (chunks(here), stored(here)) == (2, 2)


def test_a_deleted_folder_can_still_be_named(here: Room, documents: Path, tmp_path: Path) -> None:
    """To index what is gone is to forget it."""
    counts(here, documents)
    documents.rename(tmp_path / "moved away")
    assert counts(here, documents) == (0, 0, 0, 3)
    assert stored(here) == 0


def test_a_path_that_was_never_there_is_an_error(here: Room, tmp_path: Path) -> None:
    """A slip of the finger must not pass for an empty folder, nor make a collection."""
    with pytest.raises(NotFound, match="nowhere"):
        counts(here, tmp_path / "nowhere")
    assert here.catalog.find("default") is None


def test_a_path_that_was_never_there_is_an_error_in_an_old_collection_too(
    here: Room, documents: Path
) -> None:
    """Only what was indexed can be gone."""
    counts(here, documents)
    with pytest.raises(NotFound, match="nowhere"):
        counts(here, documents / "nowhere")


def test_two_folders_live_side_by_side(here: Room, documents: Path, tmp_path: Path) -> None:
    """Indexing one again never removes the files of the other."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "kettle.md").write_text("A kettle whistles.", encoding="utf-8")
    counts(here, documents)
    assert counts(here, other) == (1, 0, 0, 0)
    assert counts(here, documents) == (0, 0, 3, 0)
    assert chunks(here) == 4
    assert here.rag.show(WRITER, "default").roots == (str(documents), str(other))


def test_a_folder_inside_an_indexed_one_adds_nothing_twice(here: Room, documents: Path) -> None:
    """A file is one file, however it was reached, and keeps its name."""
    counts(here, documents)
    assert counts(here, documents / "inner") == (0, 0, 1, 0)
    assert found(here, "여권")[0] == "inner/ko.md"


def test_a_folder_around_an_indexed_one_takes_it_over(here: Room, documents: Path) -> None:
    """Names are then relative to the outer folder, and nothing is there twice."""
    counts(here, documents / "inner")
    assert found(here, "여권") == ["ko.md"]
    assert counts(here, documents) == (2, 1, 0, 0)
    assert found(here, "여권")[0] == "inner/ko.md"
    assert stored(here) == 3


def test_a_single_file_is_indexed_alone(here: Room, documents: Path) -> None:
    """Its neighbours are neither added nor removed."""
    assert counts(here, documents / "train.txt") == (1, 0, 0, 0)
    assert counts(here, documents / "kettle.md") == (1, 0, 0, 0)
    assert counts(here, documents / "train.txt") == (0, 0, 1, 0)
    assert sorted(found(here, "trains kettle")) == ["kettle.md", "train.txt"]


def test_paths_inside_each_other_are_looked_at_once(here: Room, documents: Path) -> None:
    """Shell patterns often name a folder and its files."""
    assert counts(here, documents / "inner", documents, documents / "train.txt") == (3, 0, 0, 0)


def test_what_is_excluded_now_is_forgotten(here: Room, documents: Path) -> None:
    """The collection mirrors what was asked for last."""
    counts(here, documents)
    assert counts(here, documents, exclude=["*.txt"]) == (0, 0, 2, 1)


def test_two_files_with_the_same_text_are_two(here: Room, documents: Path) -> None:
    """Both are shown, each with its name."""
    (documents / "copy.txt").write_bytes((documents / "train.txt").read_bytes())
    counts(here, documents)
    assert sorted(found(here, "platform")[:2]) == ["copy.txt", "train.txt"]


def test_files_that_swap_their_contents_keep_one_passage_each(here: Room, documents: Path) -> None:
    """A version belongs to a file: the other's new text is not this one's old."""
    one, other = documents / "train.txt", documents / "x.txt"
    other.write_text("Ferries leave from the harbour.\n", encoding="utf-8")
    counts(here, documents)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert counts(here, documents) == (0, 2, 2, 0)
    assert stored(here) == chunks(here) == 4
    assert found(here, "harbour")[0] == "train.txt"


def test_the_same_paragraph_twice_in_a_file_is_two_passages(here: Room, documents: Path) -> None:
    """Each has its own lines."""
    paragraph = f"{'word ' * 150}."
    (documents / "train.txt").write_text(f"{paragraph}\n\n{paragraph}\n", encoding="utf-8")
    counts(here, documents / "train.txt")
    locations = {each.location for each in here.rag.query(WRITER, "word").passages}
    assert locations == {"L1-L1", "L3-L3"}


def test_a_skipped_file_is_reported_and_a_former_version_forgotten(
    here: Room, documents: Path
) -> None:
    """What cannot be read as text any more should not be quoted any more."""
    counts(here, documents)
    (documents / "train.txt").write_bytes(b"\0\0")
    report = here.rag.index(WRITER, [documents])
    assert [(each.source, each.reason) for each in report.skipped] == [
        ("train.txt", "not text in UTF-8, UTF-16 or CP949")
    ]
    assert report.removed == 1


def test_what_cannot_be_read_just_now_is_kept(
    here: Room, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder on a disk that is away for a moment is not deleted."""
    counts(here, documents)
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "inner":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = here.rag.index(WRITER, [documents])
    assert (report.removed, len(report.skipped)) == (0, 1)
    assert "inner/ko.md" in found(here, "여권")


def test_an_empty_file_is_known_and_has_no_passage(here: Room, documents: Path) -> None:
    """It is not looked at again until it has something to say."""
    (documents / "train.txt").write_text(" \n", encoding="utf-8")
    assert counts(here, documents / "train.txt") == (1, 0, 0, 0)
    assert counts(here, documents / "train.txt") == (0, 0, 1, 0)
    assert stored(here) == 0


def test_an_empty_folder_makes_an_empty_collection(here: Room, tmp_path: Path) -> None:
    """Asking it finds nothing, which is no error."""
    (tmp_path / "empty").mkdir()
    assert counts(here, tmp_path / "empty") == (0, 0, 0, 0)
    assert found(here, "anything") == []


def test_a_path_that_makes_no_sense_is_an_error_with_a_hint(here: Room, tmp_path: Path) -> None:
    """A link that leads to itself has no end."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises((Unavailable, NotFound)) as caught:
        counts(here, tmp_path / "loop" / "x")
    assert caught.value.hint


def test_progress_tells_every_file_once_and_ends_at_the_total(here: Room, documents: Path) -> None:
    """A bar that reaches its end, with the file that it is at."""
    (documents / "picture.png").write_bytes(b"\0")
    steps: list[Progress] = []
    here.rag.index(WRITER, [documents], on_progress=steps.append)
    assert [step.done for step in steps] == [1, 2, 3, 4]
    assert {step.total for step in steps} == {4}
    assert {(step.source, step.action) for step in steps} == {
        ("kettle.md", "added"),
        ("train.txt", "added"),
        ("inner/ko.md", "added"),
        ("picture.png", "skipped"),
    }


def test_a_file_larger_than_a_batch_is_written_in_several(
    here: Room, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is given back between batches."""
    monkeypatch.setattr(ingest, "BATCH", 2)
    text = "\n\n".join(f"{n} {'word ' * 150}" for n in range(7))
    (documents / "long.txt").write_text(text, encoding="utf-8")
    assert here.rag.index(WRITER, [documents]).chunks == 10
    assert stored(here) == chunks(here) == 10


def test_korean_passages_get_no_direction_from_an_english_model(
    here: Room, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their vector would say what the file's name says, and be found for it."""
    written: list[Point] = []
    monkeypatch.setattr(EdgeIndex, "write", lambda _, points: written.extend(points))
    counts(here, documents)
    assert {point.payload["source"]: point.dense is None for point in written} == {
        "kettle.md": False,
        "train.txt": False,
        "inner/ko.md": True,
    }


class Interrupted(Exception):
    """Stands for Ctrl-C, a full disk or a lost power supply."""


@pytest.mark.parametrize("step", ["write", "forget"])
def test_an_interrupted_run_leaves_a_collection_that_answers_and_is_completed_later(
    here: Room, documents: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A file counts as done only when all of it is in the index."""
    counts(here, documents)
    (documents / "train.txt").write_text("Ferries leave from the harbour.\n", encoding="utf-8")

    def interrupt(*_: object, **__: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(EdgeIndex, step, interrupt)
        counts(here, documents)
    assert found(here, "kettle")[0] == "kettle.md"
    assert sum(counts(here, documents)[:2]) == 1
    assert found(here, "harbour")[0] == "train.txt"
    assert stored(here) == chunks(here) == 3


def test_a_file_that_vanishes_after_an_interruption_leaves_nothing(
    here: Room, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its passages are known to be begun, so they are removed."""
    counts(here, documents / "inner")

    def interrupt(*_: object, **__: object) -> None:
        raise Interrupted

    calls = iter([here.rag._catalog.enter, interrupt])

    def enter(*arguments: Any, **options: Any) -> None:
        next(calls)(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(here.rag._catalog, "enter", enter)
        counts(here, documents)
    assert stored(here) == 3
    (documents / "train.txt").unlink()
    counts(here, documents)
    assert stored(here) == chunks(here) == 2


def test_a_file_changed_back_after_an_interruption_is_not_taken_for_unchanged(
    here: Room, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index may hold passages of the version in between."""
    counts(here, documents)
    file = documents / "train.txt"
    before = file.read_bytes()
    file.write_text("Ferries leave from the harbour.\n", encoding="utf-8")

    def interrupt(*_: object, **__: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(EdgeIndex, "forget", interrupt)
        counts(here, documents)
    file.write_bytes(before)
    counts(here, documents)
    texts = [each.text for each in here.rag.query(WRITER, "trains ferries platform").passages]
    assert "Ferries leave from the harbour." not in texts
    assert "Trains leave from platform nine." in texts
