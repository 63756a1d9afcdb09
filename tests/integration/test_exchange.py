"""Collections as archives: out of one home and into another, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import TurnableClock
from rag_home import NOBODY, READER, WRITER, Room, require, room

from localai.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from localai.rag import exchange, index, ingest, store
from localai.rag.catalog import Catalog
from localai.rag.edge import EdgeIndex
from localai.rag.embed import Embedder
from localai.rag.exchange import Exchange
from localai.rag.index import Index, Point
from localai.rag.records import SHIPPED_MODEL
from localai.rag.store import Store

TESTS = Path(__file__).parents[1]
ROUNDS = 20 if os.environ.get("PROVE") else 3


def exchanging(here: Room) -> Exchange:
    """The archives of a room."""
    clock = TurnableClock()
    catalog = Catalog(here.database, clock)
    held = Store(catalog, here.data, partial(Embedder, cache=here.data), lambda: SHIPPED_MODEL)
    return Exchange(held, here.data, clock, require)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Room]:
    """A room."""
    made = room(tmp_path / "home")
    with closing(made.database):
        yield made


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Room]:
    """Another room."""
    made = room(tmp_path / "other home")
    with closing(made.database):
        yield made


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Documents in two languages, an empty one among them."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(30):
        # Each of another length, so that no two answer equally well.
        text = f"# Note {number}\n\nKettle {number} likes vinegar{' and spoons' * number}.\n"
        (folder / f"{number}.md").write_text(text, encoding="utf-8")
    (folder / "여권.md").write_text("여권을 잃어버리면 영사관에 신고합니다.\n", encoding="utf-8")
    (folder / "empty.md").write_text("", encoding="utf-8")
    return folder


def found(here: Room, text: str, **options: Any) -> list[tuple[str, str, str, float]]:
    """What answers, and how well."""
    passages = here.rag.query(READER, text, k=5, **options).passages
    return [(each.source, each.location, each.text, each.score) for each in passages]


def stored(here: Room, name: str = "default") -> list[Point]:
    """Every passage of a collection as its index has it."""
    entry = here.catalog.get(name)
    return index.open_index(entry.engine, here.data / entry.directory).points(None, 10_000)


def left(here: Room) -> list[str]:
    """The indexes on disk."""
    return sorted(each.name for each in here.data.iterdir() if each.is_dir())


@pytest.mark.parametrize(("source", "target"), [("edge", "local"), ("local", "edge")])
def test_an_archive_made_by_either_engine_answers_in_the_other(
    here: Room,
    there: Room,
    documents: Path,
    tmp_path: Path,
    source: str,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Same passages, same ranking, and none of it is embedded again."""
    monkeypatch.setattr(store, "preferred_engine", lambda: source)
    here.rag.index(WRITER, [documents])
    here.rag.describe(WRITER, "default", "kettles and passports")
    told = exchanging(here).export(READER, "default", tmp_path / "a.zip")
    assert (told.files, told.chunks, told.left_out) == (32, 31, ())
    monkeypatch.setattr(store, "preferred_engine", lambda: target)
    made = exchanging(there).import_(WRITER, tmp_path / "a.zip")
    assert (made.collection, made.files, made.chunks, made.is_ready) == ("default", 32, 31, True)
    shown = there.rag.show(READER, "default")
    assert (shown.engine, shown.description) == (target, "kettles and passports")
    for question in ("kettle number 7", "vinegar", "여권 분실 신고"):
        best, same = found(here, question), found(there, question)
        assert [each[:3] for each in best] == [each[:3] for each in same]
        assert [each[3] for each in best] == pytest.approx([each[3] for each in same], abs=1e-4)
    assert [each.id for each in stored(there)] == [each.id for each in stored(here)]


def test_indexing_the_same_folder_after_an_import_makes_its_files_ones_own(
    here: Room, there: Room, documents: Path, tmp_path: Path
) -> None:
    """Then they are what lies on this disk, and trusted; what is gone leaves."""
    here.rag.index(WRITER, [documents])
    exchanging(here).export(READER, "default", tmp_path / "a.zip")
    exchanging(there).import_(WRITER, tmp_path / "a.zip")
    (documents / "1.md").write_text("Another kettle.\n", encoding="utf-8")
    (documents / "2.md").unlink()
    report = there.rag.index(WRITER, [documents])
    assert (report.added, report.updated, report.removed) == (0, 31, 1)
    assert there.rag.show(READER, "default").trust == "trusted"


