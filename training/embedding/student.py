"""The student on disk: an ONNX graph over an int8 table, and the tokenizer that goes with it.

Row 0 is padding and row 1 the unknown token; both have scale 0, so the graph needs no mask.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

PAD, UNK = "[PAD]", "[UNK]"
WINDOW = 512


def _quantize(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scales = np.abs(table).max(1, keepdims=True) / 127
    rows = np.rint(table / np.where(scales > 0, scales, 1)).astype(np.int8)
    return rows, scales.astype(np.float32)


def _graph(table: np.ndarray) -> bytes:
    rows, scales = _quantize(np.vstack([np.zeros((2, table.shape[1])), table]))
    weights = [("rows", rows), ("scales", scales), ("axis", np.array([1], np.int64))]
    steps = [
        ("Gather", ["rows", "input_ids"], "picked", {}),
        ("Cast", ["picked"], "words", {"to": TensorProto.FLOAT}),
        ("Gather", ["scales", "input_ids"], "weights", {}),
        ("Mul", ["words", "weights"], "weighted", {}),
        ("ReduceSum", ["weighted", "axis"], "sum", {"keepdims": 0}),
        ("LpNormalization", ["sum"], "embedding", {"axis": -1, "p": 2}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, given, [out], **extra) for kind, given, out, extra in steps],
        "static",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", table.shape[1]])],
        [numpy_helper.from_array(value, name) for name, value in weights],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def _tokenizer(teacher: Tokenizer, tokens: list[str]) -> dict[str, object]:
    """The teacher's tokenizer over the kept tokens alone, without [CLS] and [SEP]."""
    kept = json.loads(teacher.to_str())
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    names = [PAD, UNK]
    kept["added_tokens"] = [
        {"id": i, "content": name, "special": True, **special} for i, name in enumerate(names)
    ]
    kept["model"]["vocab"] = {token: i for i, token in enumerate([*names, *tokens])}
    return kept | {"truncation": None, "padding": None, "post_processor": None}


def _write(path: Path, document: dict[str, object]) -> None:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def write(folder: Path, teacher: Tokenizer, tokens: list[str], table: np.ndarray) -> None:
    """Write model.onnx, tokenizer.json and tokenizer_config.json; one row of `table` a token."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(_graph(table))
    _write(folder / "tokenizer.json", _tokenizer(teacher, tokens))
    config = {"model_max_length": WINDOW, "pad_token": PAD, "unk_token": UNK}
    _write(folder / "tokenizer_config.json", config)


def embedder(folder: Path) -> Callable[[list[str]], np.ndarray]:
    """A function from texts to unit vectors (n, width) that reads the files as written."""
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(WINDOW)

    def embed(texts: list[str]) -> np.ndarray:
        rows = [np.array([tokenizer.encode(text).ids], np.int64) for text in texts]
        return np.vstack([session.run(None, {"input_ids": row})[0] for row in rows])

    return embed
