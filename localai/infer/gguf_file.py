"""What a GGUF file says about itself; the one file that imports gguf.

Reads the header alone, and proves that every tensor lies within the file.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import gguf
import numpy.typing as npt
from gguf.constants import LlamaFileType
from gguf.gguf_reader import GGUFReader, ReaderTensor

from localai.core.errors import Invalid, NotFound
from localai.infer.library import GgufInfo

_KINDS = gguf.GGUFValueType
_Parts = tuple[int, list[npt.NDArray[Any]], list[int], list[gguf.GGUFValueType]]
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
        parameters=sum(int(t.n_elements) for each in (reader, *others) for t in each.tensors),
        title=_text(reader, "general.name"),
        other_bytes=sum(part.stat().st_size for part in _other_parts(path)),
    )


def _other_parts(path: Path) -> list[Path]:
    """The files that a model goes on in; llama.cpp finds them by these names."""
    first = path.resolve()
    if not (found := _FIRST.search(first.name)):
        return []
    stem, count = first.name[: found.start()], int(found[1])
    return [first.with_name(f"{stem}-{n:05}-of-{count:05}.gguf") for n in range(2, count + 1)]


class _Reader(GGUFReader):
    """GGUFReader, except that it steps over arrays: a vocabulary takes the original seconds."""

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> _Parts:
        if raw_type != _KINDS.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        view = self.data.data
        kind = _KINDS(int.from_bytes(view[orig_offs : orig_offs + 4], "little"))
        count = int.from_bytes(view[orig_offs + 4 : orig_offs + 12], "little")
        end = orig_offs + 12
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
