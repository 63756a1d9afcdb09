"""Several processes use one home's documents at once: nobody sees an error, nothing is lost."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from localai.app import App

SECONDS = 60.0 if os.environ.get("PROVE") == "1" else 5.0
AI = Path(sys.executable).with_name("ai")
FILES = 40

# Asks the home argv[1] without a pause until its stdin ends; says how long the longest took.
ASKER = """
import sys, threading, time
from pathlib import Path
from localai.app import App

over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
app = App(Path(sys.argv[1]))
longest = asked = 0
while not over.is_set():
    started = time.monotonic()
    assert app.rag.query(app.actor, "who lives in the burrow").passages
    longest, asked = max(longest, time.monotonic() - started), asked + 1
print(asked, longest)
app.close()
"""


@dataclass(frozen=True)
class Ran:
    """One command that ended."""

    code: int
    said: str
    complaint: str
    seconds: float


def _ai(home: Path, *words: object) -> Ran:
    started = monotonic()
    done = subprocess.run(
        [AI, "--home", home, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Ran(done.returncode, done.stdout, done.stderr, monotonic() - started)


@contextmanager
def _asking(home: Path, found: list[str]) -> Iterator[None]:
    """A process that asks on and on."""
    with subprocess.Popen(
        [sys.executable, "-c", ASKER, home],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as asking:
        yield
        said, complaint = asking.communicate()
        assert (asking.returncode, complaint) == (0, "")
        found.append(said)


def _change(folder: Path, turn: int) -> None:
    """A new file, a changed one, and one that is gone."""
    for number in (turn, turn + FILES // 2):
        text = f"# Animal {number}\n\nThe animal of turn {turn} lives in the burrow.\n" * 20
        (folder / f"{number % FILES:02}.md").write_text(text, encoding="utf-8")
    (folder / f"{(turn + 7) % FILES:02}.md").unlink(missing_ok=True)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_indexing_asking_and_listing_at_once_disturb_nobody(tmp_path: Path) -> None:
    """Every command ends with 0 and no complaint; in the end the index is as the folder is."""
    home, folder = tmp_path / "home", tmp_path / "documents"
    folder.mkdir()
    for turn in range(FILES):
        _change(folder, turn)
    assert _ai(home, "init").code == 0
    assert _ai(home, "rag", "index", folder).code == 0
    until, turns = monotonic() + SECONDS, count(1)

    def indexed() -> Ran:
        _change(folder, next(turns))
        return _ai(home, "rag", "index", folder)

    def again(command: Callable[[], Ran]) -> list[Ran]:
        found = [command()]
        while monotonic() < until:
            found.append(command())
        return found

    asked: list[str] = []
    commands = [
        indexed,
        lambda: _ai(home, "rag", "query", "--no-answer", "who lives in the burrow"),
        lambda: _ai(home, "rag", "collections", "list"),
    ]
    with ExitStack() as stack, ThreadPoolExecutor(len(commands)) as threads:
        stack.enter_context(_asking(home, asked))
        results = list(threads.map(again, commands))
    bad = [ran for each in results for ran in each if ran.code or ran.complaint or not ran.said]
    assert bad == []
    longest = max(ran.seconds for ran in results[1])
    print([len(each) for each in results], f"{longest:.1f} s a query; in a process: {asked}")
    _is_as(home, folder)


def _is_as(home: Path, folder: Path) -> None:
    """The index holds the folder's files as they are, and nothing else."""
    app = App(home)
    report = app.rag.index(app.actor, [folder])
    assert (report.added, report.updated, report.removed) == (0, 0, 0)
    assert report.unchanged == len(list(folder.iterdir()))
    shown = app.rag.show(app.actor, "default")
    store = app.rag._store
    assert store.index(store.catalog.get("default")).count() == shown.chunks
    app.close()
