"""Documents over HTTP: indexed, asked, listed, removed; on a server at a port of its own."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import api_server
import gguf_models
import httpx
import pytest
import qdrant_server
import tiny_models
from api_server import Server

from localai.api import rag
from localai.api.rag import COLLECTIONS, PATH
from localai.core.errors import Unavailable
from localai.core.records import json_text
from localai.rag import ingest
from localai.rag.documents import Documents
from localai.rag.records import Piped

INDEX, QUERY, RELOAD = f"{PATH}/index", f"{PATH}/query", f"{PATH}/models/reload"
KETTLE = {"source": "kettle.md", "text": "# Kettle\n\nThe kettle is descaled with vinegar.\n"}
TRAIN = {"source": "train.txt", "text": "Trains leave from platform nine.\n"}
ASKED = {"question": "What is the kettle descaled with?", "answer": False}
STATIC = "minishlab/potion-base-8M"
RERANKER = "Xenova/ms-marco-MiniLM-L-6-v2"
CONTEXT = 16_384  # tokens, after which even an answer without an end is over
RULES: list[tuple[str, str | gguf_models.Loop]] = [
    ("'forever' in last.content", gguf_models.Loop("again and once more and ")),
    ("'kettle' in last.content", "It is descaled with vinegar [1]."),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("api")
    flags = {"models__chat": "talker", "engine__context": str(CONTEXT)}
    with api_server.serving(folder, **flags) as served:
        made = gguf_models.scripted(folder / "talker.gguf", RULES, context=CONTEXT)
        served.app.models.add(served.app.actor, made)
        yield served


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    with closing(server.client()) as client:
        yield client


def index(client: httpx.Client, collection: str, *documents: Any, **more: Any) -> httpx.Response:
    body = {"collection": collection, **({"documents": documents} if documents else {}), **more}
    return client.post(INDEX, json=body)


def ask(client: httpx.Client, collection: str, **more: Any) -> httpx.Response:
    return client.post(QUERY, json={**ASKED, "collection": collection, **more})


def test_texts_are_indexed_found_listed_and_removed(server: Server, admin: httpx.Client) -> None:
    """Each answer is the record that the command line prints."""
    report = index(admin, "texts", KETTLE, TRAIN)
    assert (report.status_code, report.json()["added"], report.json()["skipped"]) == (200, 2, [])
    assert index(admin, "texts", KETTLE).json()["unchanged"] == 1
    found = ask(admin, "texts").json()
    assert (found["answer"], found["passages"][0]["source"]) == (None, "kettle.md")
    assert found["passages"][0]["trust"] == "untrusted"
    one = admin.get(f"{COLLECTIONS}/texts")
    assert one.text == json_text(server.app.rag.show(server.app.actor, "texts"))
    assert one.json() in admin.get(COLLECTIONS).json()["items"]
    removed = admin.delete(f"{COLLECTIONS}/texts")
    assert (removed.status_code, removed.json()) == (200, one.json())
    for gone in (
        admin.get(f"{COLLECTIONS}/texts"),
        admin.delete(f"{COLLECTIONS}/texts"),
        ask(admin, "texts"),
    ):
        assert gone.status_code == 404


def test_a_report_is_that_of_the_command_line(server: Server, admin: httpx.Client) -> None:
    """Field by field."""
    with (server.app.workspace / "piped").open("w+b") as stream:
        ours = server.app.rag.index(
            server.app.actor, ["-"], collection="piped", piped=Piped(None, stream)
        )
    assert index(admin, "same", TRAIN).json().keys() == vars(ours).keys()


def test_collections_are_listed_page_by_page(admin: httpx.Client) -> None:
    """By name, under any name that a collection may have."""
    names = ["page.1", "page_2", "page-3", "page한글"]
    for name in names:
        assert index(admin, name, TRAIN).status_code == 200
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = admin.get(COLLECTIONS, params={**cursor, "limit": 2}).json()
        seen += [item["name"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert len(seen) == page["total"]
    assert sorted(names) == sorted(name for name in seen if name.startswith("page"))
    for name in names[:-1]:
        assert admin.delete(f"{COLLECTIONS}/{name}").status_code == 200
    after = admin.get(COLLECTIONS, params={"cursor": "page_2", "limit": 1}).json()
    assert [each["name"] for each in after["items"]] == ["page한글"]


def test_a_tag_tells_whether_a_collection_changed(admin: httpx.Client) -> None:
    """And keeps from removing what is another one by now."""
    index(admin, "tagged", KETTLE)
    place = f"{COLLECTIONS}/tagged"
    tag = admin.get(place).headers["etag"]
    assert admin.get(place, headers={"If-None-Match": tag}).status_code == 304
    index(admin, "tagged", TRAIN)
    assert admin.delete(place, headers={"If-Match": tag}).status_code == 412
    tag = admin.get(place).headers["etag"]
    assert admin.delete(place, headers={"If-Match": tag}).status_code == 200


def test_files_of_the_workspace_are_indexed_and_no_others(
    server: Server, admin: httpx.Client
) -> None:
    """Neither by a way out, nor by a link, nor where they are hidden or localai's own."""
    workspace = server.app.workspace
    (workspace / "docs").mkdir()
    (workspace / "docs" / "otter.md").write_text("The otter eats fish.\n")
    secret = workspace.parent / "secret.txt"
    secret.write_text("The password is swordfish.\n")
    (workspace / "docs" / "link.txt").symlink_to(secret)
    (workspace / "docs" / ".env").write_text("PASSWORD=swordfish\n")
    (workspace / "out").symlink_to(workspace.parent)
    report = index(admin, "files", paths=["docs"]).json()
    assert (report["added"], [each["reason"] for each in report["skipped"]]) == (
        1,
        ["a symbolic link"],
    )
    for path in (
        str(secret),
        "../secret.txt",
        "docs/link.txt",
        "out/secret.txt",
        "out",
        "docs/.env",
        "/",
        "/etc/passwd",
        "/proc/self/environ",
        str(server.app.directories.config),
    ):
        refused = index(admin, "files", TRAIN, paths=["docs", path])
        assert (refused.status_code, refused.json()["category"]) == (403, "denied"), path
    for path in ("https://example.org/", "-", "nowhere"):
        assert index(admin, "files", paths=[path]).status_code == 404, path
    for path in ("docs/*.md", "a\0b", "x" * 300):
        assert index(admin, "files", paths=[path]).status_code == 422, path
    found = ask(admin, "files", question="the password swordfish").json()
    assert {each["source"] for each in found["passages"]} <= {"otter.md"}
    assert admin.get(f"{COLLECTIONS}/files").json()["files"] == 1
    (workspace / "docs" / "otter.md").unlink()
    assert index(admin, "files", paths=["docs"]).json()["removed"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"collection": "x"},
        {"documents": []},
        {"paths": []},
        {"documents": [{"source": "a"}]},
        {"documents": [{"source": "a", "text": "b", "trusted": True}]},
        {"documents": [{"source": "a\nb", "text": "b"}]},
        {"documents": [{"source": "a", "text": "b"}] * 2},
        {"documents": [{"source": str(n), "text": "b"} for n in range(501)]},
        {"documents": [TRAIN], "collection": "../x"},
        {"documents": [TRAIN], "collection": "@admin"},
        {"documents": [TRAIN], "exclude": ["*"]},
        {"paths": ["docs"] * 101},
        {"paths": [1]},
    ],
)
def test_what_cannot_be_indexed_is_refused(admin: httpx.Client, body: dict[str, Any]) -> None:
    """Before anything is made."""
    before = admin.get(COLLECTIONS).json()["total"]
    assert admin.post(INDEX, json=body).status_code == 422
    assert admin.get(COLLECTIONS).json()["total"] == before


