"""What governance costs: permission checks, decisions, races, and lists over a million requests.

Every figure stands beside the time in which the same folder syncs 4 KB, and beside its peers in
the same run; contestants take turns, so that a slow minute slows all of them:

    python benchmarks/governance.py [--quick] [--only PART ...] [--million DIR]

Homes are made in a temporary folder (TMPDIR says where) and removed. Exits 1 where a limit is
missed.
"""

import argparse
import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import operator
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, time_ns

import governance_load as load
import governance_million as million

from localai.app import App
from localai.core.errors import Denied
from localai.rbac.permissions import PERMISSIONS, ROLES, Actor, Role

AI = Path(sys.executable).with_name("ai")
PROCESSES = (1, 4, 8)
RACERS = 8
FASTEST = 10_000  # more decisions a second than any contestant makes
CASBIN = "2.8.0"
MODEL = """
[request_definition]
r = sub, obj
[policy_definition]
p = sub, obj
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.obj == p.obj && g(r.sub, p.sub)
"""
SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">=": operator.ge,
}

Pair = tuple[str, str]


@dataclass(frozen=True)
class Counts:
    """How much of everything."""

    checks: int = 50_000
    peer_checks: int = 5_000
    seconds: float = 3
    turns: int = 5
    rounds: int = 20
    requests: int = 10_000
    rows: int = 1_000_000
    commands: int = 9


QUICK = Counts(2_000, 200, 0.5, 2, 1, 40, 20_000, 3)


@dataclass(frozen=True)
class Limit:
    """A figure that was found, and what it must be."""

    what: str
    found: float
    sign: str
    bound: float

    @property
    def is_kept(self) -> bool:
        """Whether it is what it must be."""
        return SIGNS[self.sign](self.found, self.bound)


def sync_ms(folder: Path, times: int = 100) -> float:
    """The median milliseconds in which the folder's disk takes 4 KB."""
    file = folder / "sync"
    handle = os.open(file, os.O_WRONLY | os.O_CREAT)
    took = []
    for _ in range(times):
        started = perf_counter()
        os.write(handle, b"x" * 4096)
        os.fsync(handle)
        took.append(perf_counter() - started)
    os.close(handle)
    file.unlink()
    return statistics.median(took) * 1000


