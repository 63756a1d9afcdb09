"""How fast an answer streams: our engine against llama-cpp-python's loop and llama-bench.

Writes a model of Qwen2.5 0.5B's shape with random weights, then alternates the contestants in
one run, with the same threads, greedy sampler and number of tokens, and takes the median of
the rounds' ratios:

    python benchmarks/decode.py [--cli] [--llama-bench PATH]

Exits 1 where a ratio falls short of its target.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import gguf
import numpy as np
from llama_cpp import Llama

from localai.infer import hardware, llamacpp
from localai.infer.engine import Message, Sampling

LAYERS, WIDTH, HEADS, KV_HEADS, FFN, VOCABULARY = 24, 896, 14, 2, 4864, 151_936
CONTEXT = 1024
PROMPT = "Tell me about the sea, the sky and everything between them."
QUANTS = {
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
    "q4_0": gguf.GGMLQuantizationType.Q4_0,
}

Measure = Callable[[], float]


@dataclass(frozen=True)
class Target:
    """`ours` must reach `share` of `theirs`."""

    ours: str
    theirs: str
    share: float


def write_model(path: Path, quant: gguf.GGMLQuantizationType) -> None:
    """A model of Qwen2.5 0.5B's shape; repeated random rows, so it takes seconds."""
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(32768)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    _add_vocabulary(writer)
    kv = WIDTH // HEADS * KV_HEADS
    matrices = {"token_embd": (VOCABULARY, WIDTH)}
    for n in range(LAYERS):
        sizes = [("attn_q", WIDTH, WIDTH), ("attn_k", kv, WIDTH), ("attn_v", kv, WIDTH)]
        sizes += [("attn_output", WIDTH, WIDTH), ("ffn_down", WIDTH, FFN)]
        sizes += [("ffn_gate", FFN, WIDTH), ("ffn_up", FFN, WIDTH)]
        matrices |= {f"blk.{n}.{name}": (rows, columns) for name, rows, columns in sizes}
        for name, size in (("q", WIDTH), ("k", kv), ("v", kv)):
            writer.add_tensor(f"blk.{n}.attn_{name}.bias", np.zeros(size, np.float32))
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{n}.{name}.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    rng = np.random.default_rng(1)
    for name, (rows, columns) in matrices.items():
        tile = gguf.quantize(rng.normal(0, 0.02, (97, columns)).astype(np.float32), quant)
        weights = np.tile(tile, (rows // len(tile) + 1, 1))[:rows]
        writer.add_tensor(f"{name}.weight", weights, raw_dtype=quant)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    # GPT-2's letters for the 256 bytes; the rest only fills the table. Repeated rows tie, the
    # first of equals wins, so the tokens at the end, which would stop an answer, never do.
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    tokens = [chr(byte if byte in shown else next(spare)) for byte in range(256)]
    tokens += [f"filler{n}" for n in range(VOCABULARY - 258)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*tokens, "<|im_start|>", "<|im_end|>"])
    kinds = [gguf.TokenType.NORMAL] * len(tokens) + [gguf.TokenType.CONTROL] * 2
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{tokens[0]} {tokens[1]}"])
    writer.add_eos_token_id(VOCABULARY - 1)
    writer.add_add_bos_token(False)


def our_stream(engine: llamacpp.LlamaCpp, tokens: int) -> float:
    """Tokens a second of our engine, by this file's clock."""
    sampling = Sampling(temperature=0, max_tokens=tokens)
    deltas = engine.stream([Message("user", PROMPT)], sampling=sampling)
    started = perf_counter()
    *_, last = deltas
    assert last.usage is not None
    took = perf_counter() - started - last.usage.ttft_ms / 1000
    assert last.usage.completion_tokens == tokens, "the model ended early"
    return (tokens - 1) / took


def their_loop(llama: Llama, tokens: int) -> float:
    """Tokens a second of llama-cpp-python's own loop, text included as a caller would."""
    prompt = llama.tokenize(PROMPT.encode())
    found = llama.generate(prompt, temp=0.0)
    next(found)
    started = perf_counter()
    for _ in range(tokens - 1):
        next(found)
    return (tokens - 1) / (perf_counter() - started)


def llama_bench(program: str, model: Path, tokens: int, threads: int) -> float:
    """Tokens a second that llama.cpp's benchmark reports."""
    options = f"-p 0 -n {tokens} -t {threads} -r 1 -ngl 0 -o json".split()
    done = subprocess.run(
        [program, "-m", str(model), *options], capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout)[0]["avg_ts"])