@pytest.mark.parametrize(
    "more",
    [
        {"question": ""},
        {"question": " \t"},
        {"question": "x" * 2001},
        {"k": 0},
        {"k": 51},
        {"k": 1.5},
        {"k": "5"},
        {"k": True},
    ],
)
def test_what_cannot_be_asked_is_refused(admin: httpx.Client, more: dict[str, Any]) -> None:
    """Whatever the collection."""
    assert ask(admin, "default", **more).status_code == 422


@pytest.mark.parametrize("name", ["@admin", "~default", "..", "%2e%2e", "no"])
def test_what_people_cannot_name_is_not_found(
    server: Server, admin: httpx.Client, name: str
) -> None:
    """Conversations are kept in an index, too, and nobody reads it as documents."""
    server.app.history.save(server.app.actor, "t", "/nowhere", ())
    admin.post("/api/v1/memory/conversations/search", json={"q": "x", "meaning": True})
    assert admin.get(f"{COLLECTIONS}/{name}").status_code == 404
    assert admin.delete(f"{COLLECTIONS}/{name}").status_code == 404
    assert ask(admin, name).status_code == 404


def test_a_model_answers_from_the_passages_and_cites_them(admin: httpx.Client) -> None:
    """Where it is not asked to, or nothing was found, there is no answer."""
    index(admin, "answers", KETTLE)
    found = ask(admin, "answers", answer=True).json()
    assert found["answer"] == "It is descaled with vinegar [1]."
    assert "answer" in found["timings_ms"]
    assert ask(admin, "answers", answer=True, question="주전자").json()["answer"] is None
    assert "Korean" in ask(admin, "answers", question="주전자").headers["x-localai-warning"]


