"""Pulling models from a hub-shaped server, through the real huggingface_hub."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf_models
import hub_server
import pytest
from hub_server import Hub

from localai.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from localai.infer import hub, llamacpp
from localai.infer.catalogue import Catalogue
from localai.infer.downloads import Downloads, Step
from localai.infer.gguf_file import inspect
from localai.infer.library import Library

ACTOR = object()
TINY = "someone/tiny-GGUF/tiny.gguf"


def _allow(_actor: object, _permission: str) -> None:
    """Everybody may."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model's file."""
    file = tmp_path_factory.mktemp("made") / "tiny.gguf"
    return gguf_models.random_llama(file, context=64).read_bytes()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A model in several files."""
    folder = tmp_path_factory.mktemp("made")
    gguf_models.random_llama(folder / "big.gguf", context=64, split=8)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def server(weights: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has the model."""
    with hub_server.running() as running:
        running.files[TINY] = weights
        _point_to(running.url, monkeypatch)
        monkeypatch.setattr("time.sleep", lambda _: None)  # the library waits before it goes on
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100)
        yield running


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An empty library."""
    return Library(tmp_path / "models", _allow, inspect, {}, shipped={})


@pytest.fixture
def downloads(tmp_path: Path, library: Library) -> Downloads:
    """Pulls into the library."""
    return Downloads(Catalogue(tmp_path / "catalogue.toml"), library, _allow, lambda: hub)


def _point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_ENDPOINT would, had the library not read it already."""
    constants = "huggingface_hub.constants"
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(f"{constants}.ENDPOINT", url)
    monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)


def _own(tmp_path: Path, **model: Any) -> None:
    """A catalogue of the operator's with one model in it."""
    stored = {"name": "mine", "repository": "someone/tiny-GGUF", "revision": "main"} | model
    lines = [f"{key} = {value!r}" for key, value in stored.items() if key != "files"]
    files = stored.get("files", ["name = 'tiny.gguf'"])
    text = "\n".join(["[[models]]", *lines, f"files = [{', '.join(f'{{ {f} }}' for f in files)}]"])
    (tmp_path / "catalogue.toml").write_text(text)


def test_a_file_of_the_hub_is_pulled(
    server: Hub, downloads: Downloads, library: Library, tmp_path: Path, weights: bytes
) -> None:
    """It is listed once it is whole, answers, and is private; pulling again fetches nothing."""
    steps: list[Step] = []
    model = downloads.pull(ACTOR, TINY, report=steps.append)
    assert (model.name, model.size_bytes) == ("tiny", len(weights))
    assert steps[-1] == Step(len(weights), len(weights))
    place = library.file(ACTOR, "tiny")
    assert place.read_bytes() == weights
    assert place.stat().st_mode & 0o777 == 0o600
    llamacpp.load(place, threads=1, gpu_layers=0).close()
    fetched = list(server.sent)
    assert downloads.pull(ACTOR, TINY) == model
    assert server.sent == fetched
    assert library.digest(ACTOR, "tiny", place) == server.digest(TINY)
    library.remove(ACTOR, "tiny")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_connection_that_breaks_is_taken_up_again(
    server: Hub, downloads: Downloads, library: Library, weights: bytes
) -> None:
    """Where it broke, as often as something came."""
    server.cut = [1000, 5000, 100]
    downloads.pull(ACTOR, TINY)
    assert [start for start, _ in server.sent] == [0, 1000, 6000, 6100]
    assert library.file(ACTOR, "tiny").read_bytes() == weights


