"""Embedding models and rerankers of a hub-shaped server: fetched once, then used without it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
import rag_home
import tiny_models
from hub_server import Hub
from rag_home import NOBODY, READER, WRITER

from localai.app import App
from localai.core.errors import Denied, Invalid, NotFound, Unavailable
from localai.infer import hub
from localai.infer.downloads import Step
from localai.rag.embed import Embedder
from localai.rag.rerank import Reranker
from localai.rag.retrieval_models import RetrievalModels

STATIC = "minishlab/potion-base-8M"
RERANKER = "Xenova/ms-marco-MiniLM-L-6-v2"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has a small embedding model and a small reranker."""
    with hub_server.running() as running:
        for repository, files in (
            (STATIC, tiny_models.static(256)),
            (RERANKER, tiny_models.cross_encoder()),
        ):
            running.files |= {f"{repository}/{name}": content for name, content in files.items()}
        constants = "huggingface_hub.constants"
        template = f"{running.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(f"{constants}.ENDPOINT", running.url)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", running.url)
        monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(f"{constants}.DOWNLOAD_CHUNK_SIZE", 100)
        monkeypatch.setattr("time.sleep", lambda _: None)  # the library waits before it goes on
        yield running


@pytest.fixture
def models(tmp_path: Path) -> RetrievalModels:
    """Models in an empty folder; the shipped one is in use."""
    used = lambda: ("localai/static-192", "")  # noqa: E731
    return RetrievalModels(tmp_path / "cache", rag_home.require, used, lambda: hub)


def test_a_model_is_fetched_once_and_then_needs_no_network(
    server: Hub, models: RetrievalModels, tmp_path: Path
) -> None:
    """Neither to be seen, nor to be pulled again, nor to embed."""
    steps: list[Step] = []
    assert models.pull(WRITER, STATIC.upper(), steps.append).is_here
    assert steps[-1].done == steps[-1].total > 0
    server.asked.clear()
    assert models.pull(WRITER, STATIC).is_here
    embedder = Embedder(STATIC, tmp_path / "cache")
    [kettle, train, nothing] = embedder.embed(["the kettle", "the train", "여권"])
    assert len(kettle or ()) == len(train or ()) == embedder.dim == 256
    assert nothing is None
    assert server.asked == []
    place = tmp_path / "cache/minishlab--potion-base-8M"
    assert {file.stat().st_mode & 0o777 for file in place.iterdir()} == {0o600}
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_reranker_is_fetched_like_an_embedding_model(
    server: Hub, models: RetrievalModels, tmp_path: Path
) -> None:
    """Its files lie in folders of the repository, and do so here."""
    assert models.pull(WRITER, RERANKER).kind == "reranker"
    server.asked.clear()
    reranker = Reranker(RERANKER, tmp_path / "cache")
    assert reranker.scores("kettle vinegar", ["the train", "vinegar", "kettle with vinegar"]) == [
        0.0,
        1.0,
        2.0,
    ]
    assert server.asked == []


def test_what_was_cut_off_is_gone_on_with(server: Hub, models: RetrievalModels) -> None:
    """Where it broke; nothing is here before it is whole."""
    whole = len(server.files[f"{STATIC}/model.safetensors"])
    server.cut = [*(1 << 20 for _ in range(3)), 1000]
    assert models.pull(WRITER, STATIC).is_here
    assert server.sent[-1] == (1000, whole - 1000)


def test_a_damaged_file_is_fetched_anew(
    server: Hub, models: RetrievalModels, tmp_path: Path
) -> None:
    """The message of the model that cannot be loaded names the command that mends it."""
    models.pull(WRITER, STATIC)
    file = tmp_path / "cache/minishlab--potion-base-8M/model.safetensors"
    file.write_bytes(b"half")
    with pytest.raises(Unavailable, match="cannot be loaded") as caught:
        Embedder(STATIC, tmp_path / "cache").load()
    assert caught.value.hint == f"ai rag models pull {STATIC}"
    models.pull(WRITER, STATIC)
    assert file.read_bytes() == server.files[f"{STATIC}/model.safetensors"]


def test_what_the_hub_did_not_promise_is_not_kept(server: Hub, models: RetrievalModels) -> None:
    """Neither a large file, which has a SHA-256, nor a small one, which has its id in git."""
    server.lies = True
    with pytest.raises(Unavailable, match="not what was promised"):
        models.pull(WRITER, STATIC)
    assert not models.get(READER, STATIC).is_here


