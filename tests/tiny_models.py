"""Embedding models and a cross-encoder of a few kilobytes, which know a handful of words."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = [
    *("the", "a", "is", "with", "what", "kettle", "descaled", "vinegar", "train", "platform"),
    *("leaves", "nine", "coast", "rent"),
]
_MARKS = ["[PAD]", "[UNK]"]


def static(dim: int) -> dict[str, bytes]:
    """The files of a model2vec model, as minishlab/potion-base-8M has them."""
    table = _table(dim).tobytes()
    header = {
        "embeddings": {"dtype": "F32", "shape": [_size(), dim], "data_offsets": [0, len(table)]}
    }
    told = json.dumps(header).encode()
    return _tokenizer() | {"model.safetensors": struct.pack("<Q", len(told)) + told + table}


def pooled(dim: int, file: str = "model.onnx") -> dict[str, bytes]:
    """The files of a model that gives a vector a token and leaves the mean to who runs it."""
    steps = [helper.make_node("Gather", ["table", "input_ids"], ["vectors"])]
    weights = {"table": _table(dim)}
    inputs = ["input_ids", "attention_mask"]
    return _tokenizer() | {
        file: _model(steps, weights, inputs, "vectors", ["batch", "length", dim])
    }


def cross_encoder() -> dict[str, bytes]:
    """The files of a reranker, as Xenova's have them: it counts the words that two texts share."""
    steps = [
        helper.make_node("Unsqueeze", ["input_ids", "last"], ["down"]),
        helper.make_node("Unsqueeze", ["input_ids", "first"], ["across"]),
        helper.make_node("Equal", ["down", "across"], ["same"]),
        helper.make_node("Cast", ["same"], ["shared"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["token_type_ids"], ["second"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one", "second"], ["question"]),
        helper.make_node("Unsqueeze", ["question", "last"], ["rows"]),
        helper.make_node("Unsqueeze", ["second", "first"], ["columns"]),
        helper.make_node("Mul", ["shared", "rows"], ["of_question"]),
        helper.make_node("Mul", ["of_question", "columns"], ["of_both"]),
        helper.make_node("ReduceSum", ["of_both", "sides"], ["count"], keepdims=0),
        helper.make_node("Unsqueeze", ["count", "first"], ["score"]),
    ]
    weights = {
        "one": np.float32(1),
        "first": np.array([1], np.int64),
        "last": np.array([2], np.int64),
        "sides": np.array([1, 2], np.int64),
    }
    inputs = ["input_ids", "token_type_ids"]
    return _tokenizer() | {"onnx/model.onnx": _model(steps, weights, inputs, "score", ["batch", 1])}


def write(files: dict[str, bytes], folder: Path) -> Path:
    """Put the files into the folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _size() -> int:
    return len(_MARKS) + len(WORDS)


def _table(dim: int) -> np.ndarray:
    """A direction of its own for every word, none for the marks."""
    table = np.eye(_size(), dim, k=-len(_MARKS), dtype=np.float32)
    return np.ascontiguousarray(table)


def _tokenizer() -> dict[str, bytes]:
    vocabulary = {word: place for place, word in enumerate([*_MARKS, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A $B:1", special_tokens=[]
    )
    config = {"model_max_length": 128, "pad_token": "[PAD]", "unk_token": "[UNK]"}
    return {
        "tokenizer.json": tokenizer.to_str().encode(),
        "tokenizer_config.json": json.dumps(config).encode(),
        "config.json": b"{}",
    }


def _model(
    steps: Sequence[object],
    weights: dict[str, object],
    inputs: Sequence[str],
    output: str,
    shape: Sequence[object],
) -> bytes:
    graph = helper.make_graph(
        steps,
        "tiny",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
