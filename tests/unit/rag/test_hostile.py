"""Every hostile file of a folder is indexed or named with its reason, and the run goes on."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hostile_files import INDEXED, SAID, WHOLE, cases
from rag_home import READER, WRITER, Room, room, sources

from localai.rag import ingest
from localai.rag.documents import Documents
from localai.rag.records import Progress
from localai.rag.sources import Refused, shown


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, a good file before and after each kind, and a folder named like a document."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (make, _) in cases().items():
        make(folder / name)
    (folder / "folder.pdf").mkdir()
    (folder / "folder.pdf" / "inside.md").write_text("The otter is inside.", "utf-8")
    (folder / "zz.md").write_text("The good file that comes last.", "utf-8")
    return folder


@pytest.fixture(scope="module")
def outcome(hostile: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each, by the name that is shown."""
    here = room(tmp_path_factory.mktemp("home"))
    report = here.rag.index(WRITER, [hostile])
    found = {each.source: each.reason for each in report.skipped}
    files = here.catalog.files("default").values()
    return found | {file.source: INDEXED for file in files if file.sha256}


@pytest.mark.parametrize("name", cases())
def test_each_is_indexed_or_named_with_a_reason(outcome: dict[str, str], name: str) -> None:
    """In bounded time and memory: none of these may come near the limits of who reads it."""
    said = outcome[shown(Path(name), Path())]
    assert re.match("|".join(f".*{each}" for each in cases()[name][1].split("|")), said), said
    assert not re.match("not read within|takes more than|killed", said)


def test_what_comes_after_them_is_indexed(outcome: dict[str, str]) -> None:
    """Also in a folder that is named like a document."""
    assert outcome["zz.md"] == outcome["folder.pdf/inside.md"] == INDEXED
    assert len(outcome) == len(cases()) + 2


@pytest.mark.parametrize("name", ["b.md", "b.pdf"])
@pytest.mark.parametrize(
    ("become", "reason"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (os.mkfifo, "not a regular file"),
        (os.mkdir, "cannot be read: Is a directory"),
        (lambda path: path.symlink_to("/etc/passwd"), "cannot be read: Too many levels"),
    ],
)
def test_a_file_becomes_something_else_after_it_was_listed(
    here: Room, tmp_path: Path, become: Callable[[Path], object], reason: str, name: str
) -> None:
    """Nothing outside is read, nothing is waited for, and the file after it is indexed."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.md").write_text(SAID, "utf-8")
    here.rag.index(WRITER, [folder])
    (folder / name).write_bytes(WHOLE)
    (folder / "c.md").write_text(SAID, "utf-8")

    def change(step: Progress) -> None:
        if step.source == "a.md":
            (folder / name).unlink()
            become(folder / name)

    report = here.rag.index(WRITER, [folder], on_progress=change)
    assert [(each.source, reason in each.reason) for each in report.skipped] == [(name, True)]
    assert (report.unchanged, report.added) == (1, 1)


def test_a_document_that_is_too_slow_just_now_keeps_its_passages(
    here: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a good one may be."""
    (tmp_path / "a.pdf").write_bytes(WHOLE)
    here.rag.index(WRITER, [tmp_path / "a.pdf"])
    (tmp_path / "a.pdf").write_bytes(WHOLE + b"\n")
    monkeypatch.setattr(ingest, "Documents", partial(Documents, longest_s=0.0))
    report = here.rag.index(WRITER, [tmp_path / "a.pdf"])
    assert (report.removed, report.skipped[0].reason) == (0, "not read within 0 seconds")
    assert sources(here.rag.query(READER, "heron")) == ["a.pdf"]


def test_a_reader_that_dies_of_one_document_does_not_take_the_next_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may end it just after it was found to be alive."""
    (tmp_path / "a.pdf").write_bytes(WHOLE)
    reader = Documents()
    running = reader._running
    alive = running()

    def dying() -> subprocess.Popen[bytes]:
        if found := alive.poll() is None:
            alive.kill()
        return alive if found else running()

    monkeypatch.setattr(reader, "_running", dying)
    found = reader.read(tmp_path / "a.pdf")
    reader.close()
    assert not isinstance(found, Refused), found


def test_what_a_library_prints_is_no_answer(tmp_path: Path) -> None:
    """Two lines for one document would give the next one the text of this one."""
    script = (
        "import os, sys\n"
        "from localai.rag.formats import worker\n"
        "def noisy(path):\n"
        "    print('printed'); os.write(1, b'written\\n')\n"
        "    return {'reason': 'said'}\n"
        "worker._read = noisy\n"
        "worker.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=b'"a.pdf"\n',
        capture_output=True,
        check=True,
    )
    assert done.stdout == b'{"reason": "said"}\n'
