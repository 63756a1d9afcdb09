"""What a GGUF file says about itself; the one file that imports gguf.

Reads the header alone, and proves that every tensor lies within the file.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy.typing as npt
from gguf.constants import LlamaFileType
from gguf.gguf_reader import GGUFReader, ReaderTensor

from localai.core.errors import Invalid, NotFound
from localai.infer.fit import Shape
from localai.infer.library import GgufInfo
from localai.infer.prompt import ChatTemplate, Specials

_KINDS = gguf.GGUFValueType
_Parts = tuple[int, list[npt.NDArray[Any]], list[int], list[gguf.GGUFValueType]]
_BLOCK = re.compile(r"blk\.(\d+)\.")
_SHORT = 4096
_FIRST = re.compile(r"-00001-of-(\d{5})\.gguf$")
_BROKEN = (ValueError, LookupError, TypeError, OverflowError, MemoryError)


def inspect(path: Path) -> GgufInfo:
    """Read the GGUF header of `path`; Invalid where it is broken, cut short or no model."""
    try:
        reader = _Reader(path)
        info = _info(reader, path)
    except OSError as error:
        raise NotFound(f"{error.filename or path} cannot be read: {error.strerror}") from error
    except _BROKEN as error:
        raise Invalid(
            f"{path} is not a whole GGUF model: broken, cut short or something else",
            hint="compare its size with the original, and fetch it again if they differ",
        ) from error
    if info.architecture == "clip" or _text(reader, "general.type") not in {"", "model"}:
        raise Invalid(
            f"{path} belongs to another model and cannot answer by itself",
            hint="ai models add FILE   takes the language model's own file",
        )
    return info


def _info(reader: "_Reader", path: Path) -> GgufInfo:
    others = [_Reader(part) for part in _other_parts(path)]
    tensors = [tensor for each in (reader, *others) for tensor in each.tensors]
    size = path.stat().st_size
    if not reader.tensors or any(t.data_offset + t.n_bytes > size for t in reader.tensors):
        raise ValueError(size)
    architecture = _text(reader, "general.architecture")
    return GgufInfo(
        architecture=architecture,
        quantization=_quantization(reader),
        context=_number(reader, f"{architecture}.context_length"),
        size_bytes=size,
        has_template=bool(_text(reader, "tokenizer.chat_template")),
        parameters=sum(int(tensor.n_elements) for tensor in tensors),
        title=_text(reader, "general.name"),
        other_bytes=sum(part.stat().st_size for part in _other_parts(path)),
        calls_tools=_calls_tools(_text(reader, "tokenizer.chat_template")),
        shape=_shape_or_none(reader, architecture, tensors),
    )


def _calls_tools(template: str) -> bool:
    try:
        return ChatTemplate(template, Specials()).native_tools
    except Invalid:  # the engine refuses the model, with a reason
        return False


def _shape_or_none(
    reader: "_Reader", architecture: str, tensors: Sequence[ReaderTensor]
) -> Shape | None:
    """None where the header leaves out what a plan needs, or contradicts itself."""
    try:
        return _shape(reader, architecture, tensors)
    except _BROKEN:
        return None


def _shape(reader: "_Reader", architecture: str, tensors: Sequence[ReaderTensor]) -> Shape:
    """What the parts of the model take."""

    def number(key: str, missing: int = 0) -> int:
        return _number(reader, f"{architecture}.{key}", missing=missing)

    count = number("block_count")
    if not 0 < count <= len(tensors):
        raise ValueError(count)
    blocks = [0] * count
    others: dict[str, ReaderTensor] = {}
    for tensor in tensors:
        found = _BLOCK.match(tensor.name)
        if found and int(found[1]) < count:
            blocks[int(found[1])] += int(tensor.n_bytes)
        else:
            others[tensor.name] = tensor
    table = others.pop("token_embd.weight", None)
    table_bytes = int(table.n_bytes) if table is not None else 0
    is_tied = "output.weight" not in others
    heads, width = number("attention.head_count", 1), number("embedding_length")
    key = number("attention.key_length", width // max(1, heads))
    value = number("attention.value_length", key)
    pairs = _numbers(reader, f"{architecture}.attention.head_count_kv", count, missing=heads)
    return Shape(
        blocks=tuple(blocks),
        kept=tuple(each * (key + value) for each in pairs),
        output=sum(int(tensor.n_bytes) for tensor in others.values())
        + (table_bytes if is_tied else 0),
        table=table_bytes,
        width=width,
        heads=heads,
        feed_forward=max(_numbers(reader, f"{architecture}.feed_forward_length", count), default=0),
        vocabulary=int(table.shape[-1]) if table is not None else 0,
        piece=math.gcd(key, value),
        tied=is_tied,
    )


def _other_parts(path: Path) -> list[Path]:
    """The files that a model goes on in; llama.cpp finds them by these names."""
    first = path.resolve()
    if not (found := _FIRST.search(first.name)):
        return []
    stem, count = first.name[: found.start()], int(found[1])
    return [first.with_name(f"{stem}-{n:05}-of-{count:05}.gguf") for n in range(2, count + 1)]


class _Reader(GGUFReader):
    """GGUFReader, except that it steps over long arrays: a vocabulary takes it seconds."""

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> _Parts:
        if raw_type != _KINDS.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        view = self.data.data
        kind = _KINDS(int.from_bytes(view[orig_offs : orig_offs + 4], "little"))
        count = int.from_bytes(view[orig_offs + 4 : orig_offs + 12], "little")
        end = orig_offs + 12
        if kind != _KINDS.STRING and count <= _SHORT:
            return super()._get_field_parts(orig_offs, raw_type)
        if kind == _KINDS.STRING:
            for _ in range(count):
                end += 8 + int.from_bytes(view[end : end + 8], "little")
                if end > len(view):
                    raise ValueError(end)
        else:
            end += count * self.gguf_scalar_to_np[kind]().itemsize
        return end - orig_offs, [], [], [_KINDS.ARRAY, kind]


def _quantization(reader: GGUFReader) -> str:
    """Such as Q4_K_M; the weightiest tensor type where the file does not name one."""
    try:
        kind = LlamaFileType(_number(reader, "general.file_type", missing=-1))
    except ValueError:
        weights: Counter[str] = Counter()
        for tensor in reader.tensors:
            weights[_type_name(tensor)] += int(tensor.n_bytes)
        return weights.most_common(1)[0][0]
    return kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")


def _type_name(tensor: ReaderTensor) -> str:
    return str(tensor.tensor_type.name)


def _text(reader: GGUFReader, key: str) -> str:
    field = reader.get_field(key)
    return str(field.contents()) if field and field.types == [_KINDS.STRING] else ""


def _number(reader: GGUFReader, key: str, *, missing: int = 0) -> int:
    field = reader.get_field(key)
    value = field.contents() if field else missing
    return value if isinstance(value, int) else missing


def _numbers(reader: GGUFReader, key: str, count: int, *, missing: int = 0) -> list[int]:
    """One number a block: files give one for all, or a list."""
    field = reader.get_field(key)
    value = field.contents() if field else missing
    numbers = list(value) if isinstance(value, list) else [value] * count
    if len(numbers) < count or not all(isinstance(each, int) for each in numbers):
        raise ValueError(key)
    return numbers[:count]