@pytest.mark.parametrize("is_trusted", [False, True])
def test_what_is_imported_is_trusted_only_where_the_operator_says_so(
    here: Room, there: Room, documents: Path, tmp_path: Path, is_trusted: bool
) -> None:
    """And never more than where it came from."""
    here.rag.index(WRITER, [documents])
    exchanging(here).export(READER, "default", tmp_path / "a.zip")
    exchanging(there).import_(WRITER, tmp_path / "a.zip", is_trusted=is_trusted)
    assert {each.is_trusted for each in there.catalog.files("default").values()} == {is_trusted}
    exchanging(there).export(READER, "default", tmp_path / "b.zip")
    exchanging(here).import_(WRITER, tmp_path / "b.zip", name="back", is_trusted=True)
    assert {each.is_trusted for each in here.catalog.files("back").values()} == {is_trusted}


def test_an_archive_is_private_whole_and_replaces_nothing(
    here: Room, documents: Path, tmp_path: Path
) -> None:
    """Passages are as private as what they were cut from."""
    here.rag.index(WRITER, [documents])
    file = tmp_path / "out" / "a.zip"
    with pytest.raises(NotFound):
        exchanging(here).export(READER, "default", file)
    file.parent.mkdir()
    exchanging(here).export(READER, "default", file)
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    with pytest.raises(Conflict, match="there already"):
        exchanging(here).export(READER, "default", file)
    assert (file.read_bytes(), [*file.parent.iterdir()]) == (before, [file])


