"""What the gateway adds to a model: clients that stream answers from it, and from llama.cpp's own.

All servers have the same file, threads and questions, and take turns; each question is new, so that
nobody has read it before. `ai serve` and llama-cpp-python's server answer one after another;
llama-server answers several at once, as far as the cores reach.
"""

import http.client
import json
import random
import shutil
import socket
import statistics
import string
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import governance_load
import shapes
from governance import Limit

from localai.infer import hardware

AI = Path(sys.executable).with_name("ai")
CROWDS = (1, 2, 4, 8)
TOKENS = 32  # of each answer
LETTERS = 100  # of each question, a token a letter
_CONTEXT = 8192
_START_S = 120
_PATIENCE_S = 300
_OURS, _THEIRS, _NATIVE = "ai serve", "llama_cpp.server", "llama-server"


@dataclass(frozen=True)
class Door:
    """Where a server speaks OpenAI's protocol, for whom, and what it calls the model."""

    address: tuple[str, int]
    key: str
    model: str


@dataclass(frozen=True)
class Crowd:
    """What clients that ask at once were given: seconds to each first token, tokens a second."""

    first: Sequence[float]
    rate: float


def contest(folder: Path, rounds: int) -> list[Limit]:
    """Every crowd at every server, in turns; with one client ours is to keep up.

    What several clients are given is shown, in a third of the rounds.
    """
    threads = hardware.physical_cores()
    model = folder / "shape-0.5b.gguf"
    shapes.write_model(model, shapes.SHAPES["0.5b"], shapes.QUANTS["q8_0"])
    print(
        f"\ngateway: {model.name} of random weights, {threads} threads, {TOKENS} tokens an answer"
    )
    print("clients and servers on this machine; medians of the rounds")
    found: dict[tuple[str, int], list[Crowd]] = {}
    with ExitStack() as stack:
        doors = {_OURS: stack.enter_context(_ours(folder / "gateway", model, threads))}
        doors[_THEIRS] = stack.enter_context(_theirs(model, threads))
        if shutil.which(_NATIVE):
            doors[_NATIVE] = stack.enter_context(_native(model, threads))
        lengths = {name: _prompt_tokens(door) for name, door in doors.items()}
        assert len(set(lengths.values())) == 1, f"they read the same question otherwise: {lengths}"
        for clients in CROWDS:
            for turn in range(rounds if clients == 1 else max(1, rounds // 3)):
                for name in sorted(doors, reverse=bool(turn % 2)):
                    found.setdefault((name, clients), []).append(_asked(doors[name], clients))
    _tell(doors, found)
    return _limits(found)


def _tell(doors: Mapping[str, Door], found: Mapping[tuple[str, int], list[Crowd]]) -> None:
    print(f"{'clients':10}{'':20}{'first token s':>15}{'tokens a second':>17}")
    for clients in CROWDS:
        for name in doors:
            crowds = found[name, clients]
            first = statistics.median(each for crowd in crowds for each in crowd.first)
            rate = statistics.median(crowd.rate for crowd in crowds)
            print(f"{clients:<10}{name:20}{first:>15.2f}{rate:>17.1f}")
    if _NATIVE not in doors:
        print(f"{'':10}{_NATIVE:20}{'absent':>15}")


def _limits(found: Mapping[tuple[str, int], list[Crowd]]) -> list[Limit]:
    """Round by round: what else the machine does moves both contestants of a round alike."""
    pairs = list(zip(found[_OURS, 1], found[_THEIRS, 1], strict=True))
    rate = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
    first = statistics.median(theirs.first[0] / ours.first[0] for ours, theirs in pairs)
    return [
        Limit("gateway, tokens a second, ours/theirs", rate, ">=", 0.95),
        Limit("gateway, first token, theirs/ours", first, ">=", 0.95),
    ]


@contextmanager
def _ours(home: Path, model: Path, threads: int) -> Iterator[Door]:
    with closing(governance_load.home(home)) as app:
        key = app.api_keys.create(app.actor, app.actor.user_id, lifetime_s=86_400).key
    for words in (["models", "add", model], ["models", "use", model.stem]):
        subprocess.run([AI, "--home", home, *words], check=True, capture_output=True)
    port = _free_port()
    flags = (f"engine.threads={threads}", "engine.gpu_layers=0", f"server.port={port}")
    options = [word for flag in flags for word in ("--set", flag)]
    with _started([AI, "--home", home, *options, "serve"], Door(("127.0.0.1", port), key, "chat")):
        yield Door(("127.0.0.1", port), key, "chat")


@contextmanager
def _theirs(model: Path, threads: int) -> Iterator[Door]:
    port = _free_port()
    words = ["--model", model, "--port", port, "--n_ctx", _CONTEXT, "--n_gpu_layers", 0]
    words += ["--n_threads", threads, "--n_threads_batch", threads]
    words += ["--interrupt_requests", "False"]  # else a new question ends the answer before it
    door = Door(("127.0.0.1", port), "none", str(model))
    with _started([sys.executable, "-m", "llama_cpp.server", *words], door):
        yield door


@contextmanager
def _native(model: Path, threads: int) -> Iterator[Door]:
    port = _free_port()
    words = ["-m", model, "--port", port, "-c", _CONTEXT, "-np", max(CROWDS), "-ngl", 0]
    door = Door(("127.0.0.1", port), "none", model.stem)
    with _started([_NATIVE, *words, "-t", threads, "-tb", threads], door):
        yield door


@contextmanager
def _started(command: Sequence[object], door: Door) -> Iterator[None]:
    """The server, once it answers."""
    words = [str(word) for word in command]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, stdout=quiet, stderr=quiet) as process:
        try:
            until = time.monotonic() + _START_S
            while not _is_there(door):
                assert process.poll() is None, f"{words[0]} ended"
                assert time.monotonic() < until, f"{words[0]} does not answer"
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def _is_there(door: Door) -> bool:
    try:
        with closing(http.client.HTTPConnection(*door.address, timeout=5)) as connection:
            connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {door.key}"})
            return connection.getresponse().status == 200
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _asked(door: Door, clients: int) -> Crowd:
    """What clients that ask at once are given, an answer each."""
    firsts: list[float] = []
    threads = [
        threading.Thread(target=lambda: firsts.append(_first_token(door))) for _ in range(clients)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    assert len(firsts) == clients, "a client was refused"
    return Crowd(firsts, clients * TOKENS / took)


def _first_token(door: Door) -> float:
    """Stream one whole answer; the seconds to its first token."""
    question = "".join(random.choices(string.ascii_lowercase, k=LETTERS))
    started = time.perf_counter()
    first, finish = 0.0, None
    with closing(_request(door, question, is_stream=True)) as answer:
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                finish = choice["finish_reason"] or finish
                if choice["delta"].get("content") and not first:
                    first = time.perf_counter() - started
    assert finish == "length", f"the model ended early: {finish}"
    return first


def _prompt_tokens(door: Door) -> int:
    """How many tokens a question is there; the first one loads the model."""
    with closing(_request(door, "x" * LETTERS, is_stream=False)) as answer:
        tokens: int = json.load(answer)["usage"]["prompt_tokens"]
        return tokens


def _request(door: Door, question: str, *, is_stream: bool) -> http.client.HTTPResponse:
    body = {
        "model": door.model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": is_stream,
    }
    headers = {"Authorization": f"Bearer {door.key}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(*door.address, timeout=_PATIENCE_S)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    return answer
