"""GGUF headers."""

import random
from contextlib import suppress
from pathlib import Path

import gguf
import gguf_models
import numpy as np
import pytest

from localai.core.errors import Invalid, NotFound
from localai.infer.gguf_file import inspect


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as it should be."""
    return gguf_models.random_llama(tmp_path_factory.mktemp("models") / "whole.gguf")


def _tiny(path: Path, **fields: object) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in fields.items():
        getattr(writer, f"add_{key}")(value)
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_tensor("a", np.zeros((4, 8), np.float16))
    writer.add_tensor("b", np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_header_is_read_in_full(whole: Path) -> None:
    """What `ai models info` shows."""
    info = inspect(whole)
    assert (info.architecture, info.quantization, info.context) == ("llama", "F16", 2048)
    assert (info.title, info.has_template) == ("whole", True)
    assert info.size_bytes == whole.stat().st_size
    reader = gguf.GGUFReader(whole)
    assert info.parameters == sum(int(tensor.n_elements) for tensor in reader.tensors)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (gguf.LlamaFileType.MOSTLY_Q4_K_M, "Q4_K_M"),
        (gguf.LlamaFileType.ALL_F32, "F32"),
        (4711, "F16"),
    ],
)
def test_quantization_has_the_name_people_use(tmp_path: Path, kind: int, name: str) -> None:
    """A number that is not known falls back to the weightiest tensors."""
    assert inspect(_tiny(tmp_path / "m.gguf", file_type=kind)).quantization == name


def test_what_a_header_leaves_out_is_empty(tmp_path: Path) -> None:
    """No name, no template, no context length."""
    info = inspect(_tiny(tmp_path / "m.gguf"))
    assert (info.title, info.has_template, info.context) == ("", False, 0)
    assert info.quantization == "F16"


@pytest.mark.parametrize("seed", range(40))
def test_a_file_cut_anywhere_is_invalid(tmp_path: Path, whole: Path, seed: int) -> None:
    """Before llama.cpp sees it."""
    share = random.Random(seed).random()
    with pytest.raises(Invalid, match="cut short"):
        inspect(gguf_models.truncated(tmp_path / "cut.gguf", whole, share))


def test_a_file_short_of_one_byte_is_invalid(tmp_path: Path, whole: Path) -> None:
    """The last tensor's end is checked."""
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole.read_bytes()[:-64])
    with pytest.raises(Invalid):
        inspect(cut)


def test_a_header_without_tensors_is_invalid(tmp_path: Path) -> None:
    """Vocabularies come as such files."""
    writer = gguf.GGUFWriter(tmp_path / "vocabulary.gguf", "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(Invalid):
        inspect(tmp_path / "vocabulary.gguf")


@pytest.mark.parametrize("magic", [True, False])
@pytest.mark.parametrize("size", [0, 3, 4096])
def test_garbage_is_invalid(tmp_path: Path, size: int, magic: bool) -> None:
    """With or without GGUF's magic number."""
    with pytest.raises(Invalid):
        inspect(gguf_models.garbage(tmp_path / "noise.gguf", size, magic=magic))


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_are_read_or_refused(tmp_path: Path, whole: Path, seed: int) -> None:
    """No other error comes out, and nothing hangs."""
    chance = random.Random(seed)
    data = bytearray(whole.read_bytes())
    for _ in range(4):
        data[chance.randrange(3000)] = chance.randrange(256)
    broken = tmp_path / "flipped.gguf"
    broken.write_bytes(data)
    with suppress(Invalid):
        assert inspect(broken).size_bytes == len(data)


@pytest.mark.parametrize("fields", [{"type": "adapter"}, {"architecture": "clip"}])
def test_a_part_of_a_model_is_no_model(
    tmp_path: Path, fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adapters and projectors cannot answer."""
    path = tmp_path / "part.gguf"
    if architecture := fields.pop("architecture", None):
        writer = gguf.GGUFWriter
        monkeypatch.setattr(gguf, "GGUFWriter", lambda file, _: writer(file, architecture))
    with pytest.raises(Invalid, match="by itself"):
        inspect(_tiny(path, **fields))


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """The system's reason is kept."""
    with pytest.raises(NotFound, match="No such file"):
        inspect(tmp_path / "none.gguf")


def _blocks(path: Path, **numbers: object) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in {"embedding_length": 8, "attention.head_count": 2, **numbers}.items():
        add = writer.add_array if isinstance(value, list) else writer.add_uint32
        add(f"llama.{key}", value)  # type: ignore[arg-type]
    for name in ("token_embd", "blk.0.ffn_up", "blk.1.ffn_up"):
        writer.add_tensor(f"{name}.weight", np.zeros((16, 8), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_blocks_may_differ(tmp_path: Path) -> None:
    """A list gives each block its number; without one all heads keep their own."""
    listed = {"attention.head_count_kv": [1, 0], "feed_forward_length": [64, 128]}
    found = inspect(_blocks(tmp_path / "a.gguf", block_count=2, **listed)).shape
    assert found is not None
    assert (found.blocks, found.kept, found.feed_forward) == ((256, 256), (8, 0), 128)
    assert (found.table, found.output, found.tied, found.vocabulary) == (256, 256, True, 16)
    plain = inspect(_blocks(tmp_path / "b.gguf", block_count=2, feed_forward_length=64)).shape
    assert plain is not None
    assert (plain.kept, plain.piece) == ((16, 16), 4)


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"block_count": 2**31},
        {"block_count": 2, "attention.head_count_kv": [1]},
        {"block_count": 2, "attention.head_count": 0},
    ],
)
def test_a_header_that_contradicts_itself_has_no_plan(
    tmp_path: Path, numbers: dict[str, object]
) -> None:
    """The rest of it is shown all the same."""
    info = inspect(_blocks(tmp_path / "m.gguf", **numbers))
    assert info.parameters == 3 * 128
    assert info.shape is None or len(info.shape.blocks) == 2


def test_tools_are_called_where_the_template_writes_calls(tmp_path: Path, whole: Path) -> None:
    """One that does not parse calls nothing."""
    assert inspect(whole).calls_tools
    for template in ("", "{{ messages }}", "{% broken <tool_call> {{ tools }}"):
        file = gguf_models.random_llama(tmp_path / "m.gguf", template=template)
        assert not inspect(file).calls_tools
