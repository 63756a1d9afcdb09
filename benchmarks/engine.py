"""What the engine adds to llama.cpp: reading, writing, resuming, and a whole `ai chat`.

Writes a model of Qwen2.5 0.5B's shape with random weights; contestants use the same file, the
same threads and the same greedy sampler, and take turns:

    python benchmarks/engine.py [--only PART ...] [--llama-bench PATH]

decode    tokens a second: our stream, llama-cpp-python's loop, llama-bench if it is built
prefill   prompt tokens a second, to the first token
resume    milliseconds to the first token of a long conversation: read again, and resumed
process   seconds from the start of `ai chat` to the first letter, against a script with the same
          imports that loads the same model and generates
attached  the same beside `ai serve`, against a script that imports typer and httpx and asks the
          same server over HTTP

Exits 1 where a target is missed.
"""

import argparse
import json
import os
import random
import shutil
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter

import contest
import shapes
from contest import Measure, Target
from llama_cpp import Llama

from localai.agent.loop import SYSTEM
from localai.infer import hardware, llamacpp
from localai.infer.engine import Message, Sampling
from localai.infer.parking import Parking

CONTEXT = 2048
PROMPT = "Tell me about the sea, the sky and everything between them."
READ = 1000
LONG = 1500
AI = Path(sys.executable).with_name("ai")
ASKED = ["chat", "--no-tools", "--temperature", "0", "--max-tokens", "4"]
# What `ai chat` imports before it can answer; a script that uses less would do less.
SCRIPT = """
import sys
import typer, rich.console, sqlalchemy, jinja2, psutil, numpy
from llama_cpp import Llama
model, threads, prompt = sys.argv[1:]
llama = Llama(model, n_ctx=8192, n_threads=int(threads), n_threads_batch=int(threads),
              n_gpu_layers=0, verbose=False)
for piece in llama(prompt, max_tokens=4, temperature=0, stream=True):
    print(piece["choices"][0]["text"], end="", flush=True)
"""

# A minimal command of the same server: options, a request, and what it streams.
CALLER = """
import json, sys
import httpx, typer
url, key, model, system, prompt = sys.argv[1:]
def ask():
    body = {"model": model, "stream": True, "temperature": 0, "max_tokens": 4}
    body["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line[6:])["choices"][0]["delta"]
                print(delta.get("content") or "", end="", flush=True)
sys.argv[1:] = []
typer.run(ask)
"""


@dataclass(frozen=True)
class Ring:
    """What all contestants share."""

    model: Path
    threads: int
    tokens: int
    rounds: int
    scratch: Path
    llama_bench: str | None

    @contextmanager
    def ours(self, parking: Parking | None = None) -> Iterator[llamacpp.LlamaCpp]:
        """Our engine."""
        engine = llamacpp.load(
            self.model, context=CONTEXT, threads=self.threads, gpu_layers=0, parking=parking
        )
        with closing(engine):
            yield engine

    @contextmanager
    def theirs(self) -> Iterator[Llama]:
        """The binding as it comes."""
        llama = Llama(
            str(self.model),
            n_ctx=CONTEXT,
            n_threads=self.threads,
            n_threads_batch=self.threads,
            n_gpu_layers=0,
            verbose=False,
        )
        with closing(llama):
            yield llama


def _fresh(length: int) -> str:
    """A text that nobody has read before, a token a letter."""
    return "".join(random.choices(string.ascii_lowercase, k=length))


def decode(ring: Ring) -> bool:
    """Writing."""

    def stream(engine: llamacpp.LlamaCpp) -> float:
        sampling = Sampling(temperature=0, max_tokens=ring.tokens)
        deltas = engine.stream([Message("user", PROMPT)], sampling=sampling)
        started = perf_counter()
        *_, last = deltas
        assert last.usage is not None
        took = perf_counter() - started - last.usage.ttft_ms / 1000
        assert last.usage.completion_tokens == ring.tokens, "the model ended early"
        return (ring.tokens - 1) / took

    def loop(llama: Llama) -> float:
        found = llama.generate(llama.tokenize(PROMPT.encode()), temp=0.0)
        next(found)
        started = perf_counter()
        for _ in range(ring.tokens - 1):
            next(found)
        return (ring.tokens - 1) / (perf_counter() - started)

    with ring.ours() as engine, ring.theirs() as llama:
        turns: dict[str, Measure] = {
            "our stream": partial(stream, engine),
            "Llama.generate": partial(loop, llama),
        }
        targets = [Target("our stream", "Llama.generate", 0.97)]
        if ring.llama_bench:
            turns["llama-bench"] = partial(_bench, ring, f"-p 0 -n {ring.tokens}")
            targets.append(Target("our stream", "llama-bench", 0.93))
        return contest.report("tok/s", contest.held(turns, ring.rounds), targets)


def prefill(ring: Ring) -> bool:
    """Reading."""

    def first(engine: llamacpp.LlamaCpp) -> float:
        asked = [Message("user", _fresh(READ))]
        *_, last = engine.stream(asked, sampling=Sampling(temperature=0, max_tokens=1))
        assert last.usage is not None
        read = last.usage.prompt_tokens - last.usage.cached_tokens
        return read / last.usage.ttft_ms * 1000

    def evaluate(llama: Llama) -> float:
        tokens = llama.tokenize(_fresh(READ).encode())
        llama.reset()
        started = perf_counter()
        llama.eval(tokens)
        llama.sample(temp=0.0)
        return len(tokens) / (perf_counter() - started)

    with ring.ours() as engine, ring.theirs() as llama:
        turns: dict[str, Measure] = {
            "our stream": partial(first, engine),
            "Llama.eval": partial(evaluate, llama),
        }
        targets = [Target("our stream", "Llama.eval", 0.97)]
        if ring.llama_bench:
            turns["llama-bench"] = partial(_bench, ring, f"-p {READ} -n 0")
            targets.append(Target("our stream", "llama-bench", 0.93))
        return contest.report("tok/s", contest.held(turns, ring.rounds), targets)


