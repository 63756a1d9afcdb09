"""What serve.py lets many connections ask at once: read, ask for something, decide about it.

Clients are threads of a few processes with a connection each, and of nothing but `http.client`, so
that it is the server that is measured.
"""

import json
import random
import statistics
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection

PATH = "/api/v1/approvals"
PROCESSES, CONNECTIONS = 2, 4  # of each process
ROUND = ("new", "decide") + ("one",) * 6 + ("list",) * 2  # in an order of its own each time
_ARGUMENTS = {"service": "shop", "version": "1.4.2", "note": "as read in the change request"}
_PATIENCE_S = 60


@dataclass(frozen=True)
class Share:
    """What one process did: milliseconds of each request by its kind; seconds, and those busy."""

    took: Mapping[str, Sequence[float]]
    seconds: float
    busy: float


@dataclass(frozen=True)
class Load:
    """What all processes did together."""

    shares: Sequence[Share]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return sum(
            len(found) / each.seconds for each in self.shares for found in each.took.values()
        )

    @property
    def busy(self) -> float:
        """How much of a core the clients took."""
        return sum(each.busy / each.seconds for each in self.shares)

    def took(self, kind: str | None = None) -> list[float]:
        """Milliseconds of every request, or of those of a kind."""
        return [
            each
            for share in self.shares
            for name, found in share.took.items()
            for each in found
            if kind in (None, name)
        ]

    def cuts(self, kind: str | None = None) -> tuple[float, float]:
        """P50 and P95 in milliseconds."""
        found = statistics.quantiles(self.took(kind), n=20)
        return found[9], found[18]


class Client:
    """One keep-alive connection."""

    def __init__(self, address: tuple[str, int], key: str, seed: object) -> None:
        self._connection = HTTPConnection(*address, timeout=_PATIENCE_S)
        self._headers = {"X-API-Key": key, "Content-Type": "application/json"}
        self._dice = random.Random(str(seed))
        self._mine: deque[str] = deque()
        self.took: defaultdict[str, list[float]] = defaultdict(list)

    def work(self, seconds: float) -> None:
        """Ask for round after round until the time is over."""
        self._new()  # connects, and loads what the server loads at the first request
        self.took.clear()
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for kind in self._dice.sample(ROUND, len(ROUND)):
                getattr(self, f"_{kind}")()
        self._connection.close()

    def _new(self) -> None:
        body = {"tool_name": "deploy", "arguments": _ARGUMENTS, "reason": "the fix"}
        self._mine.append(self._say("new", 201, "POST", "", body)["id"])

    def _decide(self) -> None:
        body = {"action": "approve", "reason": "read and tested"}
        self._say("decide", 200, "PUT", f"/{self._mine.popleft()}", body)
        if not self._mine:
            self._new()

    def _one(self) -> None:
        self._say("one", 200, "GET", f"/{self._mine[0]}")

    def _list(self) -> None:
        self._say("list", 200, "GET", "?limit=20")

    def _say(
        self,
        kind: str,
        status: int,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
    ) -> dict[str, str]:
        text = json.dumps(body) if body else None
        started = time.perf_counter()
        self._connection.request(method, PATH + path, text, self._headers)
        answer = self._connection.getresponse()
        said = answer.read()
        self.took[kind].append((time.perf_counter() - started) * 1000)
        assert answer.status == status, said
        found: dict[str, str] = json.loads(said) if kind == "new" else {}
        return found


def drive(seconds: float, address: tuple[str, int], key: str, place: int) -> Share:
    """What the connections of one process do in so many seconds."""
    clients = [Client(address, key, f"{place} {number}") for number in range(CONNECTIONS)]
    threads = [threading.Thread(target=each.work, args=(seconds,)) for each in clients]
    started, busy = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = {kind: [ms for each in clients for ms in each.took[kind]] for kind in set(ROUND)}
    assert all(took.values()), "a client ended early"
    return Share(took, time.perf_counter() - started, time.process_time() - busy)
