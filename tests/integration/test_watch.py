"""Folders that are followed, with the system's own events."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from rag_home import READER, WRITER, Room, room, sources

from localai.core.errors import Conflict, LocalaiError, NotFound
from localai.rag import changes, places, seen, watch
from localai.rag.changes import Changes
from localai.rag.index import alone
from localai.rag.records import WatchRun
from localai.rag.sources import Refused, Source
from localai.rag.watch import Watch

DEADLINE_S = 30.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Room]:
    """A room."""
    made = room(tmp_path / "home")
    with closing(made.database):
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one document."""
    place = tmp_path / "notes"
    place.mkdir()
    (place / "kettle.md").write_text("The kettle is blue.\n", encoding="utf-8")
    return place


def followed(here: Room, *paths: Path, **options: object) -> Watch:
    """A watch over the paths."""
    index = partial(here.rag.index, WRITER, **options)  # type: ignore[arg-type]
    return Watch(index, paths, release=here.database.close, own=[here.data.parent])


def until(watching: Watch, is_wanted: Callable[[WatchRun | LocalaiError], bool]) -> list[object]:
    """What is told up to the wanted; fails where that does not come in time."""
    told: list[object] = []
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        for each in watching.step():
            told.append(each)
            if is_wanted(each):
                return told
    raise AssertionError(told)


def run(watching: Watch) -> WatchRun:
    """The next thing that is told, which is a run."""
    [found] = until(watching, lambda _: True)
    assert isinstance(found, WatchRun)
    return found


def names(run: WatchRun) -> set[tuple[str, str]]:
    """What was done to which file."""
    return {(each.action, each.source) for each in run.files}


def asked(here: Room, text: str) -> list[str]:
    """Which files answer."""
    return sources(here.rag.query(READER, text))


def test_what_is_created_changed_renamed_and_deleted_is_followed(here: Room, folder: Path) -> None:
    """Each is one run, which names it."""
    with followed(here, folder) as watching:
        assert watching.start().added == 1
        (folder / "train.md").write_text("Trains leave at nine.\n", encoding="utf-8")
        assert names(run(watching)) == {("added", "train.md")}
        (folder / "train.md").write_text("Trains leave at ten.\n", encoding="utf-8")
        assert names(run(watching)) == {("updated", "train.md")}
        (folder / "train.md").rename(folder / "rails.md")
        assert names(run(watching)) == {("removed", "train.md"), ("added", "rails.md")}
        assert asked(here, "when do trains leave")[0] == "rails.md"
        (folder / "rails.md").unlink()
        assert names(run(watching)) == {("removed", "rails.md")}
        assert asked(here, "when do trains leave") == ["kettle.md"]


def test_a_folder_that_is_moved_takes_its_files_along(here: Room, folder: Path) -> None:
    """The system tells of the folder alone."""
    (folder / "old").mkdir()
    (folder / "old" / "a.md").write_text("Apples.\n", encoding="utf-8")
    with followed(here, folder) as watching:
        watching.start()
        (folder / "old").rename(folder / "new")
        assert names(run(watching)) == {("removed", "old/a.md"), ("added", "new/a.md")}


def test_what_changes_while_the_first_run_goes_on_is_not_lost(here: Room, folder: Path) -> None:
    """Listening begins before reading."""

    def late(_: object) -> None:
        (folder / "late.md").write_text("Too late.\n", encoding="utf-8")

    with followed(here, folder) as watching:
        assert watching.start(late).added == 1
        assert names(run(watching)) == {("added", "late.md")}


def test_a_burst_becomes_few_runs(here: Room, folder: Path) -> None:
    """Two hundred files, as from an archive or a checkout."""
    with followed(here, folder) as watching:
        watching.start()
        for number in range(200):
            (folder / f"{number}.md").write_text(f"Note {number}.\n", encoding="utf-8")
        added = 0

        def is_all(found: WatchRun | LocalaiError) -> bool:
            nonlocal added
            assert isinstance(found, WatchRun)
            added += found.added
            return added == 200

        assert len(until(watching, is_all)) <= 4


