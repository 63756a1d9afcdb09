"""What documents cost: indexing them, asking them, and a whole `ai rag query`.

Texts are made up (see corpus.py), the model and the engine are those that ship, and all runs on
one core:

    python benchmarks/rag.py [--only PART ...] [--sizes N ...]

index     passages a second of a whole run over files, against fastembed alone on the same passages
held      how long a run that indexes keeps others out: the longest time that the lock was held
query     milliseconds of a question inside the process, its disk and memory (all that is resident,
          and of it what is not pages of files, which the kernel takes back when it needs them), at
          growing sizes, and by arithmetic at a million passages
process   seconds of `ai rag query --no-answer`, against a script with the same imports that opens
          the same index and asks it the same

Exits 1 where a target is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import contest
import corpus
from contest import Target
from fastembed import TextEmbedding

from localai.app import App
from localai.core.directories import locate
from localai.rag import edge
from localai.rag.chunks import Chunk, cut
from localai.rag.embed import SHIPPED_FOLDER, Embedder
from localai.rag.records import SHIPPED_MODEL
from localai.rag.sources import Source, read
from localai.rbac.permissions import Actor

AI = Path(sys.executable).with_name("ai")
PASSAGES = 5000
MILLION = 1_000_000
MOST_MS = 15.0
MOST_MB = 300.0
MOST_HELD_MS = 500.0
MORE = 8000  # passages that are added to see how long that keeps others out

ASKER = """
import json, resource, sys, time
from pathlib import Path
from localai.app import App
asked = sys.stdin.read().splitlines()
app = App(Path(sys.argv[1]))
actor, took = app.actor, []
for text in asked:
    started = time.perf_counter()
    app.rag.query(actor, text)
    took.append((time.perf_counter() - started) * 1000)
pages = map(int, Path("/proc/self/statm").read_text().split()[1:3])
rss, of_files = (each * resource.getpagesize() / 1e6 for each in pages)
print(json.dumps({"took": took, "rss": rss, "own": rss - of_files}))
"""

# What `ai rag query` imports before it can answer; a script that uses less would do less.
SCRIPT = """
import sqlite3, sys
import typer, rich.console, sqlalchemy, mmh3, py_rust_stemmers, numpy
import qdrant_edge as edge
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
database, data, model, text = sys.argv[1:]
TextEmbedding.add_custom_model(model="shipped", pooling=PoolingType.DISABLED, normalization=False,
    sources=ModelSource(hf="localai/none"), dim=192, model_file="model.onnx", license="apache-2.0")
with sqlite3.connect(database) as rows:
    (folder,) = rows.execute("SELECT directory FROM rag_collections").fetchone()
dense = next(iter(TextEmbedding("shipped", specific_model_path=model, threads=1).embed([text])))
words = {mmh3.hash(word, signed=False): 1.0 for word in text.split()}
sparse = edge.SparseVector(indices=sorted(words), values=[1.0] * len(words))
shard = edge.EdgeShard.load(f"{data}/{folder}")
legs = [edge.Prefetch(limit=100, query=edge.Query.Nearest(sparse, using="bm25")),
        edge.Prefetch(limit=100, query=edge.Query.Nearest(dense.tolist(), using="dense"))]
found = shard.query(edge.QueryRequest(limit=5, query=edge.Fusion.Rrf(k=10, weights=[1.0, 0.5]),
                                      prefetches=legs, with_payload=True))
for point in found:
    print(point.payload["source"], point.payload["text"])
shard.close()
"""


@dataclass(frozen=True)
class Field:
    """Where it is played."""

    scratch: Path
    sizes: Sequence[int]
    rounds: int

    def home(self, size: int) -> Path:
        """A home with so many passages, made when it is first wanted."""
        home = self.scratch / f"home-{size}"
        if not home.exists():
            documents = corpus.write(self.scratch / f"documents-{size}", size)
            with opened(home) as (app, actor):
                app.rag.index(actor, [documents])
        return home


@contextmanager
def opened(home: Path) -> Iterator[tuple[App, Actor]]:
    """The library on a home, and its operator."""
    app = App(home)
    try:
        app.initialise()
        yield app, app.actor
    finally:
        app.close()


def index(field: Field) -> bool:
    """A whole run, against the embedding alone."""
    documents = corpus.write(field.scratch / "english", PASSAGES, is_mixed=False)
    texts = [piece.indexed for file in sorted(documents.iterdir()) for piece in _cut(file)]
    Embedder(SHIPPED_MODEL, field.scratch).load()  # makes the model known to fastembed
    bare = TextEmbedding(SHIPPED_MODEL, specific_model_path=str(SHIPPED_FOLDER), threads=1)
    cpu: dict[str, list[float]] = {"ai rag index": [], "fastembed": []}

    def timed(name: str, work: Callable[[], object]) -> float:
        started = perf_counter(), process_time()
        work()
        cpu[name].append(len(texts) / (process_time() - started[1]))
        return len(texts) / (perf_counter() - started[0])

    with opened(field.scratch / "home-index") as (app, actor):

        def whole() -> float:
            found = timed("ai rag index", lambda: app.rag.index(actor, [documents]))
            app.rag.remove(actor, "default")
            return found

        def alone() -> float:
            return timed("fastembed", lambda: list(bare.passage_embed(texts, batch_size=64)))

        wall = contest.held({"ai rag index": whole, "fastembed": alone}, field.rounds)
    targets = [Target("ai rag index", "fastembed", 0.8)]
    is_met = contest.report("passages/s", wall, targets)
    print("\nof CPU time")
    counted = {name: figures[1:] for name, figures in cpu.items()}
    return contest.report("passages/s", counted, targets) or is_met


def _cut(file: Path) -> list[Chunk]:
    source = read(file, file.parent)
    assert isinstance(source, Source)
    return cut(source)


def held(field: Field) -> bool:
    """How long others wait for who writes; who only asks gives way at once."""
    print(f"\n{'passages':>10}{'median ms':>12}{'longest ms':>12}{'of CPU':>10}")
    longest = 0.0
    for size in field.sizes:
        home = field.home(size)
        more = corpus.write(field.scratch / f"more-{size}", MORE)
        times = _Times()
        with times.taken(), opened(home) as (app, actor):
            app.rag.index(actor, [more])
            for file in sorted(more.iterdir())[:5]:
                file.write_text("# Changed\n\n" + file.read_text(encoding="utf-8"), "utf-8")
            app.rag.index(actor, [more])
        longest = max(times.wall)
        median = statistics.median(times.wall)
        print(f"{size:>10,}{median:>12.0f}{longest:>12.0f}{max(times.cpu):>10.0f}")
    return _within("longest ms", longest, MOST_HELD_MS)


class _Times:
    """Milliseconds that the lock of an index was held, each time."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    @contextmanager
    def taken(self) -> Iterator[None]:
        """While this is entered."""
        own = edge.alone

        @contextmanager
        def alone(folder: Path) -> Iterator[Callable[[], bool]]:
            with own(folder) as is_wanted:
                started = perf_counter(), process_time()
                yield is_wanted
                self.wall.append((perf_counter() - started[0]) * 1000)
                self.cpu.append((process_time() - started[1]) * 1000)

        edge.alone = alone
        try:
            yield
        finally:
            edge.alone = own


