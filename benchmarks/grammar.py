"""What keeping to a grammar costs: the same call and the same cited answer, held and free.

Writes a model of Qwen2.5 0.5B's shape that says a long tool call or a long cited answer, then
alternates drawing with and without the grammar in one run, and takes the median of the rounds'
ratios:

    python benchmarks/grammar.py

Exits 1 where a ratio falls short of its target. The last table is not a ratio: the milliseconds
of one token that the grammar refused, where all others are weighed.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import decode
import gguf
import numpy as np
from decode import FFN, HEADS, KV_HEADS, LAYERS, VOCABULARY, WIDTH, Measure, Target

from localai.infer import hardware, llamacpp
from localai.infer.engine import Message, Sampling, ToolSpec
from localai.infer.sampler import Sampler

QUANT = gguf.GGMLQuantizationType.Q8_0
PASSAGES = 20
TOOL = ToolSpec(
    "write_file",
    "Write a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
    },
)
TOOLS = [TOOL, *(ToolSpec(f"tool_{n}", "Another.", TOOL.parameters) for n in range(20))]
# What the model says to the messages "c" and "a", a token apiece; each stands once in all.
CALL = [
    "<tool_call>",
    '\n{"name": "write_file", "arguments": {"path": "notes.txt", "content": "',
    *(f"word {n}, " for n in range(400)),
    '"}}\n</tool_call>',
]
ANSWER = [f"{text} {n} [{n % PASSAGES + 1}]. " for n in range(200) for text in ("It is", "So")]


def write_model(path: Path) -> None:
    """Each token knows its successor: an embedding is its code, an output row is a code."""
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(4096)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_chat_template("{{ messages[-1].content }}")
    tokens, follows = _vocabulary()
    _add_tokens(writer, tokens)
    said = tokens[: 256 + len(CALL) + len(ANSWER)]
    numbers = {token: n for n, token in enumerate(said)}
    _add_codes(writer, [numbers.get(follows.get(token, ""), len(said)) for token in said])
    # Nothing is added between the two, and costs what it would cost.
    kv = WIDTH // HEADS * KV_HEADS
    for n in range(LAYERS):
        sizes = [("attn_q", WIDTH, WIDTH), ("attn_k", kv, WIDTH), ("attn_v", kv, WIDTH)]
        sizes += [("attn_output", WIDTH, WIDTH), ("ffn_down", WIDTH, FFN)]
        sizes += [("ffn_gate", FFN, WIDTH), ("ffn_up", FFN, WIDTH)]
        for name, rows, columns in sizes:
            row = gguf.quantize(np.zeros((1, columns), np.float32), QUANT)
            writer.add_tensor(f"blk.{n}.{name}.weight", np.tile(row, (rows, 1)), raw_dtype=QUANT)
        for name, size in (("q", WIDTH), ("k", kv), ("v", kv)):
            writer.add_tensor(f"blk.{n}.attn_{name}.bias", np.zeros(size, np.float32))
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{n}.{name}.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _vocabulary() -> tuple[list[str], dict[str, str]]:
    # GPT-2's letters for the 256 bytes.
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    letters = [chr(byte if byte in shown else next(spare)) for byte in range(256)]
    call, answer = (
        ["".join(letters[byte] for byte in text.encode()) for text in said]
        for said in (CALL, ANSWER)
    )
    tokens = [*letters, *call, *answer]
    tokens += [f"filler{n}" for n in range(VOCABULARY - len(tokens) - 1)]
    follows = dict(zip(["c", *call], call, strict=False))
    follows |= dict(zip(["a", *answer], answer, strict=False))
    return [*tokens, "<|im_end|>"], follows


def _add_tokens(writer: gguf.GGUFWriter, tokens: Sequence[str]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(list(tokens))
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - 1) + [gguf.TokenType.CONTROL]
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{tokens[0]} {tokens[1]}"])
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)


def _add_codes(writer: gguf.GGUFWriter, following: Sequence[int]) -> None:
    """The codes of the first tokens; the one that ends an answer is the last of all."""
    rng = np.random.default_rng(1)
    codes = rng.choice([-1.0, 1.0], (len(following) + 1, WIDTH)).astype(np.float32)
    end = len(following)
    spare = gguf.quantize(rng.choice([-1.0, 1.0], (97, WIDTH)).astype(np.float32), QUANT)
    rest = VOCABULARY - len(following) - 1
    fill = np.tile(spare, (rest // len(spare) + 1, 1))[:rest]
    own = gguf.quantize(codes, QUANT)
    embeddings = gguf.quantize(codes[following], QUANT)
    outputs = np.concatenate([own[:end], fill, own[end:]])
    writer.add_tensor("output.weight", outputs, raw_dtype=QUANT)
    table = np.concatenate([embeddings, fill, own[end:]])
    writer.add_tensor("token_embd.weight", table, raw_dtype=QUANT)


def speed(engine: llamacpp.LlamaCpp, asked: str, tokens: int, *, is_held: bool) -> float:
    """Tokens a second after the first, prompt and parsing alike with and without the grammar."""
    sampling = Sampling(temperature=0, max_tokens=tokens)
    message = Message("user", asked)
    tools, citations = (TOOLS, 0) if asked == "c" else ((), PASSAGES)
    hold = Sampler._hold if is_held else lambda *_: None  # noqa: SLF001 - what is measured
    with patch.object(Sampler, "_hold", hold):
        *_, last = engine.stream([message], tools=tools, sampling=sampling, citations=citations)
    assert last.usage is not None
    assert last.usage.completion_tokens == tokens, "the model ended early"
    return last.usage.tokens_per_second


def refusals(engine: llamacpp.LlamaCpp, tokens: int) -> list[float]:
    """Milliseconds to draw again, for each token of a call by a model that writes none."""
    took: list[float] = []
    real = Sampler._redrawn  # noqa: SLF001 - what is measured

    def timed(sampler: Sampler) -> int:
        started = perf_counter()
        token = real(sampler)
        took.append((perf_counter() - started) * 1000)
        return token

    sampling = Sampling(temperature=0, max_tokens=tokens)
    wrong = [ToolSpec("x" * 200, "Another.", {})]
    with patch.object(Sampler, "_redrawn", timed):
        for _ in engine.stream([Message("user", "c")], tools=wrong, sampling=sampling):
            pass
    return took


def main() -> int:
    """Write the model, let the contestants take turns, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=hardware.physical_cores())
    parser.add_argument("--dir", type=Path, help="keep the model here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = (given.dir or Path(scratch)) / "says-0.5b-q8_0.gguf"
        if not model.exists():
            model.parent.mkdir(parents=True, exist_ok=True)
            write_model(model)
        engine = llamacpp.load(model, context=1024, threads=given.threads, gpu_layers=0)
        turns: dict[str, Measure] = {
            f"{name}, {how}": partial(speed, engine, asked, given.tokens, is_held=how == "held")
            for asked, name in (("c", "call"), ("a", "citations"))
            for how in ("free", "held")
        }
        speeds: dict[str, list[float]] = {name: [] for name in turns}
        for turn in range(given.rounds + 1):
            for name in sorted(turns, reverse=bool(turn % 2)):
                found = turns[name]()
                # The first round warms caches and is not counted.
                if turn:
                    speeds[name].append(found)
        targets = [Target(f"{name}, held", f"{name}, free", 0.95) for name in ("call", "citations")]
        print(f"{model.name}, {given.threads} threads, {given.tokens} tokens")
        is_met = decode.report(speeds, targets)
        took = refusals(engine, 40)
        print(f"\n{'a refused token':<24}{'median ms':>14}{'max':>10}{'tokens':>10}")
        print(f"{'':<24}{statistics.median(took):>14.2f}{max(took):>10.2f}{len(took):>10}")
        engine.close()
        return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
