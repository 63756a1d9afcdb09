"""The tool that finds lines in files."""

import os
from pathlib import Path
from typing import Any

import pytest

from localai.agent.builtin import search, tree
from localai.agent.tools import Context
from localai.core.errors import Denied, Invalid


def _lines(context: Context, pattern: str = "needle", **arguments: Any) -> list[str]:
    return search.search_files(context, pattern, **arguments).text.split("\n")


def test_lines_are_found_with_their_places(context: Context, workspace: Path) -> None:
    """In a stable order, Korean too."""
    (workspace / "b").mkdir()
    (workspace / "b" / "c.txt").write_text("x\n바늘 needle\n")
    (workspace / "a.txt").write_text("needle\nnothing\na needle\n")
    assert _lines(context) == [
        "a.txt:1: needle",
        "a.txt:3: a needle",
        "b/c.txt:2: 바늘 needle",
        "[searched 2 files]",
    ]


def test_nothing_found_is_said(context: Context, workspace: Path) -> None:
    """And in how many files."""
    (workspace / "a.txt").write_text("hay")
    assert _lines(context) == ["no line matches", "[searched 1 files]"]


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ({"path": "b"}, ["b/c.py"]),
        ({"path": "b/c.py"}, ["b/c.py"]),
        ({"glob": "*.py"}, ["a.py", "b/c.py"]),
        ({"glob": "b/*"}, ["b/c.py"]),
        ({"ignore_case": True}, ["a.md", "a.py", "b/c.py"]),
        ({"pattern": r"^ne+dle\b"}, ["a.py"]),
    ],
)
def test_what_is_searched_can_be_chosen(
    context: Context, workspace: Path, arguments: dict[str, Any], files: list[str]
) -> None:
    """By place, by name, by case and by an expression."""
    (workspace / "b").mkdir()
    (workspace / "a.py").write_text("needle")
    (workspace / "a.md").write_text("NEEDLE")
    (workspace / "b" / "c.py").write_text(" needle")
    found = _lines(context, **arguments)
    assert [line.partition(":")[0] for line in found if not line.startswith("[")] == files


def test_gitignore_counts(context: Context, workspace: Path) -> None:
    """Those above, those below, and what a nearer one takes back."""
    for name in ("build/x.txt", "src/keep.log", "src/drop.log", "src/a.txt", "node_modules/y.txt"):
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text("needle")
    (workspace / ".gitignore").write_text("build/\n*.log\n")
    (workspace / "src" / ".gitignore").write_text("!keep.log\n")
    expected = ["src/a.txt:1: needle", "src/keep.log:1: needle", "[searched 2 files]"]
    assert _lines(context) == expected
    assert _lines(context, path="src") == expected
    assert _lines(context, path="build")[0] == "build/x.txt:1: needle"


def test_what_may_hold_credentials_is_named_and_not_read(context: Context, workspace: Path) -> None:
    """Or a search that nobody was asked about would tell what read_file asks for."""
    for name in (".env", "a/.netrc", ".ssh/config"):
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text("needle")
    (workspace / "link").symlink_to(".env")
    named = "they may hold credentials: .env, .ssh, a/.netrc; read_file asks for them]"
    found = search.search_files(context, "needle").text
    assert named in found
    assert "needle" not in found
    for path in (".env", ".ssh", ".ssh/config", "link"):
        assert "needle" not in search.search_files(context, "needle", path=path).text


def test_what_is_not_searched_is_counted(context: Context, workspace: Path) -> None:
    """Links, pipes, what is no text and what is too large."""
    (workspace / "bin").write_bytes(b"\0needle")
    (workspace / "big").write_bytes(b"needle\n" + b"x" * search.MAX_FILE)
    (workspace / "link").symlink_to("/etc/passwd")
    (workspace / "folder").symlink_to("/etc")
    os.mkfifo(workspace / "pipe")
    assert _lines(context) == [
        "no line matches",
        "[searched 0 files]",
        "[passed over: larger than 2 MB: 1, links: 2, not text: 1, no regular files: 1]",
    ]