def query(field: Field) -> bool:
    """A question, where the library is loaded already."""
    print(
        f"\n{'passages':>10}{'p50 ms':>9}{'p95 ms':>9}{'first ms':>10}"
        f"{'RSS MB':>8}{'own MB':>8}{'disk MB':>9}"
    )
    figures = []
    for size in field.sizes:
        home = field.home(size)
        asked = "\n".join(corpus.questions(300)).encode()
        asker = [sys.executable, "-c", ASKER, home]
        done = subprocess.run(asker, input=asked, capture_output=True, check=True)
        found = json.loads(done.stdout)
        first, *took = found["took"]
        cuts = statistics.quantiles(took, n=20)
        disk = _disk(locate(home).data / "rag")
        memory = found["rss"], found["own"]
        figures.append((statistics.median(took), cuts[18], first, *memory, disk))
        line = "{:>9.1f}{:>9.1f}{:>10.0f}{:>8.0f}{:>8.0f}{:>9.0f}".format(*figures[-1])
        print(f"{size:>10,}{line}")
    if len(figures) > 1:
        _by_arithmetic(field.sizes[-2:], figures[-2:])
    _, p95, _, rss, _, _ = figures[-1]
    is_fast = _within("p95 ms", p95, MOST_MS)
    return _within("RSS MB", rss, MOST_MB) and is_fast


def _by_arithmetic(sizes: Sequence[int], figures: Sequence[Sequence[float]]) -> None:
    """A straight line through the two largest sizes, as far as a million."""
    share = (MILLION - sizes[0]) / (sizes[1] - sizes[0])
    p50, p95, first, rss, own, disk = (
        less + share * (more - less) for less, more in zip(*figures, strict=True)
    )
    line = f"{p50:>9.0f}{p95:>9.0f}{first:>10.0f}{rss:>8.0f}{own:>8.0f}{disk:>9.0f}"
    print(f"{MILLION:>10,}{line}  reckoned")


def _disk(folder: Path) -> float:
    """Megabytes that the folder takes; files of a log are sparse."""
    return sum(each.stat().st_blocks * 512 for each in folder.rglob("*")) / 1e6


def _within(name: str, found: float, most: float) -> bool:
    missed = "" if found < most else "  missed"
    print(f"{name:<48}{found:>8.1f}{f'< {most:.0f}':>10}{missed}")
    return found < most


def process(field: Field) -> bool:
    """The whole command."""
    met = True
    for size in field.sizes:
        home = field.home(size)
        places = locate(home)
        text = next(corpus.questions(1))
        ours = [AI, "--home", home, "rag", "query", "--no-answer", text]
        stored = [places.database_file, places.data / "rag", SHIPPED_FOLDER, text]
        turns = {
            "ai rag query": partial(_process, ours),
            "script": partial(_process, [sys.executable, "-c", SCRIPT, *stored]),
        }
        print(f"\nof {size:,} passages")
        targets = [Target("ai rag query", "script", 1.5, is_limit=True)]
        met = contest.report("s", contest.held(turns, field.rounds), targets) and met
    return met


def _process(command: list[str | Path]) -> float:
    started = perf_counter()
    done = subprocess.run(command, capture_output=True, check=True)
    took = perf_counter() - started
    assert done.stdout, f"{command[0]} found nothing"
    return took


PARTS: dict[str, Callable[[Field], bool]] = {
    "index": index,
    "query": query,
    "process": process,
    "held": held,
}


def main() -> int:
    """Make the documents and hold the contests."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 10_000, 50_000], metavar="N")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    met = True
    with tempfile.TemporaryDirectory(prefix="localai-rag-") as scratch:
        field = Field(Path(scratch), sorted(given.sizes), given.rounds)
        print(f"one core, {field.rounds} rounds")
        for name in given.only:
            print(f"\n{name}")
            met = PARTS[name](field) and met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
