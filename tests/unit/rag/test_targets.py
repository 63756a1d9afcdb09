"""What is indexed besides paths: pages, patterns and standard input, and whom to trust."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rag_home import WRITER, Room, room, sources
from web_server import Site, site

from localai.core.errors import Denied, Invalid, NotFound, Unavailable
from localai.core.web import Web
from localai.rag.records import IndexReport, Piped

PAGE = b"<html><body><h1>Kettle</h1><p>It is descaled with vinegar.</p></body></html>"


@pytest.fixture
def there() -> Iterator[Site]:
    """A site of the web."""
    with site() as made:
        yield made


@pytest.fixture
def online(tmp_path: Path) -> Iterator[Room]:
    """A room that may ask every machine, this one included."""
    made = room(tmp_path / "online", fetch=Web(is_allowed=lambda _: True).fetch)
    yield made
    made.database.close()


def counts(here: Room, *typed: str | Path, **options: object) -> tuple[int, int, int, int]:
    """Index, and count what was added, updated, unchanged and removed."""
    report = index(here, *typed, **options)
    return report.added, report.updated, report.unchanged, report.removed


def index(here: Room, *typed: str | Path, **options: object) -> IndexReport:
    """Index what was typed."""
    return here.rag.index(WRITER, typed, **options)  # type: ignore[arg-type]


def piped(data: bytes, name: str | None = None) -> Piped:
    """Standard input."""
    return Piped(name, io.BytesIO(data))


def found(here: Room, text: str) -> list[str]:
    """The sources of what is found, best first."""
    return sources(here.rag.query(WRITER, text))


def trust(here: Room, text: str) -> str:
    """How far the best passage is to be trusted."""
    return here.rag.query(WRITER, text, k=1).passages[0].trust


def test_a_page_is_a_source_under_its_address(online: Room, there: Site) -> None:
    """It is read as the server says, added once, and known again."""
    url = there.says("/kitchen", PAGE, kind="text/html; charset=utf-8")
    assert counts(online, url.upper().replace("KITCHEN", "kitchen") + "#top") == (1, 0, 0, 0)
    assert counts(online, url) == (0, 0, 1, 0)
    [passage] = online.rag.query(WRITER, "vinegar").passages
    assert (passage.source, passage.location) == (url, "page")
    assert online.rag.show(WRITER, "default").roots == (url,)


def test_a_page_that_changed_replaces_itself_and_one_that_is_gone_leaves(
    online: Room, there: Site
) -> None:
    """Its neighbours on the same site stay."""
    for path in ("/", "/a", "/b"):
        there.says(path, f"Trains leave from platform {path}".encode())
    urls = [there.url(path) for path in ("/", "/a", "/b")]
    assert counts(online, *urls) == (3, 0, 0, 0)
    there.says("/a", b"Ferries leave from the harbour.")
    there.says("/b", status=410)
    assert counts(online, *urls) == (0, 1, 1, 1)
    assert set(found(online, "platform ferries")) == {urls[0], urls[1]}
    there.says("/", status=404)
    assert counts(online, urls[0]) == (0, 0, 0, 1)
    assert found(online, "ferries") == [urls[1]]


def test_a_page_that_fails_is_kept_and_named(online: Room, there: Site, documents: Path) -> None:
    """A server that is ill today was not deleted, and the rest goes on."""
    url = there.says("/a", b"Trains leave from platform nine.")
    counts(online, url)
    there.says("/a", status=503)
    report = index(online, url, there.url("/gone"), documents)
    assert (report.added, report.removed) == (3, 0)
    assert [each.source for each in report.skipped] == [url, there.url("/gone")]
    assert "503" in report.skipped[0].reason
    assert url in found(online, "platform")


def test_a_new_page_that_fails_alone_is_an_error_and_makes_nothing(
    online: Room, here: Room, there: Site
) -> None:
    """There is nothing to go on with."""
    there.says("/a", status=404)
    with pytest.raises(NotFound, match="404"):
        index(online, there.url("/a"))
    with pytest.raises(Unavailable):
        index(here, "https://example.org/")
    assert online.catalog.find("default") is None


def test_a_page_of_this_house_is_denied(tmp_path: Path, there: Site) -> None:
    """The room asks the public internet alone, as the application makes it."""
    made = room(tmp_path / "guarded", fetch=Web().fetch)
    with pytest.raises(Denied, match="public"):
        index(made, there.says("/", b"secret"))
    made.database.close()


@pytest.mark.parametrize("text", ["ftp://example.org/a", "file:///etc/passwd", "https://a@b.org/"])
def test_an_address_that_is_not_fetched_is_invalid(here: Room, text: str) -> None:
    """Before anything is looked at or made."""
    with pytest.raises(Invalid):
        index(here, text)
    assert here.catalog.find("default") is None


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        ("text/markdown", "/a", "› Kettle"),
        ("text/plain; charset=euc-kr", "/a.md", "› 주전자"),
        ("application/octet-stream", "/a.md?raw=1", "› Kettle"),
    ],
)
def test_a_page_is_read_as_what_it_is(
    online: Room, there: Site, kind: str, path: str, name: str
) -> None:
    """By what the server says, or by the end of the address; in the encoding that it names."""
    text = "# 주전자\n\n식초로" if "euc-kr" in kind else "# Kettle\n\nvinegar"
    data = text.encode("euc-kr" if "euc-kr" in kind else "utf-8")
    counts(online, there.says(path, data, kind=kind))
    [passage] = online.rag.query(WRITER, "kettle 주전자").passages
    assert passage.title.endswith(name)


def test_a_picture_is_no_document(online: Room, there: Site) -> None:
    """What cannot be read is named, whatever its address ends with."""
    report = index(online, there.says("/a.md", b"\x89PNG", kind="image/png"))
    assert [each.reason for each in report.skipped] == ["not a document: image/png"]


def test_a_fetched_document_leaves_no_file(
    online: Room, there: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies in a private one only while it is read."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    counts(online, there.says("/", PAGE, kind="text/html"))
    assert found(online, "vinegar")
    assert list(folder.glob("localai-*")) == []


def test_a_pattern_means_what_a_shell_would(here: Room, documents: Path) -> None:
    """At one depth or at any; hidden files are never meant."""
    (documents / ".secret.md").write_text("hidden", encoding="utf-8")
    assert counts(here, f"{documents}/*.md") == (1, 0, 0, 0)
    assert counts(here, f"{documents}/**/*.md") == (1, 0, 1, 0)
    assert found(here, "여권")[0] == "inner/ko.md"
    assert counts(here, f"{documents}/[tk]*") == (1, 0, 1, 0)
    assert counts(here, documents) == (0, 0, 3, 0)


def test_a_pattern_forgets_what_it_meant_and_nothing_else(here: Room, documents: Path) -> None:
    """As a folder forgets the files that it had."""
    counts(here, documents)
    (documents / "inner" / "ko.md").unlink()
    (documents / "train.txt").unlink()
    assert counts(here, f"{documents}/**/*.md") == (0, 0, 1, 1)
    (documents / "kettle.md").unlink()
    assert counts(here, f"{documents}/*.md") == (0, 0, 0, 1)
    with pytest.raises(NotFound, match="nothing is there"):
        counts(here, f"{documents}/*.md")


def test_a_pattern_without_a_match_makes_nothing(here: Room, documents: Path) -> None:
    """It is a slip of the finger."""
    with pytest.raises(NotFound):
        index(here, f"{documents}/*.pdf")
    with pytest.raises(NotFound):
        index(here, f"{documents}/nowhere/*.md")
    assert here.catalog.find("default") is None


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(here: Room, documents: Path) -> None:
    """While it is there, and when it has gone."""
    odd = documents / "notes [1].md"
    odd.write_text("Ferries leave from the harbour.", encoding="utf-8")
    (documents / "notes 1.md").write_text("Another.", encoding="utf-8")
    assert counts(here, str(odd)) == (1, 0, 0, 0)
    odd.unlink()
    assert counts(here, str(odd)) == (0, 0, 0, 1)


def test_a_pattern_and_the_folder_around_it_count_a_file_once(here: Room, documents: Path) -> None:
    """A file is one file, however it was meant."""
    assert counts(here, documents, f"{documents}/*.md") == (3, 0, 0, 0)


def test_standard_input_is_a_source_under_its_name(here: Room) -> None:
    """The same name again replaces it."""
    assert counts(here, "-", piped=piped(b"Trains leave.")) == (1, 0, 0, 0)
    assert counts(here, "-", piped=piped(b"# Boat\n\nFerries.", "a.md")) == (1, 0, 0, 0)
    assert sorted(found(here, "trains ferries")) == ["a.md", "stdin"]
    assert counts(here, "-", piped=piped(b"Ferries leave.")) == (0, 1, 0, 0)
    assert counts(here, "-", piped=piped(b"Ferries leave.")) == (0, 0, 1, 0)
    assert here.rag.show(WRITER, "default").roots == ("stdin:a.md", "stdin:stdin")


def test_the_end_of_its_name_says_how_standard_input_is_read(here: Room) -> None:
    """A table of values is read by the worker, like a file."""
    counts(here, "-", piped=piped(b"name,rent\nKim,800\n", "flats.csv"))
    [passage] = here.rag.query(WRITER, "Kim").passages
    assert (passage.source, passage.location) == ("flats.csv", "A2:B2")


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "a\u202eb", "x" * 300])
def test_a_name_that_could_be_mistaken_is_invalid(here: Room, name: str) -> None:
    """Standard input is no file of another folder, and its name is shown; none is `stdin`."""
    if name:
        with pytest.raises(Invalid):
            index(here, "-", piped=piped(b"text", name))
    with pytest.raises(Invalid):
        index(here, "/tmp", piped=piped(b"text", name or "a.md"))


def test_standard_input_without_an_end_is_refused(here: Room) -> None:
    """It is read as far as a file may be long, and no further."""
    stream = io.BytesIO(b"x" * 3_000_000)
    report = index(here, "-", piped=Piped(None, stream))
    assert report.skipped[0].reason == "larger than 2 MB"
    assert stream.tell() == 2_000_001


def test_what_comes_from_elsewhere_is_untrusted(online: Room, there: Site, documents: Path) -> None:
    """A page and a pipe; the files of this machine are trusted."""
    counts(online, documents)
    assert online.rag.show(WRITER, "default").trust == "trusted"
    counts(online, there.says("/", b"Ferries leave from the harbour."))
    counts(online, "-", piped=piped(b"Balloons rise from the meadow."))
    assert online.rag.show(WRITER, "default").trust == "mixed"
    answers = {text: trust(online, text) for text in ("ferries", "balloons", "platform")}
    assert answers == {"ferries": "untrusted", "balloons": "untrusted", "platform": "trusted"}


def test_a_mark_is_changed_by_indexing_again(here: Room, documents: Path) -> None:
    """The passages change with it, though no file did, and none is left behind."""
    counts(here, documents)
    assert counts(here, documents / "train.txt", is_trusted=False) == (0, 1, 0, 0)
    assert (trust(here, "platform"), trust(here, "kettle")) == ("untrusted", "trusted")
    assert here.rag.show(WRITER, "default").trust == "mixed"
    assert counts(here, documents, is_trusted=False) == (0, 2, 1, 0)
    assert here.rag.show(WRITER, "default").trust == "untrusted"
    assert counts(here, documents) == (0, 3, 0, 0)
    assert here.rag.show(WRITER, "default").trust == "trusted"
    assert len(found(here, "platform kettle 여권")) == 3
