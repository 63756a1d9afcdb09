"""kill -9 at every kind of step of documents: nothing told is lost, nothing half done stays."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge
from integration import rag_worker
from rag_home import READER, WRITER, Room, room

from localai.core.errors import NotFound
from localai.rag.kept import Kept

TESTS = Path(__file__).parents[1]
IS_FULL = os.environ.get("PROVE") == "1"
KILLS = 17 if IS_FULL else 2  # of each verb
_CALLS = "write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,unlink,unlinkat,mkdir"
_LIST = "otter badger heron lynx magpie newt owl pike quail raven seal toad vole"
ANIMALS = _LIST.split()

Passages = dict[str, dict[str, Any]]

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index is given back at once, so that it can be looked into."""
    monkeypatch.setattr(Kept, "_watch", Kept.close)


def _write(folder: Path, animals: Sequence[str], note: str = "") -> None:
    folder.mkdir(exist_ok=True)
    for animal in animals:
        parts = (f"## {part}\n\nThe {animal} {part}s. {note}\n" for part in ("eat", "sleep"))
        (folder / f"{animal}.md").write_text(f"# {animal}\n\n" + "\n".join(parts), "utf-8")


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents as they are in the end: some were changed, some are new, two are gone."""
    return tmp_path_factory.mktemp("documents") / "animals"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> dict[str, Path]:
    """The home that each verb starts from."""
    base = tmp_path_factory.mktemp("homes")
    empty, before = base / "empty", base / "before"
    for home in (empty, before):
        room(home).catalog.find("default")  # makes the database
    _write(documents, ANIMALS[:11])
    _run(_command(before, documents, "index"))
    _write(documents, ANIMALS[3:6], "It was seen again.")
    _write(documents, ANIMALS[11:])
    for animal in ANIMALS[:2]:
        (documents / f"{animal}.md").unlink()
    return {"index": empty, "change": before, "remove": before}


@pytest.fixture(scope="module")
def clean(
    tmp_path_factory: pytest.TempPathFactory, homes: dict[str, Path], documents: Path
) -> Passages:
    """What an index made without a crash holds."""
    here = room(tmp_path_factory.mktemp("clean") / "home")
    here.rag.index(WRITER, [documents])
    return _passages(here)


def _command(home: Path, documents: Path, verb: str, last: int = 0) -> list[str]:
    return [sys.executable, rag_worker.__file__, *map(str, (home, documents, verb, last))]


def _run(command: Sequence[str], *ends: int) -> tuple[list[str], int]:
    """What the worker said, and how it ended: 0 where nothing else is told."""
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode in (ends or (0,)), done.stderr
    return done.stdout.splitlines(), done.returncode


def _passages(here: Room) -> Passages:
    """All that the index holds, by id."""
    shard = qdrant_edge.EdgeShard.load(str(here.data / here.catalog.get("default").directory))
    found, _ = shard.scroll(qdrant_edge.ScrollRequest(limit=1000, with_payload=True))
    shard.close()
    return {str(each.id): dict(each.payload or {}) for each in found}


def _judge(home: Path, documents: Path, said: Sequence[str], verb: str, clean: Passages) -> None:
    """At once a question works and what was told is there; the next run ends as without a crash."""
    here = room(home)
    # One that outlived the step it was to die at says last how many there were.
    told = dict(line.split()[::-1] for line in said if " " in line)
    try:
        found = here.rag.query(READER, "which animal sleeps")
    except NotFound:
        assert verb == "remove" or not told
    else:
        assert found.passages or not told
        counts = Counter(each["source"] for each in _passages(here).values())
        for source, action in told.items():
            assert counts[source] == (0 if action == "removed" else 2), (source, action)
    here.rag.index(WRITER, [documents])
    assert _passages(here) == clean
    again = here.rag.index(WRITER, [documents])
    assert (again.unchanged, again.chunks) == (len(clean) // 2, 0)
    if list(here.data.glob("*.unsettled")):  # the next collection made or removed clears up
        here.rag.index(WRITER, [documents], collection="other")
        here.rag.remove(WRITER, "other")
    directory = here.catalog.get("default").directory
    assert {each.name for each in here.data.iterdir()} == {directory, f"{directory}.lock"}
    assert not list((here.data / directory).glob("temp_segments/*"))
    assert not (here.data / directory / "sealing").exists()
    here.database.close()


def _is_struck(
    base: Path, home: Path, documents: Path, verb: str, command: Sequence[str], clean: Passages
) -> bool:
    """Whether it was killed: how many steps there are differs a little from run to run.

    One that outlived the last of them is judged as all others.
    """
    shutil.copytree(base, home)
    said, end = _run(command, 0, -signal.SIGKILL)
    _judge(home, documents, said, verb, clean)
    shutil.rmtree(home)
    return end != 0


def _prove_most(struck: Sequence[bool]) -> None:
    """Nine of ten were killed: else this proves little."""
    assert 10 * sum(struck) >= 9 * len(struck), f"{sum(struck)} killed of {len(struck)}"


def _spread(steps: int) -> list[int]:
    """So many steps, evenly; never the same twice."""
    return sorted({1 + place * steps // KILLS + steps // KILLS // 2 for place in range(KILLS)})


@pytest.mark.prove
@pytest.mark.parametrize("verb", ["index", "change", "remove"])
def test_kill_9_between_any_two_steps_loses_and_leaves_nothing(
    tmp_path: Path, homes: dict[str, Path], documents: Path, clean: Passages, verb: str
) -> None:
    """Before and after each call of the engine, the database and the file system."""
    shutil.copytree(homes[verb], tmp_path / "dry")
    said, _ = _run(_command(tmp_path / "dry", documents, verb))
    struck = []
    for last in _spread(int(said[-1])):
        home = tmp_path / f"home {last}"
        command = _command(home, documents, verb, last)
        struck.append(_is_struck(homes[verb], home, documents, verb, command, clean))
    _prove_most(struck)


@pytest.mark.prove
@pytest.mark.parametrize("verb", ["index", "change"])
def test_kill_9_inside_the_engine_loses_and_leaves_nothing(
    tmp_path: Path, homes: dict[str, Path], documents: Path, clean: Passages, verb: str
) -> None:
    """At what it asks of the kernel, where a file may be half written."""
    shutil.copytree(homes[verb], tmp_path / "dry")
    calls = _calls(tmp_path / "dry", documents, verb)
    struck = []
    for number, (call, nth) in enumerate(calls[place - 1] for place in _spread(len(calls))):
        home = tmp_path / f"home {number}"
        fault = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}"]
        command = ["strace", "-f", "-qq", "-o", "/dev/null", *fault]
        command += _command(home, documents, verb)
        struck.append(_is_struck(homes[verb], home, documents, verb, command, clean))
    _prove_most(struck)


def _calls(home: Path, documents: Path, verb: str) -> list[tuple[str, int]]:
    """The calls of the first thread that touch the home, and the how manieth each is."""
    trace = home.with_suffix(".trace")
    watched = ["strace", "-f", "-qq", "-y", "-e", f"trace={_CALLS}", "-o", str(trace)]
    _run(watched + _command(home, documents, verb))
    counts: Counter[str] = Counter()
    found = []
    lines = [line.split(None, 1) for line in trace.read_text(errors="replace").splitlines()]
    for thread, said in lines:
        match = re.match(r"(\w+)\(", said)
        if thread != lines[0][0] or match is None:
            continue
        counts[match[1]] += 1
        if str(home) in said:
            found.append((match[1], counts[match[1]]))
    return found
