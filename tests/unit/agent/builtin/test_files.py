"""The tools that read, list and write files."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from localai.agent.builtin import beneath, files, replace
from localai.agent.tools import Context, Tool, ToolResult
from localai.approvals.action import FileFact
from localai.core.errors import Conflict, Denied, Invalid
from localai.rbac.permissions import Risk

_TOOLS: dict[str, Tool] = {tool.name: tool for tool in files.TOOLS}


def _write(context: Context, path: str, content: str) -> ToolResult:
    """State the facts and write at once, as the runner does."""
    arguments = {"path": path, "content": content}
    facts = _TOOLS["write_file"].facts(context, arguments)
    return files.write_file(Context(context.workspace, context.protected, facts), **arguments)


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def test_read_returns_the_text(context: Context, workspace: Path) -> None:
    """As it is, Korean too."""
    (workspace / "a.txt").write_text("하나\ntwo\n")
    result = files.read_file(context, "a.txt")
    assert (result.ok, result.text) == (True, "하나\ntwo\n")


def test_read_follows_links_inside(context: Context, workspace: Path) -> None:
    """A link within the workspace is a name like another."""
    (workspace / "a.txt").write_text("x")
    (workspace / "b.txt").symlink_to("a.txt")
    assert files.read_file(context, "b.txt").text == "x"


def test_read_clips_visibly(context: Context, workspace: Path) -> None:
    """What is left out is said, with sizes."""
    (workspace / "big.txt").write_text("x" * (files.MAX_READ + 10))
    result = files.read_file(context, "big.txt")
    clip = f"\n[clipped: the first {files.MAX_READ} of {files.MAX_READ + 10} bytes]"
    assert result.text == "x" * files.MAX_READ + clip


def test_read_takes_exactly_the_most_unclipped(context: Context, workspace: Path) -> None:
    """The limit itself fits."""
    (workspace / "big.txt").write_text("x" * files.MAX_READ)
    assert files.read_file(context, "big.txt").text == "x" * files.MAX_READ


@pytest.mark.parametrize(
    ("path", "words"),
    [("none.txt", "No such file"), ("bin", "not text"), ("a.txt/b", "Not a directory")],
)
def test_read_says_what_is_wrong(context: Context, workspace: Path, path: str, words: str) -> None:
    """A result that failed, for the model to read."""
    (workspace / "bin").write_bytes(b"\0\1")
    (workspace / "a.txt").write_text("x")
    result = files.read_file(context, path)
    assert not result.ok
    assert words in result.text


def test_read_replaces_what_is_not_utf8(context: Context, workspace: Path) -> None:
    """Other encodings are shown as far as they go."""
    (workspace / "a.txt").write_bytes(b"caf\xe9")
    assert files.read_file(context, "a.txt").text == "caf\ufffd"


def test_list_names_kinds_and_sizes(context: Context, workspace: Path) -> None:
    """Folders end in a slash, links say so, hostile names are spelled out."""
    (workspace / "b").mkdir()
    (workspace / "a.txt").write_text("abc")
    (workspace / "l").symlink_to("a.txt")
    (workspace / "x\x1b[2J\n").write_text("")
    assert files.list_files(context).text.split("\n") == [
        "a.txt  3 bytes",
        "b/",
        "l (link)",
        "x\\u{001B}[2J\\n  0 bytes",
    ]


def test_list_of_nothing(context: Context) -> None:
    """An empty folder is said to be empty."""
    assert files.list_files(context, ".").text == "(empty)"


def test_list_clips_visibly(
    context: Context, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of all entries is told."""
    monkeypatch.setattr(files, "MAX_LISTED", 2)
    for name in "abc":
        (workspace / name).mkdir()
    result = files.list_files(context)
    assert result.text == "a/\nb/\n[clipped: the first 2 of 3 entries]"
    assert result.summary == "3 entries"


def test_list_of_a_file_fails(context: Context, workspace: Path) -> None:
    """Only folders are listed."""
    (workspace / "a.txt").write_text("x")
    assert not files.list_files(context, "a.txt").ok


def test_write_makes_the_file_and_its_folders(context: Context, workspace: Path) -> None:
    """Whole, and nothing beside it."""
    result = _write(context, "new/deep/a.txt", "가나\n")
    assert (result.ok, result.summary) == (True, "wrote 7 bytes to new/deep/a.txt")
    assert (workspace / "new/deep/a.txt").read_text() == "가나\n"
    assert _names(workspace / "new/deep") == ["a.txt"]


