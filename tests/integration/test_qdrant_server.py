"""A Qdrant server, as far as its client and a stand-in for it show."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_server import Standing, standing
from rag_home import READER, WRITER, room, sources

from localai.app import App
from localai.core.errors import Conflict, Denied, Invalid, LocalaiError, Unavailable
from localai.doctor.engines import qdrant
from localai.rag.client import QdrantServer, ServerIndex

KEY = "a-key-of-the-server"


@pytest.fixture
def there() -> Iterator[Standing]:
    with standing(KEY) as found:
        yield found


@pytest.fixture
def server(there: Standing) -> Iterator[QdrantServer]:
    made = QdrantServer(there.url, lambda: KEY, sleep=lambda _: None)
    yield made
    made.close()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "otter.md").write_text("The otter eats fish.\n", encoding="utf-8")
    (folder / "주전자.md").write_text("주전자는 화요일에 고칩니다.\n", encoding="utf-8")
    return folder


def test_documents_are_indexed_asked_and_removed(
    there: Standing, server: QdrantServer, tmp_path: Path, documents: Path
) -> None:
    """The same commands, with the passages elsewhere."""
    here = room(tmp_path / "home", server=server)
    here.rag.index(WRITER, [documents])
    assert here.rag.show(READER, "default").engine == "server"
    assert sources(here.rag.query(READER, "What do otters eat?"))[0] == "otter.md"
    assert sources(here.rag.query(READER, "주전자는 언제 고치나요?"))[0] == "주전자.md"
    (documents / "otter.md").unlink()
    here.rag.index(WRITER, [documents])
    assert sources(here.rag.query(READER, "otter")) == []
    here.rag.remove(WRITER, "default")
    assert there.asked[-1].startswith("DELETE /collections/localai-")
    assert list((tmp_path / "home" / "rag").iterdir()) == []


def test_what_is_looked_up_by_has_an_index(there: Standing, server: QdrantServer) -> None:
    """Removing a file would else look at every passage."""
    ServerIndex(server, "a").create(4)
    assert sum(line.startswith("PUT /collections/a/index") for line in there.asked) == 3


def test_the_key_goes_with_every_request(there: Standing, server: QdrantServer) -> None:
    """In the header that Qdrant reads."""
    ServerIndex(server, "a").create(4)
    assert {each["api-key"] for each in there.headers} == {KEY}


def test_a_wrong_key_is_refused_with_the_command_that_sets_it(there: Standing) -> None:
    """And is not shown."""
    with pytest.raises(Denied, match="refuses the key") as caught:
        ServerIndex(QdrantServer(there.url, lambda: "wrong-key"), "a").count()
    assert caught.value.hint == "ai secrets set qdrant-api-key"
    assert "wrong-key" not in str(caught.value.causes)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(there: Standing, server: QdrantServer, status: int) -> None:
    """A server that starts or is busy ends no run."""
    index = ServerIndex(server, "a")
    index.create(4)
    there.broken = [status] * 3
    assert index.count() == 0
    there.broken = [status] * 4
    with pytest.raises(Unavailable, match=str(status)):
        index.count()


def test_what_will_not_pass_is_not(there: Standing, server: QdrantServer) -> None:
    """A redirect is not followed either: the key would go with it."""
    for status in (301, 307, 400, 500):
        there.broken, asked = [status], len(there.asked)
        with pytest.raises(LocalaiError):
            ServerIndex(server, "a").count()
        assert len(there.asked) == asked + 1


def test_a_server_that_is_not_there_says_where_it_was_looked_for() -> None:
    """After as many tries."""
    waits: list[float] = []
    server = QdrantServer("http://127.0.0.1:9", lambda: None, sleep=waits.append)
    with pytest.raises(Unavailable, match="127.0.0.1:9") as caught:
        ServerIndex(server, "a").count()
    assert (len(waits), "rag.qdrant_url" in str(caught.value.hint)) == (3, True)


def test_a_server_that_is_too_old_is_refused(there: Standing, server: QdrantServer) -> None:
    """Before anything is made there."""
    there.version = "1.9.7"
    with pytest.raises(Unavailable, match="1.9.7"):
        ServerIndex(server, "a").create(4)
    assert not any(line.startswith("PUT") for line in there.asked)


def test_the_doctor_asks_the_server(
    there: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, with its version; where it is not there, it says what to look at."""
    app = App(tmp_path / "home", flags={"rag.qdrant_url": there.url})
    app.initialise()
    monkeypatch.setenv("LOCALAI_SECRET_QDRANT_API_KEY", KEY)
    assert "1.17.1" in qdrant(app).message
    there.version = "1.9.7"
    with pytest.raises(Unavailable):
        qdrant(app)
    app.close()


def test_a_collection_gone_from_the_server_says_how_to_begin_anew(server: QdrantServer) -> None:
    """As with one inside the process."""
    with pytest.raises(Conflict, match="gone") as caught:
        ServerIndex(server, "a").count()
    assert "ai rag index" in str(caught.value.hint)


def test_a_collection_of_a_server_that_is_no_longer_set_says_so(
    server: QdrantServer, tmp_path: Path, documents: Path
) -> None:
    """What is inside the process goes on."""
    room(tmp_path / "home", server=server).rag.index(WRITER, [documents])
    without = room(tmp_path / "home").rag
    with pytest.raises(Unavailable) as caught:
        without.query(READER, "otter")
    assert caught.value.hint == "ai config set rag.qdrant_url URL"
    without.index(WRITER, [documents], collection="inside")
    assert sources(without.query(READER, "otter", collection="inside"))[0] == "otter.md"


@pytest.mark.parametrize(
    "url", ["127.0.0.1:6333", "ftp://x", "http://", "http://me:secret@host", "http://x:y"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """A password in it would be shown by `ai config show`."""
    with pytest.raises(Invalid, match=r"rag\.qdrant_url"):
        QdrantServer(url, lambda: None)


@pytest.mark.parametrize(
    ("url", "is_overheard"),
    [
        ("http://127.0.0.1:6333", False),
        ("http://localhost", False),
        ("http://[::1]:6333", False),
        ("https://qdrant.example.org", False),
        ("http://192.168.1.5:6333", True),
    ],
)
def test_others_on_the_way_can_read_what_is_not_encrypted(url: str, *, is_overheard: bool) -> None:
    """Which is said when a question is asked."""
    assert QdrantServer(url, lambda: None).is_overheard == is_overheard
