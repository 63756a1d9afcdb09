"""`ai rag models`, and what `ai init` offers where Korean is spoken."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pexpect
import pytest
import tiny_models
from hub_server import Hub
from terminal import AI, Ai

KOREAN = {"LC_ALL": "", "LANG": "ko_KR.UTF-8"}
NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9"}
MODEL = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"


pytestmark = pytest.mark.prove  # half a minute


@pytest.fixture
def server() -> Iterator[Hub]:
    """A hub that has the model which `ai init` offers."""
    repository = "Qdrant/paraphrase-multilingual-MiniLM-L12-v2-onnx-Q"
    with hub_server.running() as running:
        files = tiny_models.pooled(384, "model_optimized.onnx")
        running.files |= {f"{repository}/{name}": content for name, content in files.items()}
        yield running


def at_a_terminal(ai: Ai, answer: str | None, **environment: str) -> str:
    """What `ai init` says at a terminal, given this answer to its one question."""
    child = pexpect.spawn(
        str(AI),
        ["init"],
        env={**os.environ, **ai.environment, **environment},
        encoding="utf-8",
        timeout=60,
        dimensions=(40, 200),
    )
    said = ""
    if answer is not None:
        child.expect_exact("[y/N] ")
        said = child.before or ""
        child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    return said + (child.before or "")


def test_a_korean_home_is_offered_a_model_once(fresh: Ai) -> None:
    """No is the default, and is remembered."""
    assert MODEL in at_a_terminal(fresh, "", **KOREAN, **NOWHERE)
    assert fresh("config", "get", "rag.model").out.strip() == "localai/static-192"
    assert "Korean" not in at_a_terminal(fresh, None, **KOREAN, **NOWHERE)


def test_a_yes_fetches_the_model_and_documents_use_it(fresh: Ai, server: Hub) -> None:
    """A Korean question then has a meaning, too."""
    at_a_terminal(fresh, "예", **KOREAN, HF_ENDPOINT=server.url)
    assert fresh("config", "get", "rag.model").out.strip() == MODEL
    (fresh.workspace / "k.txt").write_text("The kettle is descaled.", encoding="utf-8")
    assert fresh("rag", "index", ".", **NOWHERE).code == 0
    found = fresh("rag", "query", "--no-answer", "--json", "kettle", **NOWHERE).json
    assert (found["model"], len(found["passages"])) == (MODEL, 1)


def test_without_a_terminal_or_a_network_the_home_is_made_all_the_same(fresh: Ai) -> None:
    """A hint and nothing else; `-y` tries, and says what works without it."""
    hinted = fresh("init", **KOREAN, **NOWHERE)
    assert (hinted.code, f"ai rag models pull {MODEL}" in hinted.err) == (0, True)
    tried = fresh("init", "-y", **KOREAN, **NOWHERE)
    assert tried.code == 0
    assert "could not be fetched; Korean is found by its words all the same" in tried.err
    assert fresh("init", LC_ALL="en_US.UTF-8", LANG="ko_KR.UTF-8").err == ""


def test_a_model_that_is_not_here_is_not_chosen(ai: Ai) -> None:
    """The hint brings it; the list shows what there is."""
    refused = ai("rag", "models", "use", MODEL)
    assert (refused.code, f"hint: ai rag models pull {MODEL}" in refused.err) == (6, True)
    assert ai("rag", "models", "use").code == 2
    listed = ai("rag", "models", "list", COLUMNS="200")
    assert re.search(r"localai/static-192 .* in use", listed.out)
    assert re.search(r"localai/minilm-l6-v2-int8 .* pip install localai-minilm", listed.out)
    assert "RERANKER" in listed.out
    assert "gemma *" in listed.out
    names = ai("rag", "models", "list", "--all", "-q").out.split()
    assert len(names) > 40


def test_choosing_names_the_collections_to_rebuild(ai: Ai, tmp_path: Path) -> None:
    """They answer as before; adding to one is refused with the same command."""
    site = tmp_path / "site"
    tiny_models.write(tiny_models.pooled(384), site / "localai_minilm/model")
    (site / "localai_minilm/__init__.py").touch()
    (ai.workspace / "k.txt").write_text("The kettle is descaled.", encoding="utf-8")
    ai("rag", "index", "k.txt", "-C", "kitchen")
    ai.environment["PYTHONPATH"] = str(site)
    chosen = ai("rag", "models", "use", "localai/minilm-l6-v2-int8")
    rebuild = "ai rag collections rebuild kitchen"
    assert f"kitchen was made with localai/static-192: {rebuild}" in chosen.err
    assert len(ai("rag", "query", "--json", "-C", "kitchen", "kettle").json["passages"]) == 1
    refused = ai("rag", "index", "k.txt", "-C", "kitchen")
    assert (refused.code, rebuild in refused.err) == (5, True)
    assert ai("rag", "collections", "rebuild", "kitchen", "--json").json["added"] == 1
    assert ai("rag", "index", "k.txt", "-C", "kitchen").code == 0
