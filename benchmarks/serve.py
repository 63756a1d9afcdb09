"""What `ai serve` costs: approvals over HTTP, memory over time, models beside llama.cpp's servers.

Client and server share this machine, and the tables say how busy the clients were. Contestants
take turns, so that a slow minute slows all of them:

    python benchmarks/serve.py [--quick] [--only PART ...] [--minutes N]

approvals  80% reads, 10% new requests, 10% decisions on eight keep-alive connections, beside a
           bare twin (serve_twin.py), with the time in which the disk syncs 4 KB
soak       the same load for minutes, and the resident memory at each
gateway    the first token and tokens a second for 1, 2, 4 and 8 clients, beside llama-cpp-python's
           own server, and llama-server if there is one

Exits 1 where a limit is missed.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path

import governance_load
import psutil
import serve_gateway
from governance import Limit, sync_ms
from serve_load import CONNECTIONS, PROCESSES, ROUND, Load, drive

AI = Path(sys.executable).with_name("ai")
TWIN = Path(__file__).with_name("serve_twin.py")
WAITING = 1000  # requests that are there before
FAST_SYNC_MS = 0.5  # the limits of speed hold where the disk is as fast
_WARM_MINUTES = 2


@dataclass(frozen=True)
class Counts:
    """How much of everything."""

    turns: int = 5
    seconds: float = 8
    minutes: float = 10
    answers: int = 6


QUICK = Counts(turns=2, seconds=2, minutes=0.2, answers=1)


@dataclass(frozen=True)
class Server:
    """A server at work: where, which key it wants, and its process."""

    address: tuple[str, int]
    key: str
    process: "subprocess.Popen[str]"


@contextmanager
def started(command: list[str | Path], key: str = "") -> Iterator[Server]:
    """A server that says where it listens; ended with this."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://([\d.]+):(\d+)", said)
        assert found, said
        try:
            yield Server((found[1], int(found[2])), key, process)
        finally:
            process.terminate()


@contextmanager
def ours(folder: Path) -> Iterator[Server]:
    """`ai serve` of a home in which requests wait; its operator's key."""
    with closing(governance_load.home(folder)) as app:
        governance_load.fill(app, WAITING)
        made = app.api_keys.create(app.actor, app.actor.user_id, lifetime_s=86_400)
    flags = ("approvals.timeout=1d", "rate_limits.calls=100000/1s", "server.port=0")
    options = [word for flag in flags for word in ("--set", flag)]
    with started([AI, "--home", folder, *options, "serve"], made.key) as server:
        yield server


def load(pool: Pool, server: Server, seconds: float) -> Load:
    """What all connections do in so many seconds."""
    jobs = [(seconds, server.address, server.key, place) for place in range(PROCESSES)]
    return Load(pool.starmap(drive, jobs, chunksize=1))


def approvals(folder: Path, counts: Counts) -> list[Limit]:
    """Requests, decisions and reads, ours and the twin's."""
    found: dict[str, list[Load]] = {"ai serve": [], "bare twin": []}
    busy: dict[str, list[float]] = {name: [] for name in found}
    syncs = []
    with ExitStack() as stack:
        pool = stack.enter_context(get_context("spawn").Pool(PROCESSES))
        servers = {
            "ai serve": stack.enter_context(ours(folder / "approvals")),
            "bare twin": stack.enter_context(started([sys.executable, TWIN, folder / "twin.db"])),
        }
        for turn in range(counts.turns + 1):
            syncs.append(sync_ms(folder))
            for name in sorted(servers, reverse=bool(turn % 2)):
                before = _cpu(servers[name])
                done = load(pool, servers[name], counts.seconds if turn else 1)
                if turn:  # the first loads what it needs
                    found[name].append(done)
                    busy[name].append((_cpu(servers[name]) - before) / done.shares[0].seconds)
    return _told(found, busy, statistics.median(syncs))


def _cpu(server: Server) -> float:
    """Seconds of processor time so far."""
    times = psutil.Process(server.process.pid).cpu_times()
    return times.user + times.system