def test_what_another_process_left_is_gone_on_with(
    server: Hub, downloads: Downloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is listed before; what has come is not fetched again."""

    def interrupt(_: Step) -> None:
        raise KeyboardInterrupt

    server.cut = [2000]
    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr("time.sleep", lambda _: interrupt(Step(0, 0)))
        downloads.pull(ACTOR, TINY)
    folder = tmp_path / "models/tiny.files"
    [part] = folder.glob("*.part")
    assert (part.stat().st_size, part.stat().st_mode & 0o777) == (2000, 0o600)
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["tiny.files"]
    steps: list[Step] = []
    downloads.pull(ACTOR, TINY, report=steps.append)
    assert server.sent[-1][0] == 2000
    assert steps[0].done == 2000
    assert sorted(file.name for file in folder.iterdir()) == ["lock", "tiny.gguf"]


def test_a_part_longer_than_the_file_does_not_stay(
    server: Hub, downloads: Downloads, library: Library, tmp_path: Path, weights: bytes
) -> None:
    """A disk that was full could have left it."""
    folder = tmp_path / "models/tiny.files"
    folder.mkdir(parents=True)
    part = folder / f"tiny.gguf.{server.digest(TINY)[:16]}.part"
    part.write_bytes(b"x" * (len(weights) + 1))
    downloads.pull(ACTOR, TINY)
    assert library.file(ACTOR, "tiny").read_bytes() == weights


def test_another_digest_is_refused(
    server: Hub, downloads: Downloads, library: Library, tmp_path: Path
) -> None:
    """Whether the server lies or the catalogue promised another: nothing stays or is listed."""
    server.lies = True
    with pytest.raises(Unavailable, match="not what was promised"):
        downloads.pull(ACTOR, TINY)
    server.lies = False
    _own(tmp_path, files=[f"name = 'tiny.gguf', sha256 = '{'0' * 64}'"])
    with pytest.raises(Unavailable, match="not what was promised"):
        downloads.pull(ACTOR, "mine")
    assert library.page(ACTOR).total == 0
    assert [file.name for file in (tmp_path / "models").rglob("*.*") if file.is_file()] == []


def test_a_split_model_is_one_model(
    server: Hub, downloads: Downloads, library: Library, parts: dict[str, bytes], tmp_path: Path
) -> None:
    """Its first file's name says how many there are; all are counted, loaded and removed."""
    server.files |= {f"someone/big-GGUF/{name}": content for name, content in parts.items()}
    first = min(parts)
    assert len(parts) > 2
    steps: list[Step] = []
    model = downloads.pull(ACTOR, f"someone/big-GGUF/{first}", report=steps.append)
    assert (model.name, model.size_bytes) == ("big", sum(map(len, parts.values())))
    assert steps[-1] == Step(model.size_bytes, model.size_bytes)
    whole = gguf_models.random_llama(tmp_path / "whole.gguf", context=64)
    assert library.info(ACTOR, "big").parameters == inspect(whole).parameters
    llamacpp.load(library.file(ACTOR, "big"), threads=1, gpu_layers=0).close()
    shutil.copytree(tmp_path / "models/big.files", tmp_path / "elsewhere")
    added = library.add(ACTOR, tmp_path / "elsewhere" / first, name="added")
    assert added.size_bytes == model.size_bytes
    (tmp_path / "elsewhere" / sorted(parts)[1]).unlink()
    with pytest.raises(NotFound, match=r"00002-of-\d+\.gguf cannot be read"):
        library.add(ACTOR, tmp_path / "elsewhere" / first, name="again")
    library.remove(ACTOR, "big")
    assert not (tmp_path / "models/big.files").exists()


def test_the_operators_catalogue_adds_and_replaces(
    server: Hub, downloads: Downloads, tmp_path: Path
) -> None:
    """Beside ours, in the same form."""
    ours = downloads.offers(ACTOR)
    names = {"qwen2.5-3b", "qwen2.5-7b", "qwen2.5-14b", "qwen2.5-coder-7b", "qwen2.5-coder-14b"}
    assert names <= {offer.name for offer in ours.items}
    for offer in ours.items:
        assert all(file.sha256 and file.size_bytes for file in offer.files)
        assert len(offer.revision) == 40
        assert offer.license
        assert offer.good_at
    _own(tmp_path, files=[f"name = 'tiny.gguf', sha256 = '{server.digest(TINY)}'"])
    assert downloads.offers(ACTOR).total == ours.total + 1
    assert downloads.pull(ACTOR, "mine", name="other").name == "other"
    _own(tmp_path, name="qwen2.5-3b")
    assert downloads.offers(ACTOR).total == ours.total
    assert downloads.pull(ACTOR, "qwen2.5-3b").size_bytes < 1e6


@pytest.mark.parametrize(
    "text",
    [
        "[[models]",
        "models = 1",
        "[[models]]\nname = 'x'",
        "[[models]]\nname = 'x'\nrepository = 'a/b'\nfiles = []",
        "[[models]]\nname = 'x'\nrepository = '../b'\nfiles = [{ name = '../../x.gguf' }]",
        "[[models]]\nname = 'x'\nrepository = 'a/b'\nfiles = [{ name = 'x.gguf', sha256 = 'abc' }]",
        b"\xff\xfe",
    ],
)
def test_a_catalogue_that_cannot_be_read_says_so(
    downloads: Downloads, tmp_path: Path, text: str | bytes
) -> None:
    """With the file's name."""
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "catalogue.toml").write_bytes(content)
    with pytest.raises(Invalid, match=r"catalogue\.toml"):
        downloads.offers(ACTOR)


