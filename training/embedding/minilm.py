"""Make the model of the package localai-minilm: all-MiniLM-L6-v2 with weights of eight bits.

It reads `input_ids` and `attention_mask`, so that texts of unlike length share a batch, and gives
a vector a token; their mean is taken by who runs it. The same command writes the same bytes.
"""

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file
from teacher import FOLDER, HIDDEN, LAYERS, WINDOW, Graph, embeddings, layer
from tokenizers import Tokenizer

WORDS = "embeddings.word_embeddings.weight"
HIDDEN_FROM_VIEW = np.float32(-10_000)


def _words(g: Graph) -> str:
    """The table of words as int8 with one scale a row, and the rows that are asked for."""
    table = g.weights[WORDS]
    scales = np.abs(table).max(1, keepdims=True) / np.float32(127)
    rows = np.rint(table / np.where(scales > 0, scales, 1)).astype(np.int8)
    picked = g.op("Cast", g.op("Gather", g.const(rows), "input_ids"), to=1)
    return g.op("Mul", picked, g.op("Gather", g.const(scales), "input_ids"))


def _mask(g: Graph) -> str:
    """What is added to the scores: 0 where a token is, far below where padding is."""
    seen = g.op("Cast", "attention_mask", to=1)
    hidden = g.op("Mul", g.op("Sub", g.const(np.float32(1)), seen), g.const(HIDDEN_FROM_VIEW))
    return g.op("Unsqueeze", hidden, g.const([1, 2]))


def network() -> ModelProto:
    """The network in floats, but for its words."""
    g = Graph(load_file(FOLDER / "model.safetensors"))
    x, mask = embeddings(g, _words(g)), _mask(g)
    for number in range(LAYERS):
        x = layer(g, x, f"encoder.layer.{number}", mask)
    shape = ["batch", "length", HIDDEN]
    return g.model("minilm", ["input_ids", "attention_mask"], x, shape)


def _write(path: Path, document: object) -> None:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def write(folder: Path) -> None:
    """Write model.onnx, tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        plain.write_bytes(network().SerializeToString(deterministic=True))
        quantize_dynamic(
            plain,
            folder / "model.onnx",
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    tokenizer = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    _write(folder / "tokenizer.json", tokenizer | {"truncation": None, "padding": None})
    config = {"model_max_length": WINDOW, "pad_token": "[PAD]", "unk_token": "[UNK]"}
    _write(folder / "tokenizer_config.json", config)


def embedder(folder: Path) -> Callable[[list[str]], np.ndarray]:
    """A function from texts to unit vectors (n, 384) that reads the files as written."""
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(WINDOW)

    def of_text(text: str) -> np.ndarray:
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        mean = session.run(None, given)[0][0].mean(0)
        return mean / np.linalg.norm(mean)

    return lambda texts: np.array([of_text(text) for text in texts])


def main() -> None:
    """Write the model's files into --out and print their digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write(args.out)
    for path in sorted(args.out.glob("*.[jo]*")):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)


if __name__ == "__main__":
    main()