def _told(
    found: Mapping[str, list[Load]], busy: Mapping[str, list[float]], sync: float
) -> list[Limit]:
    connections = PROCESSES * CONNECTIONS
    print(f"\napprovals: {connections} connections, client and server on this machine")
    print(f"synchronous=FULL; a sync takes {sync:.2f} ms; cores says how many were busy")
    print(f"{'':12}{'':10}{'a second':>10}{'P50 ms':>9}{'P95 ms':>9}{'server':>9}{'clients':>9}")
    cuts = {}
    for name, loads in found.items():
        rate = statistics.median(each.rate for each in loads)
        together = Load([share for each in loads for share in each.shares])
        cuts[name] = together.cuts()
        cores = f"{statistics.median(busy[name]):>9.2f}{loads[0].busy:>9.2f}"
        print(f"{name:12}{'all':10}{rate:>10.0f}{cuts[name][0]:>9.1f}{cuts[name][1]:>9.1f}{cores}")
        for kind in dict.fromkeys(ROUND):
            middle, late = together.cuts(kind)
            print(f"{'':12}{kind:10}{'':>10}{middle:>9.1f}{late:>9.1f}")
    mine, its = found.values()
    # Turn by turn: what else the machine does moves both contestants of a turn alike.
    ratio = statistics.median(one.rate / other.rate for one, other in zip(mine, its, strict=True))
    limits = [Limit("approvals, ours/twin", ratio, ">=", 0.5)]
    if sync > FAST_SYNC_MS:
        print(f"limits of speed are for disks that sync in {FAST_SYNC_MS} ms; this one is slower")
        return limits
    rate = statistics.median(each.rate for each in mine)
    limits.append(Limit("approvals, requests a second", rate, ">=", 250))
    return [*limits, Limit("approvals, P95 in ms", cuts["ai serve"][1], "<", 50)]


def soak(folder: Path, counts: Counts) -> list[Limit]:
    """The load of approvals for minutes; memory at the end of each."""
    minutes = max(1, round(counts.minutes))
    seconds = 60 * counts.minutes / minutes
    print(f"\nsoak: the load of approvals for {counts.minutes:g} minutes")
    print(f"{'minute':10}{'MB':>8}{'a second':>10}{'P95 ms':>9}{'sync ms':>9}")
    sizes = []
    with get_context("spawn").Pool(PROCESSES) as pool, ours(folder / "soak") as server:
        for minute in range(1, minutes + 1):
            done = load(pool, server, seconds)
            sizes.append(psutil.Process(server.process.pid).memory_info().rss / 1e6)
            figures = f"{sizes[-1]:>8.1f}{done.rate:>10.0f}{done.cuts()[1]:>9.1f}"
            print(f"{minute:<10}{figures}{sync_ms(folder):>9.2f}", flush=True)
    warm = sizes[min(_WARM_MINUTES, len(sizes)) - 1]
    return [Limit("soak, memory at the end/warm", sizes[-1] / warm, "<=", 1.05)]


def gateway(folder: Path, counts: Counts) -> list[Limit]:
    """Models over HTTP."""
    return serve_gateway.contest(folder, counts.answers)


PARTS: dict[str, Callable[[Path, Counts], list[Limit]]] = {
    "approvals": approvals,
    "soak": soak,
    "gateway": gateway,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small counts, to try it")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=[*PARTS], metavar="PART")
    parser.add_argument("--minutes", type=float, help="of the soak")
    given = parser.parse_args()
    counts = QUICK if given.quick else Counts()
    if given.minutes:
        counts = Counts(counts.turns, counts.seconds, given.minutes, counts.answers)
    for name in [name for name in os.environ if name.startswith("LOCALAI_")]:
        del os.environ[name]
    limits = []
    with tempfile.TemporaryDirectory(prefix="localai-serve-") as scratch:
        for part in given.only:
            limits += PARTS[part](Path(scratch), counts)
    print(f"\n{'limit':44}{'found':>10}{'':>4}{'limit':>6}")
    for each in limits:
        missed = "" if each.is_kept else "  missed"
        print(f"{each.what:44}{each.found:>10.2f}{each.sign:>4}{each.bound:>6g}{missed}")
    return 0 if all(each.is_kept for each in limits) else 1


if __name__ == "__main__":
    sys.exit(main())