def checks(folder: Path, counts: Counts) -> list[Limit]:
    """Permission checks of users who hold what is asked, and the end of a role."""
    with closing(load.home(folder / "checks")) as app:
        for role in Role:
            app.users.add(app.actor, f"a-{role}", [role])
        pairs = [
            (f"a-{role}", name) for role in Role for name in PERMISSIONS if name in ROLES[role]
        ]
        rounds = 5
        contestants = {"Rbac.require": (_ours(app), counts.checks // rounds)}
        if (casbin := _casbin()) is not None:
            version = importlib.metadata.version("pycasbin")
            contestants[f"pycasbin {version}"] = (casbin, counts.peer_checks // rounds)
        took: dict[str, list[float]] = {name: [] for name in contestants}
        syncs = []
        for _ in range(rounds):
            syncs.append(sync_ms(folder))
            for name, (check, count) in contestants.items():
                took[name] += _timed(check, pairs, count)
        print(f"\npermission checks, microseconds; a sync takes {statistics.median(syncs):.2f} ms")
        print(f"{'':22}{'checks':>8}{'P50':>9}{'P95':>9}{'P99':>9}")
        p95 = {}
        for name, found in took.items():
            cuts = statistics.quantiles(found, n=100)
            p95[name] = cuts[94]
            print(f"{name:22}{len(found):>8}{cuts[49]:>9.1f}{cuts[94]:>9.1f}{cuts[98]:>9.1f}")
        if casbin is None:
            print(f"{'pycasbin':22}not installed: pip install pycasbin=={CASBIN}")
        _revoke(app)
    return [Limit("permission check, P95 in microseconds", p95["Rbac.require"], "<=", 50)]


def _ours(app: App) -> Callable[[str, str], object]:
    actors = {name: Actor(name) for name in (f"a-{role}" for role in Role)}
    return lambda user, permission: app.rbac.require(actors[user], permission)


def _casbin() -> Callable[[str, str], object] | None:
    if importlib.util.find_spec("casbin") is None:
        return None
    casbin = importlib.import_module("casbin")
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
    enforcer.add_policies([[role, name] for role in Role for name in sorted(ROLES[role])])
    enforcer.add_grouping_policies([[f"a-{role}", role] for role in Role])

    def check(user: str, permission: str) -> None:
        assert enforcer.enforce(user, permission)

    assert not enforcer.enforce("a-viewer", "users:write")
    return check


def _timed(check: Callable[[str, str], object], pairs: Sequence[Pair], count: int) -> list[float]:
    took = []
    for user, permission in itertools.islice(itertools.cycle(pairs), count):
        started = perf_counter()
        check(user, permission)
        took.append((perf_counter() - started) * 1_000_000)
    return took


def _revoke(app: App, times: int = 3) -> None:
    """Another process takes the role away; the next check here is refused."""
    worker = Actor("worker")
    app.users.add(app.actor, "worker", ["operator"])
    for _ in range(times):
        app.users.set_roles(app.actor, "worker", ["operator"])
        app.rbac.require(worker, "approvals:decide")
        _ai(app.directories.config, "users", "set-role", "worker", "viewer")
        try:
            app.rbac.require(worker, "approvals:decide")
        except Denied:
            continue
        raise AssertionError("a role that another process took away still allows")
    print(f"a role that another process takes away: refused at the next check, {times} of {times}")


def decisions(folder: Path, counts: Counts) -> list[Limit]:
    """Decisions a second with their audit, ours and the peers', by one process and by several."""
    limits = []
    print("\ndecisions with audit, synchronous=FULL")
    print(f"medians of {counts.turns} turns of {counts.seconds:g} s, and the longest wait of all")
    columns = f"{'processes':10}{'':18}{'a second':>10}{'ours/its':>9}{'fairness':>9}"
    print(f"{columns}{'longest ms':>11}{'sync ms':>9}")
    with closing(load.home(folder / "decisions")) as app:
        for processes in PROCESSES:
            turns, syncs = _turns(app, processes, counts)
            limits += _told(processes, turns, syncs)
        states, votes, audited = load.truth_of(app)
        decided = sum(state == "approved" for state in states.values())
        assert decided == votes == audited, "a decision lacks its vote or its audit row"
        assert app.audit.verify().is_whole, "the chain of the audit is broken"
    return limits


def _turns(
    app: App, processes: int, counts: Counts
) -> tuple[dict[str, list[list[load.Share]]], list[float]]:
    home, names = app.directories.config, [*load.CONTESTANTS]
    turns: dict[str, list[list[load.Share]]] = {name: [] for name in names}
    syncs = []
    with load.crowd(processes) as pool:
        for turn in range(counts.turns):
            syncs.append(sync_ms(home))
            for name in names[turn % 3 :] + names[: turn % 3]:
                load.fill(app, int(counts.seconds * FASTEST))
                jobs = [(counts.seconds, home, name, n, processes) for n in range(processes)]
                turns[name].append(pool.starmap(load.decide_for, jobs, chunksize=1))
    return turns, syncs


def _told(
    processes: int, turns: dict[str, list[list[load.Share]]], syncs: list[float]
) -> list[Limit]:
    ours, core, _ = turns
    rates = {
        name: [sum(share.done / share.took for share in shares) for shares in found]
        for name, found in turns.items()
    }
    fair, longest, ratio = {}, {}, {}
    for name, found in turns.items():
        done = [[share.done for share in shares] for shares in found]
        fair[name] = statistics.median(min(each) / max(each) for each in done)
        longest[name] = max(share.longest for shares in found for share in shares) * 1000
        pairs = zip(rates[ours], rates[name], strict=True)
        ratio[name] = statistics.median(mine / its for mine, its in pairs)
        print(
            f"{processes:<10}{name:18}{statistics.median(rates[name]):>10.0f}{ratio[name]:>9.2f}"
            f"{fair[name]:>9.2f}{longest[name]:>11.0f}{statistics.median(syncs):>9.2f}",
            flush=True,
        )
    return [
        Limit(f"decisions of {processes}, ours/Core loop", ratio[core], ">=", 0.6),
        Limit(f"decisions of {processes}, fairness", fair[ours], ">=", 0.7),
        Limit(f"decisions of {processes}, longest ms", longest[ours], "<", 250),
    ]


def race(folder: Path, counts: Counts) -> list[Limit]:
    """All processes decide about every request; one of them is told that it did."""
    print(f"\nrace of {RACERS} processes for {counts.requests} requests, each round in a new home")
    print(f"{'round':8}{'winners':>9}{'refused':>9}{'wrong':>7}{'seconds':>9}{'sync ms':>9}")
    wrong = 0
    with load.crowd(RACERS) as pool:
        for number in range(counts.rounds):
            with (
                tempfile.TemporaryDirectory(dir=folder) as place,
                closing(load.home(Path(place))) as app,
            ):
                app.users.add(app.actor, load.OPERATOR, ["operator"])
                load.fill(app, counts.requests)
                jobs = [(Path(place), n) for n in range(RACERS)]
                told = pool.starmap(load.race, jobs, chunksize=1)
                found, sync = _wrong(app, told), sync_ms(Path(place))
            wrong += found
            won = sum(len(each.won) for each in told)
            refused = sum(each.otherwise["conflict"] for each in told)
            took = max(each.took for each in told)
            figures = f"{won:>9}{refused:>9}{found:>7}{took:>9.1f}{sync:>9.2f}"
            print(f"{number + 1:<8}{figures}", flush=True)
    return [Limit("race, requests without one true winner", wrong, "<=", 0)]


def _wrong(app: App, told: Sequence[load.Told]) -> int:
    """The requests that had not one winner, or are not what the winner was told."""
    states, votes, audited = load.truth_of(app)
    winners = Counter(request for each in told for request in each.won)
    decided = {request: state for each in told for request, state in each.won.items()}
    assert len(states) == votes == audited, "a decision lacks its vote or its audit row"
    assert {name for each in told for name in each.otherwise} <= {"conflict"}, told
    assert app.audit.verify().is_whole, "the chain of the audit is broken"
    return sum(
        winners[request] != 1 or decided[request] != state for request, state in states.items()
    )


def commands(folder: Path, counts: Counts) -> list[Limit]:
    """The list and the statistics over many requests, against a home without any."""
    empty = folder / "empty"
    shutil.rmtree(empty, ignore_errors=True)
    load.home(empty).close()
    full = million.ready(folder, counts.rows, empty)
    _exact(full)
    limits = []
    columns = f"{'whole command, median ms':24}{counts.rows:>11,}{'empty':>9}{'ratio':>7}"
    print(f"\n{columns}{'sync ms':>9}")
    for verb in ("list", "stats"):
        took: dict[Path, list[float]] = {full: [], empty: []}
        syncs = []
        for turn in range(counts.commands + 1):
            syncs.append(sync_ms(folder))
            for home in sorted(took, reverse=bool(turn % 2)):
                started = perf_counter()
                _ai(home, "approvals", verb)
                if turn:  # the first reads from disk
                    took[home].append(perf_counter() - started)
        ours, bare = (statistics.median(found) * 1000 for found in took.values())
        name, ratio = f"ai approvals {verb}", ours / bare
        print(f"{name:24}{ours:>11.0f}{bare:>9.0f}{ratio:>7.2f}{statistics.median(syncs):>9.2f}")
        limits.append(Limit(f"{name}, {counts.rows:,} rows/empty", ratio, "<=", 1.1))
    return limits


def _ai(home: Path, *words: str) -> bytes:
    return subprocess.run([AI, "--home", home, *words], check=True, capture_output=True).stdout


def _exact(home: Path) -> None:
    """Compare the statistics with those of the rows: all of them, and since several moments."""
    shown = json.loads(_ai(home, "approvals", "stats", "--since", "30d", "--json"))
    now, hour = time_ns() // 1000, 3_600_000_000
    with closing(load.home(home)) as app:
        differing = million.differences(app, 0, shown)
        a_row = million.some_moment(app)
        moments = [now - 7 * 24 * hour, now - 24 * hour, now - 5 * hour, a_row, a_row + 1]
        for since in moments:
            differing += million.differences(app, since)
    assert not differing, "\n".join(differing)
    told = f"\nthe statistics of {shown['total']:,} requests are those of the rows"
    print(f"{told}, and so are those since {len(moments)} moments")


PARTS: dict[str, Callable[[Path, Counts], list[Limit]]] = {
    "checks": checks,
    "decisions": decisions,
    "race": race,
    "million": commands,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small counts, to try it")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=[*PARTS], metavar="PART")
    parser.add_argument("--rounds", type=int, help="of the race")
    parser.add_argument("--requests", type=int, help="in each round of the race")
    parser.add_argument("--million", type=Path, metavar="DIR", help="keep the many requests here")
    given = parser.parse_args()
    counts = QUICK if given.quick else Counts()
    rounds, requests = given.rounds or counts.rounds, given.requests or counts.requests
    counts = replace(counts, rounds=rounds, requests=requests)
    # What a person has set is no part of it: neither here nor in the processes started here.
    for name in [name for name in os.environ if name.startswith("LOCALAI_")]:
        del os.environ[name]
    limits = []
    with tempfile.TemporaryDirectory(prefix="localai-governance-") as scratch:
        for part in given.only:
            folder = Path(scratch)
            if part == "million" and given.million:
                folder = given.million.absolute()
                folder.mkdir(parents=True, exist_ok=True)
            limits += PARTS[part](folder, counts)
    print(f"\n{'limit':44}{'found':>10}{'':>4}{'limit':>6}")
    for each in limits:
        missed = "" if each.is_kept else "  missed"
        print(f"{each.what:44}{each.found:>10.2f}{each.sign:>4}{each.bound:>6g}{missed}")
    return 0 if all(each.is_kept for each in limits) else 1


if __name__ == "__main__":
    sys.exit(main())