def test_write_replaces_and_keeps_the_mode(context: Context, workspace: Path) -> None:
    """A script stays a script."""
    file = workspace / "run.sh"
    file.write_text("old")
    file.chmod(0o750)
    assert _write(context, "run.sh", "new").ok
    assert (file.read_text(), file.stat().st_mode & 0o7777) == ("new", 0o750)


def test_write_gives_no_special_rights(context: Context, workspace: Path) -> None:
    """A set-user-id bit does not pass to new content."""
    file = workspace / "x"
    file.write_text("old")
    file.chmod(0o4755)
    _write(context, "x", "new")
    assert file.stat().st_mode & 0o7777 == 0o755


def test_write_through_a_link_writes_where_it_leads(context: Context, workspace: Path) -> None:
    """And the fact names that file."""
    (workspace / "a.txt").write_text("old")
    (workspace / "b.txt").symlink_to("a.txt")
    assert _write(context, "b.txt", "new").ok
    assert (workspace / "a.txt").read_text() == "new"
    assert (workspace / "b.txt").is_symlink()


def _facts(context: Context, path: str) -> Context:
    facts = _TOOLS["write_file"].facts(context, {"path": path, "content": "new"})
    return Context(context.workspace, context.protected, facts)


def test_a_file_that_appeared_meanwhile_is_not_overwritten(
    context: Context, workspace: Path
) -> None:
    """It was approved to be made, not to be replaced."""
    granted = _facts(context, "a.txt")
    (workspace / "a.txt").write_text("precious")
    with pytest.raises(Conflict, match="changed while it was being written"):
        files.write_file(granted, "a.txt", "new")
    assert (workspace / "a.txt").read_text() == "precious"
    assert _names(workspace) == ["a.txt"]


@pytest.mark.parametrize("change", ["edit", "replace", "remove"])
def test_a_file_that_changed_meanwhile_is_not_overwritten(
    context: Context, workspace: Path, change: str
) -> None:
    """Another content, another file or none is not what was approved."""
    file = workspace / "a.txt"
    file.write_text("seen")
    granted = _facts(context, "a.txt")
    (workspace / "b.txt").write_text("seen")
    changes: dict[str, Any] = {
        "edit": lambda: file.write_text("edited"),
        "replace": lambda: (workspace / "b.txt").replace(file),
        "remove": file.unlink,
    }
    changes[change]()
    before = {path.name: path.read_text() for path in workspace.iterdir()}
    with pytest.raises(Conflict, match="changed"):
        files.write_file(granted, "a.txt", "new")
    assert {path.name: path.read_text() for path in workspace.iterdir()} == before


def test_a_path_that_leads_elsewhere_now_is_not_written(context: Context, workspace: Path) -> None:
    """The folder became a link to another one in the workspace."""
    (workspace / "a").mkdir()
    (workspace / "b").mkdir()
    granted = _facts(context, "a/x.txt")
    (workspace / "a").rmdir()
    (workspace / "a").symlink_to("b")
    with pytest.raises(Conflict, match="not the file that was approved"):
        files.write_file(granted, "a/x.txt", "new")
    assert _names(workspace / "b") == []


@pytest.mark.parametrize("exists", [False, True])
def test_file_systems_without_links_are_written_too(
    context: Context, workspace: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """There the file is looked for and then renamed into place."""

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "link", no_links)
    fact = FileFact(str(workspace / "a.txt"), exists=False)
    (workspace / "t").write_text("new")
    handle = os.open(workspace, os.O_RDONLY)
    if exists:
        (workspace / "a.txt").write_text("precious")
        with pytest.raises(Conflict, match="changed"):
            replace.put(handle, "t", "a.txt", fact)
    else:
        replace.put(handle, "t", "a.txt", fact)
        assert (workspace / "a.txt").read_text() == "new"
    os.close(handle)