def test_a_model_of_other_numbers_is_not_kept(
    server: Hub, models: RetrievalModels, tmp_path: Path
) -> None:
    """It was listed with 256 a text; vectors of another length would break an index."""
    content = tiny_models.static(64)
    server.files |= {f"{STATIC}/{name}": each for name, each in content.items()}
    with pytest.raises(Unavailable, match="gives 64 numbers a text, not 256"):
        models.pull(WRITER, STATIC)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_way_to_the_hub_it_says_so(
    server: Hub, models: RetrievalModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a model that the hub does not have is another trouble."""
    server.files.clear()
    with pytest.raises(NotFound):
        models.pull(WRITER, STATIC)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unavailable) as caught:
        models.pull(WRITER, STATIC)
    assert caught.value.hint == "the same command goes on where it ended"


def test_the_list_names_what_is_here_and_what_brings_the_rest(
    server: Hub, models: RetrievalModels
) -> None:
    """Embedding models first, rerankers apart, licences that forbid something marked."""
    models.pull(WRITER, STATIC)
    page = models.page(READER)
    by_name = {each.name: each for each in page.items}
    assert [each.name for each in page.items if each.is_here] == ["localai/static-192", STATIC]
    assert by_name["localai/static-192"].is_used
    assert by_name["localai/minilm-l6-v2-int8"].origin == "pip install localai-minilm"
    assert by_name["BAAI/bge-small-en-v1.5"].origin == "ai rag models pull BAAI/bge-small-en-v1.5"
    assert {each.name for each in page.items if not each.is_permissive} == {
        "google/embeddinggemma-300m",
        "jinaai/jina-reranker-v2-base-multilingual",
    }
    kinds = [each.kind for each in page.items]
    assert kinds == sorted(kinds)
    assert by_name[RERANKER].dim is None
    everything = models.page(READER, everything=True)
    assert {each.name for each in everything.items} > by_name.keys()


def test_who_may_do_what(models: RetrievalModels) -> None:
    """Seeing is reading; fetching is writing."""
    with pytest.raises(Denied):
        models.page(NOBODY)
    with pytest.raises(Denied):
        models.pull(READER, STATIC)


def test_an_unknown_name_is_answered_with_the_nearest(
    models: RetrievalModels, tmp_path: Path
) -> None:
    """Of both kinds."""
    with pytest.raises(NotFound, match="ms-marco-MiniLM-L-6-v2"):
        models.pull(WRITER, "ms-marco-MiniLM-L-6")
    with pytest.raises(Invalid) as caught:
        Reranker("Xenova/ms-marco-MiniLM-L6", tmp_path)
    assert caught.value.hint == f"ai rag models use {RERANKER}"


@pytest.mark.prove
def test_the_command_fetches_from_the_endpoint_of_the_environment(
    server: Hub, tmp_path: Path
) -> None:
    """HF_ENDPOINT names a mirror; what was fetched then answers with the network gone."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "kettle.txt").write_text("The kettle is descaled with vinegar.", encoding="utf-8")

    def ai(*arguments: object, endpoint: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "LOCALAI_HOME": str(tmp_path / "home"),
            "HF_ENDPOINT": endpoint,
        }
        command = [Path(sys.executable).parent / "ai", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    ai("rag", "models", "pull", STATIC, endpoint=server.url)
    nowhere = "http://127.0.0.1:9"
    server.asked.clear()
    ai("rag", "models", "use", STATIC, endpoint=nowhere)
    ai("rag", "index", folder, endpoint=nowhere)
    found = ai("rag", "query", "--no-answer", "--json", "vinegar", endpoint=nowhere)
    assert STATIC in found.stdout
    assert "kettle.txt" in found.stdout
    assert server.asked == []


def test_a_choice_of_another_process_holds_from_the_next_question_on(
    server: Hub, tmp_path: Path
) -> None:
    """A conversation or a server that is open need not be begun again."""
    (tmp_path / "kettle.txt").write_text("The kettle is descaled with vinegar.", encoding="utf-8")
    long, short = App(tmp_path / "home"), App(tmp_path / "home")
    try:
        long.rag.index(long.actor, [tmp_path / "kettle.txt"])
        assert set(long.rag.query(long.actor, "kettle").timings_ms) == {"embed", "search"}
        for name in (STATIC, RERANKER):
            short.rag_models.pull(short.actor, name)
            chosen = short.use_rag_model(short.actor, name)
        assert (chosen.model, chosen.reranker) == (STATIC, RERANKER)
        assert [each.name for each in chosen.others] == ["default"]
        found = long.rag.query(long.actor, "kettle")
        assert (found.model, "rerank" in found.timings_ms) == ("localai/static-192", True)
        assert long.rag.rebuild(long.actor, "default").added == 1
        assert long.rag.query(long.actor, "kettle").model == STATIC
        short.use_rag_model(short.actor, None, no_reranker=True)
        assert set(long.rag.query(long.actor, "kettle").timings_ms) == {"embed", "search"}
    finally:
        long.close()
        short.close()
