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
from typing import Any
from unittest.mock import patch

import contest
import gguf
import numpy as np
import numpy.typing as npt
import shapes
from contest import Measure, Target

from localai.infer import hardware, llamacpp
from localai.infer.engine import Form, Message, Sampling, ToolSpec
from localai.infer.sampler import Sampler

SHAPE = shapes.SHAPES["0.5b"]
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
    writer = shapes.begin(path, SHAPE, 4096)
    writer.add_chat_template("{{ messages[-1].content }}")
    tokens, follows = _vocabulary()
    shapes.add_tokens(writer, tokens, controls=1)
    said = tokens[: 256 + len(CALL) + len(ANSWER)]
    numbers = {token: n for n, token in enumerate(said)}
    _add_codes(writer, [numbers.get(follows.get(token, ""), len(said)) for token in said])
    # Nothing is added between the two, and costs what it would cost.
    shapes.add_blocks(writer, SHAPE, QUANT, _nothing)
    shapes.end(writer)


def _nothing(_: str, rows: int, columns: int) -> npt.NDArray[Any]:
    row = gguf.quantize(np.zeros((1, columns), np.float32), QUANT)
    return np.tile(row, (rows, 1))


def _vocabulary() -> tuple[list[str], dict[str, str]]:
    letters = shapes.letters()
    call, answer = (
        ["".join(letters[byte] for byte in text.encode()) for text in said]
        for said in (CALL, ANSWER)
    )
    tokens = [*letters, *call, *answer]
    tokens += [f"filler{n}" for n in range(SHAPE.vocabulary - len(tokens) - 1)]
    follows = dict(zip(["c", *call], call, strict=False))
    follows |= dict(zip(["a", *answer], answer, strict=False))
    return [*tokens, "<|im_end|>"], follows


def _add_codes(writer: gguf.GGUFWriter, following: Sequence[int]) -> None:
    """The codes of the first tokens; the one that ends an answer is the last of all."""
    rng = np.random.default_rng(1)
    codes = rng.choice([-1.0, 1.0], (len(following) + 1, SHAPE.width)).astype(np.float32)
    end = len(following)
    spare = gguf.quantize(rng.choice([-1.0, 1.0], (97, SHAPE.width)).astype(np.float32), QUANT)
    rest = SHAPE.vocabulary - len(following) - 1
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
        *_, last = engine.stream(
            [message], tools=tools, sampling=sampling, form=Form(citations=citations)
        )
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
        targets = [Target(f"{name}, held", f"{name}, free", 0.95) for name in ("call", "citations")]
        print(f"{model.name}, {given.threads} threads, {given.tokens} tokens")
        is_met = contest.report("tok/s", contest.held(turns, given.rounds), targets)
        took = refusals(engine, 40)
        print(f"\n{'a refused token':<24}{'median ms':>14}{'max':>10}{'tokens':>10}")
        print(f"{'':<24}{statistics.median(took):>14.2f}{max(took):>10.2f}{len(took):>10}")
        engine.close()
        return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