def test_other_failures_of_linking_are_told(
    context: Context, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is a result that failed, and nothing is left behind."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    result = _write(context, "a.txt", "new")
    assert (result.ok, result.summary) == (False, "No space left on device")
    assert _names(workspace) == []


def test_write_under_a_file_fails(context: Context, workspace: Path) -> None:
    """A file is not a folder."""
    (workspace / "a.txt").write_text("x")
    with pytest.raises(Invalid, match="cannot be read"):
        _write(context, "a.txt/b", "new")


def test_write_refuses_a_folder(context: Context, workspace: Path) -> None:
    """Nothing replaces a directory."""
    (workspace / "a").mkdir()
    with pytest.raises(Invalid, match="not a regular file"):
        _write(context, "a", "new")


def test_write_refuses_too_much(context: Context) -> None:
    """Before anybody is asked."""
    with pytest.raises(Invalid, match="are the most"):
        _write(context, "a.txt", "x" * (files.MAX_WRITE + 1))


def test_facts_of_writing_hold_the_content_that_is_replaced(
    context: Context, workspace: Path
) -> None:
    """The person sees what is lost, by its digest."""
    (workspace / "a.txt").write_text("old")
    (fact,) = _TOOLS["write_file"].facts(context, {"path": "a.txt", "content": "new"}).files
    assert (fact.exists, fact.sha256) == (True, hashlib.sha256(b"old").hexdigest())


@pytest.mark.parametrize("name", ["read_file", "list_files", "write_file"])
def test_every_tool_refuses_what_is_outside_or_ours(workspace: Path, name: str) -> None:
    """When its facts are stated, before policy or person."""
    (workspace / "state").mkdir()
    context = Context(workspace, (workspace / "state",))
    extra: dict[str, Any] = {"content": ""} if name == "write_file" else {}
    for path in ("../x", "/etc/passwd", "state/localai.db"):
        with pytest.raises(Denied):
            _TOOLS[name].facts(context, {"path": path, **extra})
        with pytest.raises(Denied):
            _TOOLS[name].function(context, path, **extra)


@pytest.mark.parametrize(
    ("tool", "path", "risk"),
    [
        ("read_file", "a.txt", Risk.LOW),
        ("read_file", ".env", Risk.HIGH),
        ("read_file", "harmless", Risk.HIGH),
        ("write_file", "a.txt", Risk.HIGH),
        ("write_file", ".git/hooks/x", Risk.CRITICAL),
        ("write_file", "plain/x", Risk.CRITICAL),
        ("list_files", ".git", Risk.LOW),
    ],
)
def test_risk_rises_with_where_a_path_leads(
    context: Context, workspace: Path, tool: str, path: str, risk: Risk
) -> None:
    """By its name, and by the name of what a link leads to."""
    (workspace / "harmless").symlink_to(".env")
    (workspace / "plain").symlink_to(".git/hooks")
    assert _TOOLS[tool].risk_of(context, {"path": path}) == risk


def test_reading_rests_on_which_file_it_is_not_on_its_content(
    context: Context, workspace: Path
) -> None:
    """A log may grow between yes and reading."""
    (workspace / "a.log").write_text("x")
    first = _TOOLS["read_file"].facts(context, {"path": "a.log"})
    (workspace / "a.log").write_text("xy")
    assert _TOOLS["read_file"].facts(context, {"path": "a.log"}) == first
    assert first.files == (beneath.identity(beneath.locate(context, "a.log")),)


def test_the_risk_is_judged_by_where_the_facts_say_that_the_path_leads(
    context: Context, workspace: Path
) -> None:
    """A link that leads elsewhere by then changes neither the judgement nor what is read."""
    (workspace / ".env").write_text("KEY=1")
    (workspace / "notes.txt").write_text("notes")
    (workspace / "link").symlink_to("notes.txt")
    tool, arguments = _TOOLS["read_file"], {"path": "link"}
    stated = Context(workspace, facts=tool.facts(context, arguments))
    (workspace / "link").unlink()
    (workspace / "link").symlink_to(".env")
    assert tool.risk_of(stated, arguments) == Risk.LOW
    with pytest.raises(Conflict, match="not the file"):
        files.read_file(stated, "link")
    stated = Context(workspace, facts=tool.facts(context, arguments))
    assert tool.risk_of(stated, arguments) == Risk.HIGH
    assert files.read_file(stated, "link").text == "KEY=1"


def test_a_write_over_a_text_shows_what_changes(context: Context, workspace: Path) -> None:
    """As a diff; none where there is no text yet, where it is none, and where it is all new."""
    (workspace / "a.txt").write_text("one\ntwo\n")
    (workspace / "bin").write_bytes(b"\xff")
    (workspace / "long").write_text("x\n" * files.MAX_DIFF)
    diffs = {
        path: _TOOLS["write_file"].facts(context, {"path": path, "content": "one\n2\n"}).diff
        for path in ("a.txt", "bin", "new", "long")
    }
    shown = "@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    assert diffs == {"a.txt": shown, "bin": None, "new": None, "long": None}