def resume(ring: Ring) -> bool:
    """Going on."""
    parking = Parking(ring.scratch / "parked", lambda: b"key", 1 << 30)
    numbers = count()
    short = Sampling(temperature=0, max_tokens=1)

    def first(engine: llamacpp.LlamaCpp, name: str, asked: list[Message], least: int) -> float:
        started = perf_counter()
        engine.recall(name)
        *_, last = engine.stream(asked, sampling=short)
        assert last.usage is not None
        assert last.usage.cached_tokens >= least, last.usage
        return (perf_counter() - started) * 1000

    with ring.ours(parking) as engine:

        def both() -> Iterator[float]:
            while True:
                name, asked = f"c{next(numbers)}", [Message("user", _fresh(LONG))]
                yield first(engine, name, asked, 0)
                first(engine, "another", [Message("user", _fresh(20))], 0)
                going_on = [*asked, Message("assistant", "x"), Message("user", "go on")]
                yield first(engine, name, going_on, LONG)

        # One conversation is read and then resumed, so these two do not change places.
        figures = both()
        found: dict[str, list[float]] = {"read": [], "resumed": []}
        for _ in range(ring.rounds):
            for each in found.values():
                each.append(next(figures))
    return contest.report("ms", found, [Target("resumed", "read", 0.1, is_limit=True)])


def process(ring: Ring) -> bool:
    """The whole command."""
    home = _home(ring)
    prompt = (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    )
    ours = [AI, "--home", home, *ASKED, PROMPT]
    script = [sys.executable, "-c", SCRIPT, ring.model, str(ring.threads), prompt]
    turns: dict[str, Measure] = {
        "ai chat": partial(_first_letter, ours),
        "script": partial(_first_letter, script),
    }
    targets = [Target("ai chat", "script", 1.25, is_limit=True)]
    return contest.report("s", contest.held(turns, ring.rounds), targets)


def attached(ring: Ring) -> bool:
    """The whole command beside a server, each time with another question."""
    home = _home(ring)
    (user,) = json.loads(_said([AI, "--home", home, "users", "list", "--json"]))["items"]
    made = [AI, "--home", home, "keys", "create", "--user", user["name"], "--json"]
    key = json.loads(_said(made))["key"]
    served = [AI, "--home", home, "serve", "--port", "0"]
    numbers = count()
    with subprocess.Popen(served, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        url = server.stderr.readline().split()[2]

        def ours() -> float:
            question = f"Number {next(numbers)}. {PROMPT}"
            return _first_letter([AI, "--home", home, *ASKED, question])

        def script() -> float:
            question = f"Number {next(numbers)}. {PROMPT}"
            words = [url, key, ring.model.stem, SYSTEM, question]
            return _first_letter([sys.executable, "-c", CALLER, *words])

        found = contest.held({"ai chat": ours, "script": script}, ring.rounds)
        server.terminate()
    return contest.report("s", found, [Target("ai chat", "script", 1.2, is_limit=True)])


def _home(ring: Ring) -> Path:
    """A home in which the model is used; a server and its commands have the same settings."""
    home = ring.scratch / "home"
    for words in (
        ["init"],
        ["models", "add", str(ring.model)],
        ["models", "use", ring.model.stem],
        ["config", "set", "engine.threads", str(ring.threads)],
        ["config", "set", "engine.gpu_layers", "0"],
    ):
        subprocess.run([AI, "--home", home, *words], check=True, capture_output=True)
    return home


def _said(command: Sequence[str | Path]) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


def _first_letter(command: Sequence[str | Path]) -> float:
    started = perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        assert running.stdout is not None
        letter = os.read(running.stdout.fileno(), 1)
        took = perf_counter() - started
        running.stdout.read()
    assert letter, f"{command[0]} said nothing"
    assert running.returncode == 0, f"{command[0]} ended with {running.returncode}"
    return took


def _bench(ring: Ring, options: str) -> float:
    """Tokens a second that llama.cpp's benchmark reports."""
    words = [*options.split(), "-t", str(ring.threads), *["-r", "1", "-ngl", "0", "-o", "json"]]
    program = [str(ring.llama_bench), "-m", str(ring.model), *words]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)[0]["avg_ts"])


PARTS: dict[str, Callable[[Ring], bool]] = {
    "decode": decode,
    "prefill": prefill,
    "resume": resume,
    "process": process,
    "attached": attached,
}


def main() -> int:
    """Write the model and hold the contests."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--quant", choices=shapes.QUANTS, default="q8_0")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=hardware.physical_cores())
    parser.add_argument("--dir", type=Path, help="keep the model here")
    parser.add_argument("--llama-bench", default=shutil.which("llama-bench"))
    given = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory() as scratch:
        model = (given.dir or Path(scratch)) / f"shape-0.5b-{given.quant}.gguf"
        if not model.exists():
            model.parent.mkdir(parents=True, exist_ok=True)
            shapes.write_model(model, shapes.SHAPES["0.5b"], shapes.QUANTS[given.quant])
        ring = Ring(
            model, given.threads, given.tokens, given.rounds, Path(scratch), given.llama_bench
        )
        print(f"{model.name}, {given.threads} threads, {given.rounds} rounds")
        for name in given.only:
            print(f"\n{name}")
            met = PARTS[name](ring) and met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
