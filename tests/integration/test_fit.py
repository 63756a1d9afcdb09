"""What a plan says that a model takes, against what llama.cpp says that it took."""

import ctypes
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf_models
import llama_cpp
import psutil
import pytest

from localai.core.errors import Unavailable
from localai.infer import gguf_file, llamacpp
from localai.infer.fit import KV_BYTES, Share, Wish, plan

MIB = 1 << 20
Reported = Callable[[Path, Wish], tuple[Share, Share]]


@pytest.fixture
def reported() -> Iterator[Reported]:
    """Loads a file as planned; the plan's share of main memory, and what llama.cpp reports."""
    lines: list[str] = []

    @llama_cpp.llama_log_callback
    def hear(_: int, text: bytes, __: ctypes.c_void_p) -> None:
        lines.append(text.decode(errors="replace"))

    def size(of: str) -> int:
        found = re.findall(rf"CPU\w* {of} buffer size = +([\d.]+) MiB", "".join(lines))
        return int(sum(map(float, found)) * MIB)

    def load(file: Path, wish: Wish) -> tuple[Share, Share]:
        header = gguf_file.inspect(file)
        assert header.shape is not None
        made = plan(header.shape, wish, header.context, (), 0)
        llama_cpp.llama_log_set(hear, ctypes.c_void_p(0))
        engine = llamacpp.load(
            file,
            threads=1,
            gpu_layers=0,
            context=made.context,
            kv_type=made.kv_type,
            flash_attention=made.flash_attention,
        )
        assert engine.context == made.context
        engine.close()
        return made.in_memory, Share(0, size("model"), size("KV"), size("compute"))

    yield load
    llama_cpp.llama_log_set(llamacpp._LOG, ctypes.c_void_p(0))


def _has_size(planned: int, found: int, within: float = 0.1) -> bool:
    return abs(planned - found) <= max(within * found, MIB / 100)


@pytest.mark.parametrize("kv_type", KV_BYTES)
@pytest.mark.parametrize("context", [2048, 8192, 32_768])
def test_a_plan_is_what_llama_cpp_takes(
    tmp_path: Path, reported: Reported, context: int, kv_type: str
) -> None:
    """Weights, context and computing, for each kind of cache."""
    file = gguf_models.scripted(tmp_path / "m.gguf", [], context=32_768, layers=4)
    planned, found = reported(file, Wish(context=context, kv_type=kv_type))
    assert _has_size(planned.weights, found.weights)
    assert _has_size(planned.kv, found.kv, within=0.01)
    assert _has_size(planned.computing, found.computing)


@pytest.mark.parametrize("flash_attention", [True, False])
def test_attention_in_one_step_takes_less(
    tmp_path: Path, reported: Reported, flash_attention: bool
) -> None:
    """Without it, the scores of a whole batch stand in memory."""
    file = gguf_models.random_llama(tmp_path / "m.gguf", context=16_384)
    planned, found = reported(file, Wish(context=16_384, flash_attention=flash_attention))
    assert _has_size(planned.computing, found.computing)
    assert (found.computing < 10 * MIB) == flash_attention


def test_a_window_keeps_all_of_the_conversation(tmp_path: Path, reported: Reported) -> None:
    """Gemma 3 looks at the last of it alone, in most blocks, and can go back nevertheless."""
    planned, found = reported(gguf_models.windowed(tmp_path / "m.gguf"), Wish())
    assert _has_size(planned.kv, found.kv, within=0.01)


def test_the_shipped_models_are_planned_as_they_are_loaded(reported: Reported) -> None:
    """The starter's short convolutions keep nothing that grows."""
    file = Path(llamacpp.__file__).parent / "models/starter/starter.gguf"
    planned, found = reported(file, Wish())
    assert _has_size(planned.weights, found.weights)
    assert _has_size(planned.kv, found.kv, within=0.01)


def test_the_same_words_whatever_the_cache(tmp_path: Path) -> None:
    """A smaller cache and one-step attention change what is kept, not how to ask for it."""
    reply = "Nothing changes. 그대로입니다."
    file = gguf_models.scripted(tmp_path / "m.gguf", [], reply)
    for kv_type in KV_BYTES:
        engine = llamacpp.load(file, threads=1, gpu_layers=0, kv_type=kv_type)
        asked = [llamacpp.Message("user", "hi")]
        assert (
            "".join(delta.text for delta in engine.stream(asked))
            == "Nothing changes. 그대로입니다."
        )
        engine.close()


def test_devices_are_asked_through_llama_cpp() -> None:
    """Here it is the processor, whose memory the system knows too."""
    (processor,) = llamacpp.cards(kinds=(0,))
    assert processor.name
    assert abs(processor.total_bytes / psutil.virtual_memory().total - 1) < 0.01
    assert llamacpp.cards() == () or llamacpp.gpu_offload_supported()


def test_without_memory_fewer_layers_are_tried_and_it_is_said(tmp_path: Path) -> None:
    """The real failure: no address space for the context, until somebody makes room."""
    file = gguf_models.random_llama(tmp_path / "m.gguf", context=4_000_000)
    script = textwrap.dedent(
        f"""
        import resource
        from pathlib import Path
        from localai.infer import llamacpp
        from localai.infer.engine import Message, Sampling
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (300 << 20), -1))
        heard = []
        def tell(line):
            heard.append(line)
            print(line)
            if len(heard) == 2:
                resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
        engine = llamacpp.load(
            Path({str(file)!r}), name="big", threads=1, gpu_layers=8, context=4_000_000, tell=tell
        )
        deltas = engine.stream([Message("user", "hi")], sampling=Sampling(max_tokens=2))
        print(len(list(deltas)))
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second, answered = done.stdout.splitlines()
    assert first.startswith("big: no room for 8 layers on the card, 6 are tried: no memory for")
    assert second.startswith("big: no room for 6 layers on the card, 4 are tried: no memory for")
    assert int(answered) > 0


def test_what_is_broken_is_not_tried_again(tmp_path: Path) -> None:
    """Fewer layers do not mend a file."""
    heard: list[str] = []
    file = gguf_models.garbage(tmp_path / "m.gguf", magic=True)
    with pytest.raises(Unavailable, match="cannot be loaded"):
        llamacpp.load(file, gpu_layers=8, tell=heard.append)
    assert heard == []