def test_what_the_hub_has_not_is_told(server: Hub, downloads: Downloads) -> None:
    """Each trouble as what it is."""
    server.files["someone/closed/x.gguf"] = b""
    server.gated.add("someone/closed")
    for wanted, error, reason in (
        ("qwen-3b", NotFound, "near: qwen2.5-3b"),
        ("nobody/nothing/x.gguf", NotFound, "the hub has no nobody/nothing/x.gguf"),
        ("someone/tiny-GGUF/other.gguf", NotFound, "the hub has no"),
        ("someone/closed/x.gguf", Denied, "accepted its licence"),
        ("someone/tiny-GGUF/../../x.gguf", NotFound, "the catalogue has no"),
    ):
        with pytest.raises(error, match=reason):
            downloads.pull(ACTOR, wanted)


def test_without_a_way_to_the_hub_it_is_unavailable(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the library is told to stay offline."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    _point_to("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(Unavailable, match="could not be fetched"):
        downloads.pull(ACTOR, TINY)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(Unavailable):
        downloads.pull(ACTOR, TINY)


def test_a_full_disk_is_noticed_before(
    server: Hub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched."""
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Unavailable, match="does not fit"):
        downloads.pull(ACTOR, TINY)
    assert server.sent == []


def test_a_name_is_taken_once(
    server: Hub, downloads: Downloads, library: Library, tmp_path: Path, weights: bytes
) -> None:
    """Whatever has it, it stays as it is."""
    assert server.sent == []
    file = tmp_path / "tiny.gguf"
    file.write_bytes(weights)
    library.add(ACTOR, file)
    with pytest.raises(Conflict, match="another model is named tiny"):
        downloads.pull(ACTOR, TINY)
    with pytest.raises(Invalid, match="cannot be a model's name"):
        downloads.pull(ACTOR, TINY, name="../x")
    assert downloads.pull(ACTOR, TINY, name="second").name == "second"


def test_who_may_not_add_models_pulls_none(server: Hub, tmp_path: Path, library: Library) -> None:
    """The permission is the one of adding."""

    def refuse(_actor: object, permission: str) -> None:
        raise Denied(permission)

    downloads = Downloads(Catalogue(tmp_path / "none"), library, refuse, lambda: hub)
    with pytest.raises(Denied, match="models:write"):
        downloads.pull(ACTOR, TINY)
    with pytest.raises(Denied, match="models:read"):
        downloads.offers(ACTOR)
    assert server.sent == []


def test_the_hub_hears_nothing_about_this_machine(
    server: Hub, downloads: Downloads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No session, no system, and no token but the one that was set for us."""
    (tmp_path / "token").write_text("hf_of_another_tool")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    downloads.pull(ACTOR, TINY)
    assert not any("session" in agent or "linux" in agent.lower() for agent in server.agents)
    assert server.tokens == {""}
    monkeypatch.setenv("HF_TOKEN", "hf_ours")
    downloads.pull(ACTOR, TINY, name="again")
    assert "Bearer hf_ours" in server.tokens
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://hub.example.org")
    server.tokens.clear()
    downloads.pull(ACTOR, TINY, name="once-more")
    assert server.tokens == {""}


def test_what_is_whole_is_not_fetched_again(
    server: Hub, downloads: Downloads, parts: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a split model, the parts that had come before it was interrupted."""
    server.files |= {f"someone/big-GGUF/{name}": content for name, content in parts.items()}
    first, *_, last = sorted(parts)
    server.cut = [*(len(parts[name]) for name in sorted(parts)[:-1]), 1]

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr("time.sleep", interrupt)
        downloads.pull(ACTOR, f"someone/big-GGUF/{first}")
    assert len(server.sent) == len(parts)
    server.sent.clear()
    downloads.pull(ACTOR, f"someone/big-GGUF/{first}")
    assert sum(length for _, length in server.sent) <= len(parts[last])


def test_two_pulls_of_one_model_at_once(server: Hub, downloads: Downloads, weights: bytes) -> None:
    """One fetches, the other finds it there."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: downloads.pull(ACTOR, TINY), range(2)))
    assert found[0] == found[1]
    assert sum(length for _, length in server.sent) == len(weights)


def test_what_is_whole_and_no_model_is_removed(
    server: Hub, downloads: Downloads, tmp_path: Path
) -> None:
    """It would be fetched again and again."""
    server.files["someone/tiny-GGUF/bad.gguf"] = b"no model" * 100
    with pytest.raises(Invalid, match="not a whole GGUF model"):
        downloads.pull(ACTOR, "someone/tiny-GGUF/bad.gguf")
    assert list((tmp_path / "models").iterdir()) == []


def test_what_was_given_up_can_be_removed(
    server: Hub, downloads: Downloads, library: Library, tmp_path: Path
) -> None:
    """By the name that it would have had."""
    server.lies = True
    with pytest.raises(Unavailable):
        downloads.pull(ACTOR, TINY)
    assert library.abandon(ACTOR, "tiny")
    assert not library.abandon(ACTOR, "tiny")
    assert list((tmp_path / "models").iterdir()) == []
    server.lies = False
    downloads.pull(ACTOR, TINY)
    assert not library.abandon(ACTOR, "tiny")
    assert not library.abandon(ACTOR, "../models/tiny")


def test_another_digest_under_the_same_name_is_a_conflict(
    server: Hub, downloads: Downloads, tmp_path: Path
) -> None:
    """The catalogue may promise something newer than what is here."""
    _own(tmp_path, files=[f"name = 'tiny.gguf', sha256 = '{server.digest(TINY)}'"])
    downloads.pull(ACTOR, "mine")
    downloads.pull(ACTOR, "mine")
    _own(tmp_path, files=[f"name = 'tiny.gguf', sha256 = '{'0' * 64}'"])
    with pytest.raises(Conflict, match="another model is named mine") as caught:
        downloads.pull(ACTOR, "mine")
    assert "ai models rm mine" in str(caught.value.hint)


def test_more_than_was_promised_is_not_taken(
    server: Hub, downloads: Downloads, tmp_path: Path, weights: bytes
) -> None:
    """The disk would fill up."""
    server.padding = 10_000_000
    with pytest.raises(Unavailable):
        downloads.pull(ACTOR, TINY)
    left = sum(file.stat().st_size for file in (tmp_path / "models").rglob("*"))
    assert left < len(weights) + 100_000


def test_a_part_of_none_is_one_file(server: Hub, downloads: Downloads) -> None:
    """A name is a stranger's."""
    with pytest.raises(NotFound):
        downloads.pull(ACTOR, "someone/tiny-GGUF/x-00001-of-00000.gguf")
    assert server.sent == []
