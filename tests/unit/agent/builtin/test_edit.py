"""The tool that changes a piece of a file."""

from pathlib import Path
from typing import Any

import pytest

from localai.agent.builtin import edit, replace
from localai.agent.tools import Context, ToolResult
from localai.core.errors import Conflict, Invalid, LocalaiError, NotFound
from localai.rbac.permissions import Risk

(_TOOL,) = edit.TOOLS


def _granted(context: Context, **arguments: Any) -> Context:
    facts = _TOOL.facts(context, arguments)
    return Context(context.workspace, context.protected, facts)


def _edit(context: Context, **arguments: Any) -> ToolResult:
    """State the facts and edit at once, as the runner does."""
    return edit.edit_file(_granted(context, **arguments), **arguments)


def test_the_piece_is_replaced_and_the_rest_stays(context: Context, workspace: Path) -> None:
    """Byte for byte: the mark at the start, Korean, and no newline at the end."""
    file = workspace / "a.txt"
    file.write_bytes("\ufeff하나\ntwo\nthree".encode())
    result = _edit(context, path="a.txt", old="two", new="둘")
    assert (result.ok, result.text) == (True, "replaced 1 occurrence in a.txt")
    assert file.read_bytes() == "\ufeff하나\n둘\nthree".encode()


def test_the_person_sees_what_will_change(context: Context, workspace: Path) -> None:
    """The facts, which the digest covers, carry the diff."""
    (workspace / "a.txt").write_text("one\ntwo\nthree\n")
    facts = _TOOL.facts(context, {"path": "a.txt", "old": "two\n", "new": ""})
    assert facts.diff == "@@ -1,3 +1,2 @@\n one\n-two\n three\n"


def test_lines_of_windows_stay_so(context: Context, workspace: Path) -> None:
    """A model writes plain newlines; the file's own are put in."""
    file = workspace / "a.txt"
    file.write_bytes(b"one\r\ntwo\r\n")
    assert _edit(context, path="a.txt", old="one\ntwo", new="1\n2\n3").ok
    assert file.read_bytes() == b"1\r\n2\r\n3\r\n"


def test_mixed_newlines_are_taken_as_they_are(context: Context, workspace: Path) -> None:
    """Nothing is guessed where the file has no one way."""
    file = workspace / "a.txt"
    file.write_bytes(b"one\r\ntwo\n")
    with pytest.raises(Invalid, match="does not occur"):
        _edit(context, path="a.txt", old="one\ntwo", new="x")
    assert _edit(context, path="a.txt", old="one\r\ntwo", new="x").ok
    assert file.read_bytes() == b"x\n"


def test_all_replaces_every_occurrence(context: Context, workspace: Path) -> None:
    """Where that was asked for."""
    (workspace / "a.txt").write_text("a b a b a")
    result = _edit(context, path="a.txt", old="a", new="c", all=True)
    assert result.text == "replaced 3 occurrences in a.txt"
    assert (workspace / "a.txt").read_text() == "c b c b c"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"old": "def tow():", "new": ""}, Invalid, 'line 3 is the nearest: "def two\\(\\):"'),
        ({"old": "qqqq", "new": ""}, Invalid, "does not occur in it; no line is like it"),
        ({"old": "def", "new": ""}, Invalid, "occurs 2 times; give more lines"),
        ({"old": "aa", "new": "b"}, Invalid, "occurs 2 times"),
        ({"old": "", "new": "x"}, Invalid, "old is empty"),
        ({"old": "def", "new": "def"}, Invalid, "the same"),
        ({"path": "none", "old": "a", "new": "b"}, NotFound, "no file none"),
        ({"path": "bin", "old": "a", "new": "b"}, Invalid, "not text in UTF-8"),
        ({"path": "euc", "old": "a", "new": "b"}, Invalid, "not text in UTF-8"),
        ({"old": "aaa", "new": "x" * (replace.MAX_WRITE + 1)}, Invalid, "more than"),
        ({"old": "aaa", "new": "x\n" * 40_000}, Invalid, "more than a person can read"),
    ],
)
def test_what_cannot_be_edited_is_told_before_anybody_is_asked(
    context: Context,
    workspace: Path,
    arguments: dict[str, Any],
    error: type[LocalaiError],
    words: str,
) -> None:
    """What is wrong, and where to look; nothing has changed."""
    (workspace / "a.py").write_text("def one():\n    aaa\ndef two():\n    pass\n")
    (workspace / "bin").write_bytes(b"a\0")
    (workspace / "euc").write_bytes("가a".encode("euc-kr"))
    before = {file.name: file.read_bytes() for file in workspace.iterdir()}
    with pytest.raises(error, match=words):
        _TOOL.facts(context, {"path": "a.py", **arguments})
    assert {file.name: file.read_bytes() for file in workspace.iterdir()} == before


def test_a_nearest_line_is_shown_harmless(context: Context, workspace: Path) -> None:
    """What stands in a file may be meant for a terminal."""
    (workspace / "a.txt").write_text("value\x1b[2J = 1\n")
    with pytest.raises(Invalid, match=r"value\\u\{001B\}\[2J = 1"):
        _TOOL.facts(context, {"path": "a.txt", "old": "value = 1", "new": ""})


@pytest.mark.parametrize("old", ["KEY=secreT", "e", "", "zzz"])
def test_credentials_are_not_guessed_by_trying(context: Context, workspace: Path, old: str) -> None:
    """How often, and what is near, would be told without anybody having been asked."""
    (workspace / ".env").write_text("KEY=secret\nOTHER=1\n")
    with pytest.raises(Invalid) as raised:
        _TOOL.facts(context, {"path": ".env", "old": old, "new": "x"})
    assert raised.value.message == ".env cannot be edited so"
    assert (raised.value.hint, raised.value.causes) == (None, [])


@pytest.mark.parametrize(("path", "risk"), [("a.txt", Risk.HIGH), (".git/config", Risk.CRITICAL)])
def test_what_programs_obey_is_critical(
    context: Context, workspace: Path, path: str, risk: Risk
) -> None:
    """As for writing a file."""
    arguments = {"path": path, "old": "a", "new": "b"}
    assert _TOOL.risk_of(context, arguments) == risk


def test_a_file_that_changed_since_is_not_edited(context: Context, workspace: Path) -> None:
    """Even where the piece is still in it."""
    file = workspace / "a.txt"
    file.write_text("one two")
    granted = _granted(context, path="a.txt", old="two", new="2")
    file.write_text("One two")
    with pytest.raises(Conflict, match="changed"):
        edit.edit_file(granted, "a.txt", "two", "2")
    assert file.read_text() == "One two"


def test_a_path_that_leads_elsewhere_now_is_not_edited(context: Context, workspace: Path) -> None:
    """The file has become a link to one with the same text."""
    for name in "ab":
        (workspace / name).write_text("one two")
    granted = _granted(context, path="a", old="two", new="2")
    (workspace / "a").unlink()
    (workspace / "a").symlink_to("b")
    with pytest.raises(Conflict, match="not the file that was approved"):
        edit.edit_file(granted, "a", "two", "2")
    assert (workspace / "b").read_text() == "one two"


def test_a_failing_disk_is_told(
    context: Context, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that failed, and the file as it was."""
    (workspace / "a.txt").write_text("one")
    granted = _granted(context, path="a.txt", old="one", new="two")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replace.os, "fsync", full)
    result = edit.edit_file(granted, "a.txt", "one", "two")
    assert (result.ok, result.summary) == (False, "No space left on device")
    assert [(file.name, file.read_text()) for file in workspace.iterdir()] == [("a.txt", "one")]
