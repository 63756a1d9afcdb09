"""What figures cost: a scrape of a home with a million requests, and being counted.

A scrape goes over HTTP to `ai metrics --serve`, beside the bare exporter of prometheus-client with
as many series, which reads nothing. Decisions and permission checks are made with counting and
without it, in turns, so that a slow minute slows both:

    python benchmarks/metrics.py [--quick] [--million DIR]

Exits 1 where a limit is missed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import perf_counter

import governance_load as load
import governance_million as million
import psutil
from governance import Limit, sync_ms

from localai.app import App
from localai.core.counters import count, observe
from localai.core.metrics import CATALOGUE, Metric
from localai.core.tally import Tally
from localai.rbac.permissions import Actor

AI = Path(sys.executable).with_name("ai")
BARE = """
import sys, time
from prometheus_client import CollectorRegistry, Gauge, start_http_server
registry = CollectorRegistry()
gauge = Gauge("bare", "Nothing.", ["number"], registry=registry)
for number in range(int(sys.argv[1])):
    gauge.labels(str(number)).set(number)
server, thread = start_http_server(0, "127.0.0.1", registry)
print(f"http://127.0.0.1:{server.server_port}/metrics", file=sys.stderr, flush=True)
thread.join()
"""


def scrapes(folder: Path, requests: int, times: int) -> list[Limit]:
    """Scrapes of the large home, of an empty one and of the bare exporter, in turns."""
    empty = folder / "empty"
    load.home(empty).close()
    full = million.ready(folder, requests, empty)
    _use(full)
    commands: dict[str, list[str]] = {
        f"{requests:,} requests": [str(AI), "--home", str(full), "metrics", "--serve", "--port=0"],
        "an empty home": [str(AI), "--home", str(empty), "metrics", "--serve", "--port=0"],
    }
    with _serving(commands[f"{requests:,} requests"]) as (url, _):
        series = sum(not line.startswith("#") for line in _scraped(url)[1].splitlines())
    commands["prometheus-client alone"] = [sys.executable, "-c", BARE, str(series)]
    took: dict[str, list[float]] = {name: [] for name in commands}
    memory = {}
    with _all_serving(commands) as servers:
        for turn in range(times + 1):
            for name, (url, process) in servers.items():
                seconds, _ = _scraped(url)
                if turn:  # the first one loads what it needs
                    took[name].append(seconds * 1000)
                memory[name] = psutil.Process(process.pid).memory_info().rss / 1e6
    print(f"\n{'a scrape, ' + str(series) + ' series':26}{'P50 ms':>9}{'P95 ms':>9}{'MB':>7}")
    for name, found in took.items():
        cuts = statistics.quantiles(found, n=20)
        print(f"{name:26}{cuts[9]:>9.1f}{cuts[18]:>9.1f}{memory[name]:>7.0f}")
    name = next(iter(commands))
    return [
        Limit("a scrape, P95 in ms", statistics.quantiles(took[name], n=20)[18], "<", 50),
        Limit("the exporter, MB", memory[name], "<", 60),
    ]


def _use(home: Path, kinds: int = 5) -> None:
    """Count something of everything that can be counted, for so many tools, models and the like."""
    with closing(load.home(home)) as app, app.database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM counters")  # of an earlier run in the same folder
        for metric in CATALOGUE.values():
            if metric.kind == "gauge":
                continue
            for number in range(kinds):
                labels = [(known or (f"kind-{number}",))[-1] for known in metric.labels.values()]
                if metric.buckets:
                    observe(connection, metric, metric.buckets[number % 5], *labels)
                else:
                    count(connection, metric, *labels)


def _scraped(url: str) -> tuple[float, str]:
    started = perf_counter()
    with urllib.request.urlopen(url, timeout=60) as answer:
        text = answer.read().decode()
    return perf_counter() - started, text


@contextmanager
def _serving(command: list[str]) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process.stderr.readline().split()[-1], process
        finally:
            process.terminate()


@contextmanager
def _all_serving(
    commands: dict[str, list[str]],
) -> Iterator[dict[str, tuple[str, "subprocess.Popen[str]"]]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(_serving(each)) for name, each in commands.items()}


class Uncounted(Tally):
    """Keeps nothing."""

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Forget it."""