def test_only_what_was_touched_is_read_again(
    here: Room, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large folder costs a look at each file, not its content; a reason is looked for once."""
    monkeypatch.setattr(seen, "_TICK_NS", 0)
    (folder / "picture.md").write_bytes(b"\x00\xff" * 99)
    read: list[str] = []

    def reading(path: Path, root: Path) -> Source | Refused:
        read.append(path.name)
        return original(path, root)

    original = places.read
    monkeypatch.setattr(places, "read", reading)
    with followed(here, folder) as watching:
        watching.start()
        (folder / "new.md").write_text("New.\n", encoding="utf-8")
        found = run(watching)
    assert (found.added, found.unchanged, found.skipped) == (1, 1, ())
    assert read == ["kettle.md", "picture.md", "new.md"]


def test_a_file_changed_within_one_tick_of_the_clock_is_read_again(
    here: Room, folder: Path
) -> None:
    """Same size, same time to the eye of a coarse file system: only its content tells."""
    file = folder / "kettle.md"
    with followed(here, folder) as watching:
        watching.start()
        before = file.stat()
        file.write_text("The kettle is teal.\n", encoding="utf-8")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert names(run(watching)) == {("updated", "kettle.md")}


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.md",
        ".git/index",
        "node_modules/x.js",
        "a.md~",
        "4913",
        "#a.md#",
        "~$a.docx",
        "a.tmp",
    ],
)
def test_what_editors_and_tools_leave_for_a_moment_wakes_nobody(
    here: Room, folder: Path, name: str
) -> None:
    """They come with every save, and are no documents."""
    with followed(here, folder) as watching:
        watching.start()
        assert not watching._is_wanted(folder / name)
        assert watching._is_wanted(folder / "inner" / "a.md")
        assert watching._is_wanted(folder / ".gitignore")
        assert not watching._is_wanted(folder / ".venv" / ".gitignore")


def test_our_own_home_below_a_followed_folder_wakes_nobody(here: Room, tmp_path: Path) -> None:
    """Otherwise each run would be the reason for the next."""
    with followed(here, tmp_path) as watching:
        assert not watching._is_wanted(here.data / "any" / "segment")
        assert watching._is_wanted(tmp_path / "notes.md")


def test_a_save_through_a_temporary_file_is_one_change(here: Room, folder: Path) -> None:
    """As editors write: another file, renamed to the name."""
    with followed(here, folder) as watching:
        watching.start()
        (folder / "kettle.md.tmp").write_text("The kettle is red.\n", encoding="utf-8")
        (folder / "kettle.md.tmp").replace(folder / "kettle.md")
        assert names(run(watching)) == {("updated", "kettle.md")}


def test_a_gitignore_is_obeyed_when_it_changes(here: Room, folder: Path) -> None:
    """What it names leaves the index, and comes back when it is taken out."""
    with followed(here, folder) as watching:
        watching.start()
        (folder / ".gitignore").write_text("kettle.md\n*.log\n", encoding="utf-8")
        assert names(run(watching)) == {("removed", "kettle.md")}
        (folder / "build.log").write_text("Noise.\n", encoding="utf-8")
        (folder / "train.md").write_text("Trains.\n", encoding="utf-8")
        assert names(run(watching)) == {("added", "train.md")}
        (folder / ".gitignore").unlink()
        assert names(run(watching)) == {("added", "kettle.md"), ("added", "build.log")}


def test_a_single_file_is_followed_through_its_replacements(here: Room, folder: Path) -> None:
    """An editor puts another file in its place, again and again."""
    file = folder / "kettle.md"
    with followed(here, file) as watching:
        watching.start()
        for colour in ("red", "green", "black"):
            (folder / "x").write_text(f"The kettle is {colour}.\n", encoding="utf-8")
            (folder / "x").replace(file)
            assert run(watching).updated == 1


def test_what_is_skipped_is_said_once(here: Room, folder: Path) -> None:
    """And again when it is another reason or another file."""
    (folder / "picture.md").write_bytes(b"\x00\xff" * 99)
    with followed(here, folder) as watching:
        assert [each.source for each in watching.start().skipped] == ["picture.md"]
        (folder / "music.md").write_bytes(b"\x00\xff" * 99)
        assert [each.source for each in run(watching).skipped] == ["music.md"]


@pytest.mark.prove
def test_a_held_index_is_said_once_and_the_run_made_up_for(
    here: Room, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed run does not lose what changed."""
    monkeypatch.setattr("localai.rag.index._PATIENCE_S", 0.0)
    monkeypatch.setattr(watch, "AGAIN_S", 0.0)
    with followed(here, folder) as watching:
        watching.start()
        with alone(here.data / here.catalog.get("default").directory):
            (folder / "train.md").write_text("Trains.\n", encoding="utf-8")
            [told] = until(watching, lambda _: True)
            assert isinstance(told, Conflict)
            assert [*watching.step(), *watching.step()] == []
        assert names(run(watching)) == {("added", "train.md")}


def test_a_folder_that_vanishes_is_said_and_its_documents_stay(here: Room, folder: Path) -> None:
    """A disk that was pulled out is no wish to forget; when it is back, it is followed again."""
    away = folder.with_name("away")
    with followed(here, folder) as watching:
        watching.start()
        folder.rename(away)
        [told] = until(watching, lambda _: True)
        assert isinstance(told, NotFound)
        assert str(folder) in told.message
        assert asked(here, "kettle") == ["kettle.md"]
        away.rename(folder)
        (folder / "train.md").write_text("Trains.\n", encoding="utf-8")
        assert names(run(watching)) == {("added", "train.md")}


def test_nothing_is_held_between_runs(here: Room, folder: Path) -> None:
    """Others index, ask, remove and back up meanwhile."""
    with followed(here, folder) as watching:
        watching.start()
        assert not here.database.is_open
        handles = [Path(each) for each in Path("/proc/self/fd").iterdir()]
        held = [str(each.readlink()) for each in handles if os.path.lexists(each)]
        assert not [each for each in held if each.startswith(str(here.data.parent))]
        here.rag.remove(WRITER, "default")
        (folder / "train.md").write_text("Trains.\n", encoding="utf-8")
        assert names(run(watching)) == {("added", "kettle.md"), ("added", "train.md")}


def test_what_the_system_does_not_tell_is_looked_for(
    here: Room, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the disks of other machines."""
    monkeypatch.setattr(changes, "file_system", lambda _: "nfs4")
    monkeypatch.setattr(changes, "_LOOK_MS", 100)
    with followed(here, folder) as watching:
        assert watching.is_polling
        watching.start()
        (folder / "train.md").write_text("Trains.\n", encoding="utf-8")
        assert names(run(watching)) == {("added", "train.md")}
        (folder / "train.md").unlink()
        assert names(run(watching)) == {("removed", "train.md")}


def test_a_path_that_is_not_there_is_refused_at_once(here: Room, folder: Path) -> None:
    """There is nothing to wait for."""
    with pytest.raises(NotFound):
        followed(here, folder / "nowhere")


def test_a_disk_of_this_machine_is_listened_to(folder: Path) -> None:
    """Looking again and again is for where it must be."""
    with Changes([folder]) as listening:
        assert not listening.is_polling