def our_command(home: Path, tokens: int, threads: int) -> float:
    """Tokens a second that `ai chat` reports of itself."""
    command = ["ai", "--home", str(home), "--set", f"engine.threads={threads}"]
    command += ["--set", "engine.gpu_layers=0"]
    command += ["chat", PROMPT, "--json", "--usage", "--no-tools"]
    command += ["--max-tokens", str(tokens), "--temperature", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, input="")
    return float(json.loads(done.stdout)["usage"]["tokens_per_second"])


def prepare_command(home: Path, model: Path) -> None:
    """A home with `model` as its chat model."""
    for words in (["init"], ["models", "add", str(model)], ["models", "use", model.stem]):
        subprocess.run(["ai", "--home", str(home), *words], check=True, capture_output=True)


def report(speeds: dict[str, list[float]], targets: list[Target]) -> bool:
    """Print medians and ratios; whether every target is met."""
    print(f"\n{'contestant':<24}{'median tok/s':>14}{'min':>10}{'max':>10}")
    for name, found in speeds.items():
        median = statistics.median(found)
        print(f"{name:<24}{median:>14.2f}{min(found):>10.2f}{max(found):>10.2f}")
    met = True
    print(f"\n{'median ratio of the rounds':<42}{'found':>10}{'target':>10}")
    for target in targets:
        # Round by round: what else the machine does moves both contestants of a round alike.
        pairs = zip(speeds[target.ours], speeds[target.theirs], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        met = met and ratio >= target.share
        print(f"{f'{target.ours} / {target.theirs}':<42}{ratio:>10.3f}{target.share:>10.2f}")
    return met


def main() -> int:
    """Write the model, let the contestants take turns, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quant", choices=QUANTS, default="q8_0")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=hardware.physical_cores())
    parser.add_argument("--dir", type=Path, help="keep the model here")
    parser.add_argument("--llama-bench", default=shutil.which("llama-bench"))
    parser.add_argument("--cli", action="store_true", help="measure `ai chat` too")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = (given.dir or scratch) / f"shape-0.5b-{given.quant}.gguf"
        if not model.exists():
            model.parent.mkdir(parents=True, exist_ok=True)
            write_model(model, QUANTS[given.quant])
        engine = llamacpp.load(model, context=CONTEXT, threads=given.threads, gpu_layers=0)
        stack.callback(engine.close)
        llama = Llama(
            str(model), n_ctx=CONTEXT, n_threads=given.threads, n_gpu_layers=0, verbose=False
        )
        stack.callback(llama.close)
        turns: dict[str, Measure] = {
            "our stream": lambda: our_stream(engine, given.tokens),
            "Llama.generate": lambda: their_loop(llama, given.tokens),
        }
        targets = [Target("our stream", "Llama.generate", 0.95)]
        if given.llama_bench:
            turns["llama-bench"] = lambda: llama_bench(
                given.llama_bench, model, given.tokens, given.threads
            )
            targets.append(Target("our stream", "llama-bench", 0.90))
        if given.cli:
            prepare_command(scratch / "home", model)
            turns["ai chat"] = lambda: our_command(scratch / "home", given.tokens, given.threads)
            targets += [Target("ai chat", t.theirs, t.share) for t in list(targets)]
        speeds: dict[str, list[float]] = {name: [] for name in turns}
        for turn in range(given.rounds + 1):
            for name in sorted(turns, reverse=bool(turn % 2)):
                speed = turns[name]()
                # The first round warms caches and is not counted.
                if turn:
                    speeds[name].append(speed)
        print(
            f"{model.name}, {given.threads} threads, {given.tokens} tokens, {given.rounds} rounds"
        )
        return 0 if report(speeds, targets) else 1


if __name__ == "__main__":
    sys.exit(main())