def test_an_export_that_fails_leaves_nothing(
    here: Room, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between two pages, say."""
    here.rag.index(WRITER, [documents])
    monkeypatch.setattr(exchange, "BATCH", 5)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        exchanging(here).export(READER, "default", folder / "a.zip", on_moved=stop)
    assert [*folder.iterdir()] == []


def test_a_name_that_is_taken_is_refused_before_anything_is_made(
    here: Room, documents: Path, tmp_path: Path
) -> None:
    """Unless another one is given."""
    here.rag.index(WRITER, [documents])
    exchanging(here).export(READER, "default", tmp_path / "a.zip")
    before = left(here)
    with pytest.raises(Conflict, match="already"):
        exchanging(here).import_(WRITER, tmp_path / "a.zip")
    assert left(here) == before
    exchanging(here).import_(WRITER, tmp_path / "a.zip", name="copy")
    assert [each.name for each in here.rag.collections(READER).items] == ["copy", "default"]


def test_a_snapshot_brings_a_collection_back(here: Room, documents: Path) -> None:
    """In place of what became of it, whose index goes."""
    here.rag.index(WRITER, [documents])
    before = stored(here)
    told = exchanging(here).snapshot(WRITER, "default")
    assert Path(told.file) == here.data / "snapshots" / "default-20251009-085320.zip"
    (documents / "1.md").write_text("A mistake.\n", encoding="utf-8")
    here.rag.index(WRITER, [documents])
    assert stored(here) != before
    made = exchanging(here).import_(WRITER, Path(told.file), is_replacing=True, is_trusted=True)
    assert made.has_replaced
    assert stored(here) == before
    assert left(here) == sorted([here.catalog.get("default").directory, "snapshots"])


def test_replacing_goes_wrong_without_harm_to_what_is_there(
    here: Room, documents: Path, tmp_path: Path
) -> None:
    """The old one goes after the new one is whole."""
    here.rag.index(WRITER, [documents])
    exchanging(here).export(READER, "default", tmp_path / "a.zip")
    lines = member(tmp_path / "a.zip", "points.jsonl").splitlines(keepends=True)
    rewrite(tmp_path / "a.zip", tmp_path / "b.zip", "points.jsonl", "".join(lines[:-1]))
    before, indexes = stored(here), left(here)
    with pytest.raises(Invalid):
        exchanging(here).import_(WRITER, tmp_path / "b.zip", is_replacing=True)
    assert (stored(here), left(here)) == (before, indexes)


def test_a_collection_that_was_replaced_meanwhile_is_not_replaced_again(
    here: Room, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes last has not seen what is there now."""
    here.rag.index(WRITER, [documents])
    exchanging(here).export(READER, "default", tmp_path / "a.zip")
    monkeypatch.setattr(exchange, "BATCH", 5)
    calls: list[object] = []

    def meanwhile(moved: object) -> None:
        calls.append(moved)
        if len(calls) == 1:
            here.rag.remove(WRITER, "default")
            here.rag.index(WRITER, [documents / "1.md"])

    with pytest.raises(Conflict, match="already"):
        exchanging(here).import_(WRITER, tmp_path / "a.zip", is_replacing=True, on_moved=meanwhile)
    assert here.rag.show(READER, "default").files == 1
    assert len(left(here)) == 1


def test_one_import_at_a_time(
    here: Room, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what a killed one left can be told from what another one is making."""
    here.rag.index(WRITER, [documents])
    exchanging(here).export(READER, "default", tmp_path / "a.zip")
    monkeypatch.setattr(exchange, "BATCH", 5)
    refused: list[Conflict] = []

    def second(_: object) -> None:
        with suppress(Conflict):
            exchanging(here).import_(WRITER, tmp_path / "a.zip", name="second")
            raise AssertionError
        refused.append(Conflict())

    exchanging(here).import_(WRITER, tmp_path / "a.zip", name="first", on_moved=second)
    assert refused
    assert [each.name for each in here.rag.collections(READER).items] == ["default", "first"]


# Imports archive argv[2] into home argv[1], 5 passages at a time, and says so after each 5.
IMPORTER = """
import sys
from pathlib import Path
from rag_home import WRITER, room
from test_exchange import exchanging
from localai.rag import exchange

exchange.BATCH = 5
exchanging(room(Path(sys.argv[1]))).import_(
    WRITER, Path(sys.argv[2]), is_replacing=True, on_moved=lambda each: print(each.done, flush=True)
)
"""


@pytest.mark.timeout(900)
@pytest.mark.prove
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_an_import_that_is_stopped_leaves_no_collection(
    here: Room, there: Room, documents: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    """Whole or not at all; the next import clears what a killed one left."""
    here.rag.index(WRITER, [documents])
    archive = tmp_path / "a.zip"
    exchanging(here).export(READER, "default", archive)
    for stop in range(ROUNDS):
        with importing(there, archive) as process:
            assert process.stdout
            for _ in range(1 + stop % 6):
                process.stdout.readline()
            process.send_signal(ending)
            process.wait(timeout=60)
        assert there.catalog.find("default") is None
        assert len(left(there)) <= 1
    exchanging(there).import_(WRITER, archive, is_trusted=True)
    assert left(there) == [there.catalog.get("default").directory]
    assert stored(there) == stored(here)


def importing(there: Room, archive: Path) -> "subprocess.Popen[str]":
    """Another process that imports."""
    paths = os.pathsep.join([str(TESTS), str(Path(__file__).parent), str(TESTS.parent)])
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTER, str(there.data.parent), str(archive)],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("moment", ["between pages", "after the files were listed"])
def test_a_file_that_is_indexed_during_an_export_is_there_whole_or_left_out(
    here: Room,
    there: Room,
    tmp_path: Path,
    documents: Path,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Never half of one version, never two versions; the others are not affected."""
    long = "\n\n".join(f"## Part {n}\n\n{'old ' * 99}" for n in range(20))
    (documents / "long.md").write_text(long, encoding="utf-8")
    here.rag.index(WRITER, [documents])
    monkeypatch.setattr(exchange, "PAGE", 7)
    pages = exchange._pages
    changed = long.replace("old", "new")

    def meanwhile(index: Index) -> Iterator[Point]:
        points = pages(index)
        if moment == "between pages":
            yield from (next(points) for _ in range(20))
        (documents / "long.md").write_text(changed, encoding="utf-8")
        here.rag.index(WRITER, [documents])
        yield from points

    monkeypatch.setattr(exchange, "_pages", meanwhile)
    told = exchanging(here).export(READER, "default", tmp_path / "a.zip")
    assert told.left_out == ("long.md",)
    exchanging(there).import_(WRITER, tmp_path / "a.zip")
    assert not any(each.payload["source"] == "long.md" for each in stored(there))
    assert len(there.catalog.files("default")) == told.files == 32
    assert len(stored(there)) == 31


def test_a_file_that_was_begun_and_not_finished_is_left_out(
    here: Room, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an indexing that was killed leaves it; its passages may be there in part."""
    monkeypatch.setattr(ingest, "BATCH", 8)
    write, written = EdgeIndex.write, []

    def stop(index: EdgeIndex, points: Sequence[Point]) -> None:
        write(index, points)
        written.append(points)
        if len(written) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(EdgeIndex, "write", stop)
        here.rag.index(WRITER, [documents])
    files = here.catalog.files("default").values()
    told = exchanging(here).export(READER, "default", tmp_path / "a.zip")
    assert told.left_out
    assert told.files == len([each for each in files if each.sha256])
    assert set(told.left_out) == {each.source for each in files if not each.sha256}


def test_permissions_are_those_of_the_room(here: Room, documents: Path, tmp_path: Path) -> None:
    """Reading suffices to export; a snapshot and an import write."""
    here.rag.index(WRITER, [documents])
    mine = exchanging(here)
    with pytest.raises(Denied):
        mine.export(NOBODY, "default", tmp_path / "a.zip")
    mine.export(READER, "default", tmp_path / "a.zip")
    with pytest.raises(Denied):
        mine.snapshot(READER, "default")
    with pytest.raises(Denied):
        mine.import_(READER, tmp_path / "a.zip", name="b")
    with pytest.raises(Denied):
        here.rag.describe(READER, "default", "x")


def test_what_is_no_collection_cannot_be_exported(here: Room, tmp_path: Path) -> None:
    """Nor can what hides behind a name that people cannot type."""
    for name in ("nothing", "@writer"):
        with pytest.raises(NotFound):
            exchanging(here).export(READER, name, tmp_path / "a.zip")
        with pytest.raises(NotFound):
            exchanging(here).snapshot(WRITER, name)


def test_a_large_archive_is_refused_by_an_engine_that_cannot_search_it(
    here: Room, there: Room, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of it stays."""
    here.rag.index(WRITER, [documents])
    exchanging(here).export(READER, "default", tmp_path / "a.zip")
    monkeypatch.setattr(store, "preferred_engine", lambda: "local")
    monkeypatch.setattr("localai.rag.client.LOCAL_LIMIT", 10)
    with pytest.raises(Unavailable):
        exchanging(there).import_(WRITER, tmp_path / "a.zip")
    assert (there.catalog.find("default"), left(there)) == (None, [])


def member(archive: Path, name: str) -> str:
    """A member's text."""
    with zipfile.ZipFile(archive) as found:
        return found.read(name).decode()


def rewrite(archive: Path, target: Path, name: str, text: str) -> None:
    """The archive with another text in one member."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for each in old.namelist():
            new.writestr(each, text if each == name else old.read(each))


def changed(key: str, value: object, line: int = 0) -> Callable[[str], str]:
    """A change to one key of one line; `payload.text` is one inside of the payload."""

    def change(text: str) -> str:
        lines = text.splitlines()
        record = json.loads(lines[line])
        inner = record["payload"] if key.startswith("payload.") else record
        inner[key.removeprefix("payload.")] = value
        lines[line] = json.dumps(record)
        return "\n".join(lines) + "\n"

    return change


NAN, INF, SHORT = "AADAfw==", "AACAfw==", "AAA="
HOSTILE: list[tuple[str, str, Callable[[str], str]]] = [
    ("a model that is a command", "manifest.json", changed("model", "x; rm -rf ~")),
    ("a name that leads elsewhere", "manifest.json", changed("name", "../../x")),
    ("a name of another room", "manifest.json", changed("name", "@sumin")),
    ("a dimension of none", "manifest.json", changed("dim", 0)),
    ("a dimension that fills memory", "manifest.json", changed("dim", 1 << 40)),
    ("a dimension that is true", "manifest.json", changed("dim", True)),
    ("another dimension", "manifest.json", changed("dim", 191)),
    ("an average that is none", "manifest.json", lambda text: text.replace("tokenizer", "x")),
    ("more passages than there are", "manifest.json", changed("points", 32)),
    ("fewer files than there are", "manifest.json", changed("files", 2)),
    ("no object", "manifest.json", lambda _: "[]\n"),
    ("nothing", "manifest.json", lambda _: ""),
    ("no JSON", "manifest.json", lambda _: "{"),
    ("deep JSON", "manifest.json", lambda _: "[" * 200_000),
    ("a number that is none", "manifest.json", changed("average_terms", float("nan"))),
    ("a number without end", "manifest.json", changed("average_terms", float("inf"))),
    ("a file twice", "files.jsonl", lambda text: text + text.splitlines()[-1] + "\n"),
    ("a file without a digest", "files.jsonl", changed("sha256", "")),
    ("a path with a zero", "files.jsonl", changed("path", "/a\0b")),
    ("a path that is half a character", "files.jsonl", changed("path", "/\ud800")),
    ("a path of a megabyte", "files.jsonl", changed("path", "/" * 1_000_000)),
    ("more passages of a file", "files.jsonl", changed("chunks", 9)),
    ("trust that is a word", "files.jsonl", changed("is_trusted", "yes")),
    ("an id that is none", "points.jsonl", changed("id", "../x")),
    ("an id in capitals", "points.jsonl", changed("id", "A" * 8 + "-0000-0000-0000-" + "0" * 12)),
    ("an id twice", "points.jsonl", lambda text: text.splitlines()[0] + "\n" + text),
    ("a vector of nothing", "points.jsonl", changed("dense", "")),
    ("a vector of zeros", "points.jsonl", changed("dense", "A" * 1024)),
    ("a vector that is none", "points.jsonl", changed("dense", NAN + "A" * 1016)),
    ("a vector without base64", "points.jsonl", changed("dense", "~" * 1024)),
    ("a list for a vector", "points.jsonl", changed("dense", [1.0] * 192)),
    ("weights without end", "points.jsonl", changed("values", INF)),
    ("half a weight", "points.jsonl", changed("values", SHORT)),
    ("words without weights", "points.jsonl", changed("values", "")),
    ("words that are not in order", "points.jsonl", changed("indices", "AAAAAAAAAAA=")),
    ("a payload that is none", "points.jsonl", changed("payload", "x")),
    ("a text that is a number", "points.jsonl", changed("payload.text", 3)),
    ("a line that is true", "points.jsonl", changed("payload.start_line", True)),
    ("a nested payload", "points.jsonl", changed("payload.more", {"a": []})),
    ("a huge number", "points.jsonl", changed("payload.more", 1 << 80)),
    ("half a character", "points.jsonl", changed("payload.text", "\udc00")),
    ("another source's name", "points.jsonl", changed("payload.source", "bank.md")),
    ("another version", "points.jsonl", changed("payload.version", "x")),
    ("another file's passage", "points.jsonl", changed("payload.file", "x")),
    ("a line without end", "points.jsonl", lambda text: text + " " * 3_000_000),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of a few passages."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "documents").mkdir()
    for number in range(3):
        text = f"The kettle number {number} is blue.\n"
        (folder / "documents" / f"{number}.md").write_text(text, encoding="utf-8")
    made = room(folder / "home")
    with closing(made.database):
        made.rag.index(WRITER, [folder / "documents"])
        exchanging(made).export(READER, "default", folder / "a.zip")
    return folder / "a.zip"


@pytest.mark.parametrize(
    ("name", "change"), [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE]
)
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    there: Room, archive: Path, tmp_path: Path, name: str, change: Callable[[str], str]
) -> None:
    """With the category of bad input: neither a bug's nor a crash."""
    rewrite(archive, tmp_path / "b.zip", name, change(member(archive, name)))
    with pytest.raises(Invalid):
        exchanging(there).import_(WRITER, tmp_path / "b.zip")
    assert there.catalog.summary(len) == []
    assert not there.data.exists() or left(there) == []


def test_the_archive_that_is_changed_above_is_taken_in_unchanged(
    there: Room, archive: Path, tmp_path: Path
) -> None:
    """Otherwise the changes would prove nothing."""
    rewrite(archive, tmp_path / "b.zip", "files.jsonl", member(archive, "files.jsonl"))
    assert exchanging(there).import_(WRITER, tmp_path / "b.zip").chunks == 3


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [("format", 2, Unavailable), ("tokenizer_version", 99, Conflict)],
)
def test_an_archive_of_another_version_says_so(
    there: Room, archive: Path, tmp_path: Path, key: str, value: int, error: type[Exception]
) -> None:
    """It is not broken, and the way on is another one."""
    text = changed(key, value)(member(archive, "manifest.json"))
    rewrite(archive, tmp_path / "b.zip", "manifest.json", text)
    with pytest.raises(error):
        exchanging(there).import_(WRITER, tmp_path / "b.zip")


def test_an_archive_of_another_model_is_taken_in_and_says_what_it_needs(
    there: Room, archive: Path, tmp_path: Path
) -> None:
    """Its vectors are compared when the setting names its model."""
    text = changed("model", "someone/other")(member(archive, "manifest.json"))
    rewrite(archive, tmp_path / "b.zip", "manifest.json", text)
    made = exchanging(there).import_(WRITER, tmp_path / "b.zip")
    assert (made.model, made.is_ready) == ("someone/other", False)


def test_a_bomb_is_refused_while_it_unpacks(there: Room, archive: Path, tmp_path: Path) -> None:
    """A thousandfold, as deflate can: it is read in pieces and left when it is too much."""
    lines = member(archive, "points.jsonl")
    bomb = (" " * 1_000_000 + "\n") * 200
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("manifest.json", member(archive, "manifest.json"))
        made.writestr("files.jsonl", member(archive, "files.jsonl"))
        made.writestr("points.jsonl", lines + bomb)
    assert (tmp_path / "b.zip").stat().st_size < 1_000_000
    with pytest.raises(Invalid):
        exchanging(there).import_(WRITER, tmp_path / "b.zip")


@pytest.mark.parametrize("kind", ["text", "cut", "flipped", "members", "packing", "directory"])
def test_what_is_no_archive_is_refused(
    there: Room, archive: Path, tmp_path: Path, kind: str
) -> None:
    """Whatever somebody names by mistake, or on purpose."""
    file, data = tmp_path / "b.zip", archive.read_bytes()
    if kind == "text":
        file.write_text("hello", encoding="utf-8")
    elif kind == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif kind == "flipped":
        file.write_bytes(data[:200] + bytes([data[200] ^ 0xFF]) + data[201:])
    elif kind == "directory":
        with zipfile.ZipFile(file, "w") as made:
            for number in range(20_000):
                made.writestr(f"{number:060}", "")
    else:
        with zipfile.ZipFile(archive) as old, zipfile.ZipFile(file, "w") as made:
            for name in old.namelist():
                method = zipfile.ZIP_LZMA if kind == "packing" else zipfile.ZIP_STORED
                made.writestr(name, old.read(name), method)
            if kind == "members":
                made.writestr("../../evil", "")
    with pytest.raises(Invalid, match="no whole archive"):
        exchanging(there).import_(WRITER, file)


def test_a_file_that_is_not_there_is_not_found(there: Room, tmp_path: Path) -> None:
    """Nor is a folder an archive."""
    for file in (tmp_path / "nothing.zip", tmp_path):
        with pytest.raises(NotFound):
            exchanging(there).import_(WRITER, file)


def test_time_does_not_change_an_archive(archive: Path) -> None:
    """Members have no time of their own, so that equal collections give equal members."""
    time.tzset()
    with zipfile.ZipFile(archive) as found:
        assert {each.date_time[0] for each in found.infolist()} == {1980}