@contextmanager
def _both(folder: Path) -> Iterator[dict[str, App]]:
    """One home, once with counting and once without."""
    with closing(load.home(folder)) as counted, closing(load.home(folder)) as uncounted:
        uncounted.tally = Uncounted(uncounted.database)
        yield {"counted": counted, "uncounted": uncounted}


def decisions(folder: Path, turns: int, each: int) -> list[Limit]:
    """Approvals with their audit, with counting and without."""
    took: dict[str, list[float]] = {"counted": [], "uncounted": []}
    with _both(folder / "decisions") as apps:
        for turn in range(turns + 1):
            for name in sorted(apps, reverse=bool(turn % 2)):
                app = apps[name]
                load.fill(app, each)
                ids, digest = load.waiting_in(app)
                waiting = iter(ids)
                seconds = _timed(
                    lambda app=app, waiting=waiting, digest=digest: app.approvals.approve(
                        app.actor, next(waiting), seen_sha256=digest
                    ),
                    each,
                )
                if turn:
                    took[name].append(seconds / each * 1000)
    ratio = statistics.median(took["counted"]) / statistics.median(took["uncounted"])
    _told("a decision, ms", took, sync_ms(folder))
    return [Limit("a decision, counted/uncounted", ratio, "<", 1.05)]


def checks(folder: Path, turns: int, each: int) -> list[Limit]:
    """Allowed permission checks, with counting and without."""
    took: dict[str, list[float]] = {"counted": [], "uncounted": []}
    with _both(folder / "checks") as apps:
        actor = Actor(apps["counted"].actor.user_id)
        for turn in range(turns + 1):
            for name in sorted(apps, reverse=bool(turn % 2)):
                require = apps[name].rbac.require
                seconds = _timed(lambda require=require: require(actor, "audit:read"), each)
                if turn:
                    took[name].append(seconds / each * 1_000_000)
    ratio = statistics.median(took["counted"]) / statistics.median(took["uncounted"])
    _told("an allowed check, microseconds", took, sync_ms(folder))
    return [Limit("an allowed check, counted/uncounted", ratio, "<", 1.05)]


def _timed(act: Callable[[], object], times: int) -> float:
    started = perf_counter()
    for _ in range(times):
        act()
    return perf_counter() - started


def _told(what: str, took: dict[str, list[float]], sync: float) -> None:
    print(f"\n{what:34}{'median':>9}{'worst':>9}   (a sync takes {sync:.2f} ms)")
    for name, found in took.items():
        print(f"{name:34}{statistics.median(found):>9.3f}{max(found):>9.3f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small counts, to try it")
    parser.add_argument("--million", type=Path, metavar="DIR", help="keep the many requests here")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("LOCALAI_")]:
        del os.environ[name]
    requests, times = (20_000, 20) if given.quick else (1_000_000, 200)
    turns, each = (2, 50) if given.quick else (15, 300)
    with tempfile.TemporaryDirectory(prefix="localai-metrics-") as scratch:
        folder = given.million.absolute() if given.million else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        limits = scrapes(folder, requests, times)
        limits += decisions(Path(scratch), turns, each)
        limits += checks(Path(scratch), turns, each * 20)
    print(f"\n{'limit':44}{'found':>10}{'':>4}{'limit':>6}")
    for one in limits:
        missed = "" if one.is_kept else "  missed"
        print(f"{one.what:44}{one.found:>10.2f}{one.sign:>4}{one.bound:>6g}{missed}")
    return 0 if all(one.is_kept for one in limits) else 1


if __name__ == "__main__":
    sys.exit(main())
