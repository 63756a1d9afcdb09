"""Which files are documents, and what they say."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest

from localai.rag.sources import MAX_BYTES, Refused, Source, read
from localai.rag.walk import walk


def names(top: Path, exclude: Sequence[str] = ()) -> list[str]:
    """What the walk takes in, relative to the top."""
    found = [each for each in walk(top, exclude) if isinstance(each, Path)]
    return [path.relative_to(top).as_posix() for path in found]


def refusals(top: Path) -> dict[str, str]:
    """What the walk refuses, and why."""
    found = [each for each in walk(top) if isinstance(each, Refused)]
    return {Path(each.key).name: each.reason for each in found}


def text_of(path: Path) -> str:
    """The text of a file that must be readable."""
    source = read(path, path.parent)
    assert isinstance(source, Source)
    return source.text


def reason_of(path: Path) -> str:
    """Why a file is refused, which it must be."""
    refused = read(path, path.parent)
    assert isinstance(refused, Refused)
    return refused.reason


def make(top: Path, *paths: str) -> None:
    """Write small files."""
    for each in paths:
        file = top / each
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text", encoding="utf-8")


def test_files_come_in_a_stable_order_folder_by_folder(tmp_path: Path) -> None:
    """Two runs see the same order, whatever the file system says."""
    make(tmp_path, "b.md", "a.md", "z/1.md", "c/2.md", "c/d/3.md")
    assert names(tmp_path) == ["a.md", "b.md", "c/2.md", "c/d/3.md", "z/1.md"]


def test_hidden_and_generated_folders_are_passed_over_in_silence(tmp_path: Path) -> None:
    """Nobody wants .git or node_modules as passages, nor a line about each."""
    make(tmp_path, ".git/config", ".env", "node_modules/x.js", "__pycache__/y.py", "a.md")
    assert (names(tmp_path), refusals(tmp_path)) == (["a.md"], {})


def test_a_file_named_directly_is_taken_in_even_if_hidden(tmp_path: Path) -> None:
    """What a person names is meant."""
    make(tmp_path, ".notes")
    assert list(walk(tmp_path / ".notes")) == [tmp_path / ".notes"]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.txt", ["a.md", "drafts/b.md", "drafts/old/c.md"]),
        ("drafts", ["a.md", "n.txt"]),
        ("drafts/", ["a.md", "n.txt"]),
        ("./drafts/", ["a.md", "n.txt"]),
        ("drafts/*.md", ["a.md", "n.txt"]),
        ("**/c.md", ["a.md", "n.txt", "drafts/b.md"]),
        ("drafts/old", ["a.md", "n.txt", "drafts/b.md"]),
        ("A.md", ["a.md", "n.txt", "drafts/b.md", "drafts/old/c.md"]),
    ],
)
def test_exclude_matches_names_at_any_depth_and_paths_from_the_top(
    tmp_path: Path, pattern: str, left: list[str]
) -> None:
    """Patterns mean what they mean in a .gitignore, near enough to surprise nobody."""
    make(tmp_path, "a.md", "n.txt", "drafts/b.md", "drafts/old/c.md")
    assert names(tmp_path, [pattern]) == left


def test_symbolic_links_are_refused_with_a_reason(tmp_path: Path) -> None:
    """A link could lead out of the folder, or around in it."""
    make(tmp_path / "outside", "secret.md")
    make(tmp_path / "top", "a.md")
    (tmp_path / "top" / "file").symlink_to(tmp_path / "outside" / "secret.md")
    (tmp_path / "top" / "loop").symlink_to(tmp_path / "top")
    assert names(tmp_path / "top") == ["a.md"]
    assert set(refusals(tmp_path / "top").values()) == {"a symbolic link"}


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    """Its files must not be taken for deleted."""
    [refused] = walk(tmp_path / "gone")
    assert isinstance(refused, Refused)
    assert refused.is_error


def test_a_name_that_is_not_utf8_is_refused_and_can_still_be_shown(tmp_path: Path) -> None:
    """Such a name could neither be stored nor printed."""
    broken = tmp_path / "caf\udce9.md"
    try:
        broken.write_text("text", encoding="utf-8")
    except OSError:
        pytest.skip("this file system only takes UTF-8 names")
    assert list(refusals(tmp_path).values()) == ["a name that is not UTF-8"]


def test_a_device_is_refused(tmp_path: Path) -> None:
    """Reading a pipe would wait for ever."""
    import os

    os.mkfifo(tmp_path / "pipe")
    assert refusals(tmp_path) == {"pipe": "not a regular file"}


def test_text_is_read_as_utf8_with_or_without_a_mark_then_as_cp949(tmp_path: Path) -> None:
    """Korean text from an old Windows program reads like any other."""
    (tmp_path / "utf8").write_text("한글 text", encoding="utf-8")
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbf" + "한글 text".encode())
    (tmp_path / "cp949").write_bytes("한글 text".encode("cp949"))
    texts = {text_of(path) for path in tmp_path.iterdir()}
    assert texts == {"한글 text"}


def test_text_and_names_are_composed(tmp_path: Path) -> None:
    """macOS writes decomposed names; a question is typed composed."""
    file = tmp_path / unicodedata.normalize("NFD", "한글.md")
    file.write_text(unicodedata.normalize("NFD", "가나다"), encoding="utf-8")
    source = read(file, tmp_path)
    assert isinstance(source, Source)
    assert (source.name, source.text) == ("한글.md", "가나다")


def test_every_kind_of_line_end_counts_as_one_line(tmp_path: Path) -> None:
    """Line numbers are those that an editor shows."""
    (tmp_path / "a").write_bytes(b"1\r\n2\r3\n4")
    assert text_of(tmp_path / "a") == "1\n2\n3\n4"


@pytest.mark.parametrize(
    "data", [b"a\0b", b"%PDF-1.7 all ascii", b"\xff\xfe\xfd", b"caf\xe9 au lait"]
)
def test_what_is_not_text_is_refused(tmp_path: Path, data: bytes) -> None:
    """Binary files and unknown encodings give noise, not passages."""
    (tmp_path / "a").write_bytes(data)
    assert reason_of(tmp_path / "a") == "not text in UTF-8, UTF-16 or CP949"


def test_a_file_over_two_megabytes_is_refused_unread(tmp_path: Path) -> None:
    """It is a log or a data set."""
    with (tmp_path / "big").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert reason_of(tmp_path / "big") == "larger than 2 MB"


def test_a_file_that_vanished_is_an_error(tmp_path: Path) -> None:
    """Between the walk and the reading anything can happen."""
    refused = read(tmp_path / "gone", tmp_path)
    assert isinstance(refused, Refused)
    assert refused.is_error


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.MD", "markdown"), ("a.py", "code"), ("a.yaml", "code"), ("a.txt", "text"), ("a", "text")],
)
def test_the_suffix_says_how_the_text_is_built(tmp_path: Path, name: str, kind: str) -> None:
    """Unknown suffixes are plain text."""
    make(tmp_path, name)
    source = read(tmp_path / name, tmp_path)
    assert isinstance(source, Source)
    assert source.kind == kind


def test_what_git_ignores_is_passed_over(tmp_path: Path) -> None:
    """By the nearest .gitignore that has an opinion, as git has it."""
    make(tmp_path, "a.log", "keep.log", "build/x.md", "src/a.md", "src/b.log", "src/build/y.md")
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\n/build/\n# a remark\n")
    assert names(tmp_path) == ["keep.log", "src/a.md", "src/build/y.md"]
    (tmp_path / "src" / ".gitignore").write_text("!b.log\n*.md\n")
    assert names(tmp_path) == ["keep.log", "src/b.log"]
    (tmp_path / ".gitignore").rename(tmp_path / ".other")
    (tmp_path / ".gitignore").symlink_to(tmp_path / ".other")
    assert "a.log" in names(tmp_path)
    (tmp_path / ".gitignore").unlink()
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe[\n")
    assert "a.log" in names(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf_16_is_read_where_it_says_so(tmp_path: Path, encoding: str) -> None:
    """Without its mark it looks like a binary file."""
    file = tmp_path / "a.txt"
    file.write_text("\ufeff" * (encoding != "utf-16") + "UTF-16 텍스트\r\n", encoding=encoding)
    assert text_of(file).lstrip("\ufeff") == "UTF-16 텍스트\n"
    file.write_bytes("plain".encode("utf-16-le"))
    assert "not text" in reason_of(file)
