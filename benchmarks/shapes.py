"""Model files of known shapes: as large and as slow as real ones, with weights that say nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

Matrix = Callable[[str, int, int], npt.NDArray[Any]]

QUANTS = {
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
    "q4_0": gguf.GGMLQuantizationType.Q4_0,
}


@dataclass(frozen=True)
class Shape:
    """The numbers of a Qwen2.5 model; where `is_tied`, one matrix reads and writes tokens."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int = 151_936
    is_tied: bool = True


SHAPES = {
    "0.5b": Shape(24, 896, 14, 2, 4864),
    "3b": Shape(36, 2048, 16, 2, 11_008),
    "7b": Shape(28, 3584, 28, 4, 18_944, 152_064, is_tied=False),
}


def begin(path: Path, shape: Shape, context: int) -> gguf.GGUFWriter:
    """A file with the shape in its header."""
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(context)
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    return writer


def add_blocks(
    writer: gguf.GGUFWriter, shape: Shape, quant: gguf.GGMLQuantizationType, matrix: Matrix
) -> None:
    """Every block's tensors, and the last norm."""
    width, ffn, kv = shape.width, shape.ffn, shape.width // shape.heads * shape.kv_heads
    for n in range(shape.layers):
        sizes = [("attn_q", width, width), ("attn_k", kv, width), ("attn_v", kv, width)]
        sizes += [("attn_output", width, width), ("ffn_down", width, ffn)]
        sizes += [("ffn_gate", ffn, width), ("ffn_up", ffn, width)]
        for name, rows, columns in sizes:
            weights = matrix(name, rows, columns)
            writer.add_tensor(f"blk.{n}.{name}.weight", weights, raw_dtype=quant)
        for name, size in (("q", width), ("k", kv), ("v", kv)):
            writer.add_tensor(f"blk.{n}.attn_{name}.bias", np.zeros(size, np.float32))
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{n}.{name}.weight", np.ones(width, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))


def add_tokens(writer: gguf.GGUFWriter, tokens: list[str], controls: int) -> None:
    """The vocabulary; the last `controls` tokens steer, the very last ends an answer."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - controls)
    writer.add_token_types(kinds + [gguf.TokenType.CONTROL] * controls)
    writer.add_token_merges([f"{tokens[0]} {tokens[1]}"])
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)


def letters() -> list[str]:
    """What GPT-2's vocabulary writes for the 256 bytes."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in shown else next(spare)) for byte in range(256)]


def end(writer: gguf.GGUFWriter) -> None:
    """Write it all."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_model(path: Path, shape: Shape, quant: gguf.GGMLQuantizationType) -> None:
    """A model of the shape; repeated random rows, so it takes seconds."""
    rng = np.random.default_rng(1)

    def matrix(_: str, rows: int, columns: int) -> npt.NDArray[Any]:
        tile = gguf.quantize(rng.normal(0, 0.02, (97, columns)).astype(np.float32), quant)
        return np.tile(tile, (rows // len(tile) + 1, 1))[:rows]

    writer = begin(path, shape, 32_768)
    # Repeated rows tie, the first of equals wins, so the tokens at the end, which would stop an
    # answer, never do.
    tokens = [*letters(), *(f"filler{n}" for n in range(shape.vocabulary - 258))]
    add_tokens(writer, [*tokens, "<|im_start|>", "<|im_end|>"], controls=2)
    names = ["token_embd"] if shape.is_tied else ["token_embd", "output"]
    for name in names:
        weights = matrix(name, shape.vocabulary, shape.width)
        writer.add_tensor(f"{name}.weight", weights, raw_dtype=quant)
    add_blocks(writer, shape, quant, matrix)
    end(writer)
