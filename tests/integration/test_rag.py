"""Documents, with the engine and the model that ship, in several processes at once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rag_home import READER, WRITER, Room, room, sources

from localai.core.errors import Conflict
from localai.rag import index, store
from localai.rag.edge import EdgeIndex

TESTS = Path(__file__).parents[1]

# Indexes folder argv[2] into home argv[1], two passages at a time; after each file it says so and,
# where argv[3] is `wait`, goes on when it is told to.
INDEXER = """
import sys
from pathlib import Path
from rag_home import WRITER, room
from localai.rag import ingest

ingest.BATCH = 4

def said(step):
    print(step.done, flush=True)
    if sys.argv[3] == "wait":
        sys.stdin.readline()

room(Path(sys.argv[1])).rag.index(WRITER, [Path(sys.argv[2])], on_progress=said)
"""

# Holds the lock of the folder argv[1] until its stdin ends.
HOLDER = """
import sys
from pathlib import Path
from localai.rag.index import alone

with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def process(script: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Another Python with the script; killed if it is still there at the end."""
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def heard(started: "subprocess.Popen[str]") -> str:
    """The next line that the process prints."""
    assert started.stdout is not None
    return started.stdout.readline().strip()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def here(home: Path) -> Iterator[Room]:
    made = room(home)
    yield made
    made.database.close()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Twelve files of two passages each; file n is about animal n."""
    folder = tmp_path / "documents"
    folder.mkdir()
    animals = "otter badger heron lynx magpie newt owl pike quail raven seal toad"
    for n, animal in enumerate(animals.split()):
        text = f"# {animal}\n\n## Food\n\nThe {animal} eats.\n\n## Sleep\n\nThe {animal} sleeps.\n"
        (folder / f"{n:02}.md").write_text(text, encoding="utf-8")
    return folder


def stored(here: Room) -> int:
    """How many passages the index really has."""
    return EdgeIndex(here.data / here.catalog.get("default").directory).count()


def test_a_question_gets_in_while_another_process_is_indexing(
    here: Room, home: Path, documents: Path
) -> None:
    """The index is held for a batch, not for the run."""
    with process(INDEXER, home, documents, "wait") as indexing:
        assert heard(indexing) == "1"
        assert sources(here.rag.query(READER, "otter"))[0] == "00.md"
        assert indexing.poll() is None


@pytest.mark.prove
def test_two_processes_may_index_one_folder_at_once(
    here: Room, home: Path, documents: Path
) -> None:
    """Each passage is there once, whoever wrote it."""
    with process(INDEXER, home, documents, "run") as indexing:
        heard(indexing)
        here.rag.index(WRITER, [documents])
        assert indexing.wait() == 0
    assert stored(here) == here.rag.show(READER, "default").chunks == 24


@pytest.mark.prove
def test_a_collection_removed_under_an_index_run_ends_it_with_a_conflict(
    here: Room, home: Path, documents: Path
) -> None:
    """Nothing is written where nobody would find it."""
    with process(INDEXER, home, documents, "wait") as indexing:
        heard(indexing)
        here.rag.remove(WRITER, "default")
        indexing.communicate("\n" * 20)
        assert indexing.returncode == 1
    assert [each for each in here.data.iterdir() if each.is_dir()] == []


def test_a_lock_that_is_never_given_back_ends_in_a_conflict(
    here: Room, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten seconds; here after none."""
    here.rag.index(WRITER, [documents])
    folder = here.data / here.catalog.get("default").directory
    with process(HOLDER, folder) as holding:
        assert heard(holding) == "held"
        with monkeypatch.context() as patch, pytest.raises(Conflict, match="another ai process"):
            patch.setattr(index, "_PATIENCE_S", 0.0)
            here.rag.query(READER, "otter")
        holding.communicate()
    assert sources(here.rag.query(READER, "otter"))[0] == "00.md"


def test_who_waits_for_an_index_gets_it_between_two_questions(here: Room, documents: Path) -> None:
    """What one question opened stays open for the next, but not for long where others want it."""
    here.rag.index(WRITER, [documents])
    folder = here.data / here.catalog.get("default").directory
    here.rag.query(READER, "otter")
    with process(HOLDER, folder) as holding:
        assert heard(holding) == "held"
        holding.communicate()
    assert sources(here.rag.query(READER, "otter"))[0] == "00.md"


def test_another_program_that_holds_the_shard_is_named_as_such(here: Room, documents: Path) -> None:
    """Not ours, so it does not know our lock; the engine's own holds."""
    import qdrant_edge

    here.rag.index(WRITER, [documents])
    shard = qdrant_edge.EdgeShard.load(str(here.data / here.catalog.get("default").directory))
    with pytest.raises(Conflict, match="another program"):
        here.rag.query(READER, "otter")
    shard.close()


def test_without_the_wheel_documents_are_indexed_and_found_all_the_same(
    here: Room, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On qdrant-client's local mode, which the collection remembers."""
    monkeypatch.setattr(store, "preferred_engine", lambda: "local")
    assert here.rag.engine == "Qdrant local mode"
    here.rag.index(WRITER, [documents])
    (documents / "00.md").unlink()
    assert here.rag.index(WRITER, [documents]).removed == 1
    monkeypatch.undo()
    assert here.rag.show(READER, "default").engine == "local"
    assert sources(here.rag.query(READER, "heron"))[0] == "02.md"


def test_the_room_costs_neither_the_model_nor_the_engines_until_they_are_used() -> None:
    """Listing collections must not import for a second."""
    script = (
        "import sys, localai.rag.service\n"
        "heavy = {'fastembed', 'onnxruntime', 'numpy', 'qdrant_client', 'qdrant_edge'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    with process(script) as importing:
        assert heard(importing) == "[]"
