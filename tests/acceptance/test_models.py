"""`ai models pull` from a hub-shaped server on this machine."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf_models
import hub_server
import pytest
from hub_server import Hub
from terminal import Ai

TINY = "someone/tiny-GGUF/tiny.gguf"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with a model that says its own name."""
    with hub_server.running() as running:
        made = gguf_models.scripted(tmp_path / "made.gguf", [], "I am tiny.")
        running.files[TINY] = made.read_bytes()
        yield running


@pytest.mark.prove
def test_a_pulled_model_answers(ai: Ai, hub: Hub) -> None:
    """From the hub to the first answer; removing it gives the room back."""
    pulled = ai("models", "pull", TINY, "--json", HF_ENDPOINT=hub.url)
    assert pulled.json["name"] == "tiny"
    assert ai("chat", "who?").out == "I am tiny.\n"
    assert ai("models", "pull", TINY, "-q", HF_ENDPOINT=hub.url).out == "tiny\n"
    assert "someone/tiny-GGUF" in ai("models", "info", "tiny").out
    assert ai("models", "rm", "tiny", "-y").code == 0
    assert list((ai.home / "models").glob("tiny*")) == []


def test_the_catalogue_is_shown_without_asking_anybody(ai: Ai, hub: Hub) -> None:
    """Name, use, languages, size and licence."""
    shown = ai("models", "pull", HF_ENDPOINT=hub.url)
    line = next(line for line in shown.out.splitlines() if line.startswith("qwen2.5-coder-7b "))
    assert line.split() == ["qwen2.5-coder-7b", "code", "en", "4.68", "GB", "32768", "apache-2.0"]
    assert ai("models", "pull", "--json").json["total"] >= 20
    assert hub.agents == set()


@pytest.mark.prove
def test_a_killed_pull_goes_on_where_it_was(ai: Ai, hub: Hub) -> None:
    """Nothing is listed before it is whole."""
    hub.files[TINY] += bytes(30_000_000)  # a chunk is written to the disk every 10 MB
    hub.stop_after = 12_000_000
    process = ai.start("models", "pull", TINY, HF_ENDPOINT=hub.url)
    part = ai.home / "models/tiny.files"
    while not any(file.stat().st_size for file in part.glob("*.part")):
        time.sleep(0.02)
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert ai("models", "list", "-q").out == "starter\n"
    hub.stop_after = None
    assert ai("models", "pull", TINY, HF_ENDPOINT=hub.url).code == 0
    assert hub.sent[-1][0] > 0
    assert ai("models", "list", "-q").out == "starter\ntiny\n"


@pytest.mark.prove
def test_trouble_has_its_exit_code(ai: Ai, hub: Hub) -> None:
    """As any command's."""
    for wanted, code in (("qwen", 4), ("nobody/none/x.gguf", 4), ("someone/tiny-GGUF/y.gguf", 4)):
        assert ai("models", "pull", wanted, HF_ENDPOINT=hub.url).code == code
    hub.lies = True
    refused = ai("models", "pull", TINY, HF_ENDPOINT=hub.url)
    assert (refused.code, refused.out) == (6, "")
    assert "is not what was promised" in refused.err
    assert ai("models", "pull", TINY, HF_HUB_OFFLINE="1", HF_ENDPOINT=hub.url).code == 6


@pytest.mark.prove
def test_info_shows_how_a_model_fits(ai: Ai, with_model: Callable[..., str]) -> None:
    """The plan and its arithmetic add up, and what was set is kept."""
    name = with_model()
    shown = ai("models", "info", name)
    assert "on the processor, 8,192 tokens as f16" in shown.out
    plan = ai("models", "info", name, "--json").json["plan"]
    share = plan["in_memory"]
    size = (ai.home / "models" / f"{name}.gguf").stat().st_size
    assert 0.5 * size < share["weights"] <= size
    assert share["kv"] == 8192 * 2 * 64 * 2
    asked = {"LOCALAI_ENGINE_CONTEXT": "6000", "LOCALAI_ENGINE_KV_TYPE": "q8_0"}
    plan = ai("models", "info", name, "--json", **asked).json["plan"]
    assert (plan["context"], plan["kv_type"], plan["flash_attention"]) == (6000, "q8_0", True)
    assert plan["in_memory"]["kv"] == 6000 * 2 * 64 * 34 // 32
    assert ai("chat", "-m", name, "hi", **asked).out == "I have nothing to say.\n"