def test_an_engine_that_is_busy_is_said_to_be(
    server: Server, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passages alone are found meanwhile; a client that leaves frees it for the next."""
    monkeypatch.setattr(rag, "PATIENCE_S", 0.01)
    index(admin, "busy", KETTLE)
    chat = {"model": "talker", "stream": True, "messages": [{"role": "user", "content": "forever"}]}
    with admin.stream("POST", "/v1/chat/completions", json=chat) as stream:
        lines = stream.iter_lines()  # which ends the stream when nobody keeps it
        next(lines)
        refused = ask(admin, "busy", answer=True)
        assert (refused.status_code, refused.json()["category"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert ask(admin, "busy").status_code == 200
    monkeypatch.setattr(rag, "PATIENCE_S", 60.0)
    assert ask(admin, "busy", answer=True).json()["answer"] == "It is descaled with vinegar [1]."


def test_an_answer_ends_where_its_client_leaves(server: Server, admin: httpx.Client) -> None:
    """It would else be written for nobody, to its end; the next question is answered."""
    index(admin, "left", {"source": "a.txt", "text": "forever and ever and ever"})
    body = {"question": "forever", "collection": "left"}
    with closing(server.client()) as leaving, pytest.raises(httpx.ReadTimeout):
        leaving.post(QUERY, json=body, timeout=0.5)
    index(admin, "left-not", KETTLE)
    assert ask(admin, "left-not", answer=True).status_code == 200


@pytest.mark.prove
def test_an_index_run_ends_where_its_client_leaves(
    server: Server, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it took in stays, and the next run goes on from there."""
    monkeypatch.setattr(ingest, "BATCH", 4)
    folder = server.app.workspace / "long"
    folder.mkdir()
    for n in range(60):
        (folder / f"{n}.txt").write_text(f"The train number {n} is late today.\n")
    left, ended = threading.Event(), threading.Event()
    whole, run = Documents.whole, ingest.Ingest.run
    read: list[object] = []

    def slow(self: Documents, source: Any) -> Any:
        read.append(source)
        if len(read) == 10:
            left.wait(30)
        return whole(self, source)

    def told(self: ingest.Ingest, *given: Any) -> Any:
        try:
            return run(self, *given)
        finally:
            ended.set()

    monkeypatch.setattr(Documents, "whole", slow)
    monkeypatch.setattr(ingest.Ingest, "run", told)
    body = {"collection": "long", "paths": ["long"]}
    with closing(server.client()) as leaving, pytest.raises(httpx.ReadTimeout):
        leaving.post(INDEX, json=body, timeout=1)
    left.set()
    assert ended.wait(60)
    there = admin.get(f"{COLLECTIONS}/long").json()["files"]
    assert 0 < there < 60
    rest = admin.post(INDEX, json=body).json()
    assert (rest["unchanged"], rest["added"]) == (there, 60 - there)


def test_more_that_index_than_can_be_are_told_to_come_again(
    server: Server, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks, and who decides, is answered meanwhile."""
    index(admin, "seats", KETTLE)
    monkeypatch.setattr(rag, "PATIENCE_S", 0.01)
    go, begun = threading.Event(), threading.Semaphore(0)
    whole = Documents.whole

    def slow(self: Documents, source: Any) -> Any:
        begun.release()
        go.wait(30)
        return whole(self, source)

    monkeypatch.setattr(Documents, "whole", slow)
    with ThreadPoolExecutor() as pool:
        under_way = [pool.submit(index, admin, f"seat-{n}", TRAIN) for n in range(rag.MAX_INDEXING)]
        for _ in under_way:
            assert begun.acquire(timeout=30)
        refused = index(admin, "seat", TRAIN)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert ask(admin, "seats").status_code == 200
        assert admin.get("/api/v1/approvals").status_code == 200
        go.set()
        assert [each.result().status_code for each in under_way] == [200] * rag.MAX_INDEXING
    assert index(admin, "seat", TRAIN).status_code == 200


IS_WHOLE = os.environ.get("PROVE") == "1"
FILES = 2000 if IS_WHOLE else 100
WORKERS = 160 if IS_WHOLE else 12


@pytest.mark.counted
def test_many_ask_beside_an_index_run(server: Server, admin: httpx.Client) -> None:
    """Each is answered, and with what was there before the run began."""
    index(admin, "together", KETTLE)
    folder = server.app.workspace / "many"
    folder.mkdir()
    for n in range(FILES):
        (folder / f"{n}.md").write_text(f"# Note {n}\n\nThe train number {n} is late today.\n")
    over = threading.Event()

    def asks(_: int) -> list[int]:
        with closing(server.client()) as client:
            codes = []
            while not (over.is_set() and codes):
                answer = ask(client, "together", k=50)
                codes.append(answer.status_code)
                assert "kettle.md" in [each["source"] for each in answer.json()["passages"]]
            return codes

    with ThreadPoolExecutor(8) as pool:
        asking = pool.map(asks, range(8))
        report = index(admin, "together", paths=["many"])
        over.set()
        assert {code for codes in asking for code in codes} == {200}
    assert (report.status_code, report.json()["added"]) == (200, FILES)
    assert admin.get(f"{COLLECTIONS}/together").json()["files"] == FILES + 1


@pytest.mark.counted
def test_a_collection_is_made_asked_and_removed_by_many_at_once(server: Server) -> None:
    """Every answer is one that the moment explains, and the index is whole at the end."""

    def works(n: int) -> set[int]:
        with closing(server.client()) as client:
            text = {"source": f"{n}.txt", "text": f"The kettle number {n}."}
            codes = {index(client, "torn", text).status_code, ask(client, "torn").status_code}
            if n % 4 == 0:
                codes.add(client.delete(f"{COLLECTIONS}/torn").status_code)
            return codes

    with ThreadPoolExecutor(8) as pool:
        codes = set().union(*pool.map(works, range(WORKERS)))
    assert codes <= {200, 404, 409, 503}
    with closing(server.client()) as client:
        assert index(client, "torn", KETTLE).status_code == 200
        assert ask(client, "torn").json()["passages"][0]["source"] == "kettle.md"


def put(server: Server, model: str, files: dict[str, bytes]) -> Path:
    """Put a model where those that were pulled lie."""
    folder = server.app.embeddings_dir / model.replace("/", "--")
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_models_of_the_settings_are_taken_without_a_restart(tmp_path: Path) -> None:
    """503 where one of them is not here, for whoever reloads, and for whoever needs it."""
    with api_server.serving(tmp_path) as server, closing(server.client()) as admin:
        shipped = {"model": "localai/static-192", "reranker": "", "others": []}
        assert admin.post(RELOAD).json() == shipped
        index(admin, "old", KETTLE)
        server.app.admin.configure(server.app.actor, "rag.model", STATIC)
        for refused in (admin.post(RELOAD), index(admin, "new", KETTLE)):
            assert (refused.status_code, refused.json()["category"]) == (503, "unavailable")
            assert int(refused.headers["retry-after"]) > 0
            assert STATIC in refused.json()["detail"]
        assert ask(admin, "old").status_code == 200
        put(server, STATIC, tiny_models.static(256))
        put(server, RERANKER, tiny_models.cross_encoder())
        server.app.admin.configure(server.app.actor, "rag.reranker", RERANKER)
        found = admin.post(RELOAD).json()
        assert (found["model"], found["reranker"]) == (STATIC, RERANKER)
        assert [each["name"] for each in found["others"]] == ["old"]
        assert index(admin, "new", KETTLE).status_code == 200
        assert ask(admin, "new").json()["model"] == STATIC
        assert "rerank" in ask(admin, "new").json()["timings_ms"]
        put(server, RERANKER, {"model.onnx": b"broken", "onnx/model.onnx": b"broken"})
        assert admin.post(RELOAD).status_code == 503


def test_a_qdrant_server_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    """By whoever reloads, indexes or asks; what waits for a person does not need it."""
    with qdrant_server.standing() as there:
        flags = {"rag__qdrant_url": there.url}
        with api_server.serving(tmp_path, **flags) as server, closing(server.client()) as admin:
            server.app.qdrant._sleep = lambda _: None
            assert index(admin, "far", KETTLE).status_code == 200
            assert ask(admin, "far").json()["passages"][0]["source"] == "kettle.md"
            assert admin.post(RELOAD).status_code == 200
            there.broken += [500] * 100
            for refused in (admin.post(RELOAD), index(admin, "far", TRAIN), ask(admin, "far")):
                assert (refused.status_code, refused.json()["category"]) == (503, "unavailable")
                assert int(refused.headers["retry-after"]) > 0
            assert admin.get("/api/v1/approvals").status_code == 200


def test_what_one_thread_loads_all_use(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that eight need at once is read once."""
    embedder = server.app._store._embedder.__wrapped__("localai/static-192")
    loads: list[object] = []
    load = type(embedder)._load

    def counted(self: Any) -> Any:
        loads.append(self)
        return load(self)

    monkeypatch.setattr(type(embedder), "_load", counted)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(embedder.embed_query, ["kettle"] * 8))
    assert len(loads) == 1
    assert found == [found[0]] * 8


def test_a_key_may_be_for_asking_alone(server: Server, admin: httpx.Client) -> None:
    """It indexes, removes and reloads nothing; an answer needs to see the models."""
    index(admin, "least", KETTLE)
    made = server.app.api_keys.create(
        server.app.actor, "admin", lifetime_s=60, permissions=["rag:read"]
    )
    with closing(server.client(None, Authorization=f"Bearer {made.key}")) as client:
        assert ask(client, "least").status_code == 200
        refused = [
            ask(client, "least", answer=True),
            index(client, "least", TRAIN),
            index(client, "least", paths=["/etc/passwd"]),
            client.delete(f"{COLLECTIONS}/least"),
            client.post(RELOAD),
        ]
        assert [each.status_code for each in refused] == [403] * 5


def test_what_is_asked_is_counted(server: Server, admin: httpx.Client) -> None:
    """By the templates of the paths, and as what people ask for at a terminal."""
    index(admin, "counted", KETTLE)
    ask(admin, "counted")
    admin.get(f"{COLLECTIONS}/counted")
    server.app.tally.flush()
    figures = admin.get("/metrics").text
    assert f'endpoint="{COLLECTIONS}/{{name}}",le="+Inf",service="api"' in figures
    assert 'operation="rag_query",result="ok"' in figures
    assert 'operation="rag_index",result="ok"' in figures


def test_a_store_that_fails_is_told_and_not_a_bug(
    server: Server, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words of its own."""
    index(admin, "failing", KETTLE)

    def fails(*_: object, **__: object) -> None:
        raise Unavailable("the disk is gone")

    monkeypatch.setattr(server.app._store, "search", fails)
    refused = ask(admin, "failing")
    assert (refused.status_code, refused.json()["detail"]) == (503, "the disk is gone")