def test_names_and_lines_are_harmless(context: Context, workspace: Path) -> None:
    """A name cannot make up a line of its own, nor a line command a terminal."""
    (workspace / "a\nb.txt:1: fake\x1b[2J").write_text("needle \x1b]0;x\x07")
    assert _lines(context) == [
        "a\\nb.txt:1: fake\\u{001B}[2J:1: needle \\u{001B}]0;x\\u{0007}",
        "[searched 1 files]",
    ]


def test_long_lines_are_shown_around_the_match(context: Context, workspace: Path) -> None:
    """And it is seen that there is more."""
    (workspace / "a.txt").write_text("x" * 1_000 + "needle" + "y" * 1_000)
    (line, _) = _lines(context)
    assert line == f"a.txt:1: …{'x' * 60}needle{'y' * 134}…"


def test_many_lines_are_clipped_visibly(context: Context, workspace: Path) -> None:
    """The first two hundred."""
    (workspace / "a.txt").write_text("needle\n" * (search.MAX_FOUND + 1))
    found = _lines(context)
    assert found[search.MAX_FOUND] == "[clipped: the first 200 lines; there are more]"
    (workspace / "a.txt").write_text("needle\n" * search.MAX_FOUND)
    assert _lines(context)[search.MAX_FOUND] == "[searched 1 files]"


def test_time_is_bounded(
    context: Context, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found until then is told, and that time was over."""
    (workspace / "a.txt").write_text("needle\n")
    monkeypatch.setattr(search, "LONGEST_S", 0.0)
    assert _lines(context)[:2] == ["no line matches", "[clipped: stopped after 0 seconds]"]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "([a-zA-Z]+)*$"])
def test_an_expression_that_would_never_end_does(
    context: Context, workspace: Path, pattern: str
) -> None:
    """Each of these takes Python's own engine longer than anybody lives."""
    (workspace / "a.txt").write_text("a" * 5_000 + "!")
    assert search.search_files(context, pattern).ok


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("foo(", "missing \\)"),
        (r"(a)\1", "invalid escape"),
        ("", "empty"),
        ("x" * 1_001, "longer than 1000"),
        ("((((a{1,100}){1,100}){1,100}){1,100})", "invalid repetition"),
        (r"\pL{1000}", "too large"),
    ],
)
def test_what_is_no_expression_is_invalid(context: Context, pattern: str, words: str) -> None:
    """With the reason, and no cause that is bytes."""
    with pytest.raises(Invalid, match=words) as raised:
        search.search_files(context, pattern)
    assert raised.value.causes == []


@pytest.mark.parametrize("path", ["..", "/etc", "link"])
def test_a_search_never_leaves(context: Context, workspace: Path, path: str) -> None:
    """Neither upwards nor through a link."""
    (workspace / "link").symlink_to("/etc")
    with pytest.raises(Denied):
        search.search_files(context, "root", path=path)


def test_a_place_that_is_not_there_is_told(context: Context) -> None:
    """A result that failed."""
    result = search.search_files(context, "x", path="none")
    assert (result.ok, result.text) == (False, "none: No such file or directory")


def test_what_belongs_to_localai_is_passed_over(workspace: Path) -> None:
    """Folders by their identity, files by their path."""
    (workspace / "state").mkdir()
    (workspace / "state" / "db").write_text("needle")
    (workspace / "log").write_text("needle")
    context = Context(workspace, (workspace / "state", workspace / "log"))
    assert _lines(context) == ["no line matches", "[searched 0 files]"]


def test_depth_is_bounded(context: Context, workspace: Path) -> None:
    """A tree that goes down for ever is left at some depth, and that is said."""
    deep = workspace.joinpath(*["d"] * 70)
    deep.mkdir(parents=True)
    (deep / "a.txt").write_text("needle")
    assert _lines(context)[-1] == "[passed over: not readable: 1]"


def test_no_handle_is_left_open(context: Context, workspace: Path) -> None:
    """However a walk ends."""
    (workspace / "a" / "b").mkdir(parents=True)
    for name in ("a/b/1.txt", "a/b/2.txt"):
        (workspace / name).write_text("needle")
    before = {file.name for file in Path("/dev/fd").iterdir()}
    walk = tree.walk(context, tree.Place(workspace, ()))
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert {file.name for file in Path("/dev/fd").iterdir()} == before
