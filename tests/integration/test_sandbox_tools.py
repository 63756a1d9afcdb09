"""Programs as tools run them: what reaches them, what they reach, in workspaces of every kind."""

import ctypes
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from approvals_home import Clock, Home, build

from localai.agent.builtin import registry
from localai.agent.builtin.git import Git
from localai.agent.builtin.shell import Programs
from localai.agent.runner import Rules, Runner
from localai.agent.sandbox import landlock
from localai.agent.sandbox.tiers import GAPS, OLDER_GAPS, Sandbox, Tier
from localai.agent.tools import Context, ToolResult
from localai.approvals.gate import Wait
from localai.core.errors import Denied, NotFound, Unavailable

TIERS = [
    pytest.param("full", marks=pytest.mark.prove),
    pytest.param(
        "reduced",
        marks=pytest.mark.skipif(
            landlock.version() < 1 and os.environ.get("PROVE") != "1", reason="no Landlock"
        ),
    ),
]
full = pytest.mark.parametrize("tier", TIERS[:1])
both = pytest.mark.parametrize("tier", TIERS)


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's programs, and not those of whoever runs the tests."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def _programs(tier: Tier, **more: Any) -> Programs:
    sandbox = Sandbox(tier=tier, **more)
    assert sandbox.tier == tier
    return Programs(sandbox)


def _sh(programs: Programs, workspace: Path, script: str, *protected: Path) -> ToolResult:
    context = Context(workspace, protected)
    return programs.run_command(context, ["sh", "-c", script])


def _git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    argv = ["git", *who, "-C", str(folder), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@both
def test_a_program_of_a_tool_works_in_the_workspace_and_nowhere_else(
    tier: Tier, workspace: Path, tmp_path: Path
) -> None:
    """What run_command and run_python are given goes the same way."""
    outside = tmp_path / "outside"
    code = f"open('made', 'w').write('x'); open({str(outside)!r}, 'w').write('x')"
    _programs(tier).run_python(Context(workspace), code)
    assert (workspace / "made").read_text() == "x"
    _sh(_programs(tier), workspace, f"echo x > {outside}; echo x > ../outside")
    assert not outside.exists()


@both
def test_the_runner_gives_it_no_way_to_decide_for_people(
    tier: Tier, workspace: Path, tmp_path: Path
) -> None:
    """A request that was approved runs apart from what keeps requests."""
    home: Home = build(tmp_path / "home", Clock())
    runner = Runner(
        registry(Sandbox(tier=tier)),
        home.approvals,
        home.rbac.require,
        Rules(enabled=False),
        workspace=workspace,
        protected=home.directories.all,
    )
    script = f"cat {home.directories.database_file} {home.directories.keys}/* && echo ESCAPED"
    arguments = json.dumps({"argv": ["sh", "-c", script]})
    gate = Wait(home.approvals, home.operator, 0)
    outcome = runner.run(home.operator, "run_command", arguments, gate)
    home.rbac._tally.close()
    home.database.close()
    assert not outcome.result.ok
    assert "ESCAPED" not in outcome.result.text


@both
@pytest.mark.parametrize(
    "name", ["with space", "line\nbreak", "quo'te\"", "\udcff\udcfe", "--bind"]
)
def test_names_of_any_kind_are_only_names(tier: Tier, tmp_path: Path, name: str) -> None:
    """Of the workspace, and of what is kept in it; not all of them are text."""
    workspace = tmp_path / name
    (workspace / ".vscode").mkdir(parents=True)
    (workspace / ".vscode" / "tasks.json").write_text("{}")
    result = _sh(_programs(tier), workspace, "pwd >&2; echo x > made; echo x > .vscode/tasks.json")
    assert (workspace / "made").read_text() == "x\n", result.text
    kept = (workspace / ".vscode" / "tasks.json").read_text() == "{}"
    assert kept is (tier == "full")


@both
def test_a_readable_folder_is_read_and_not_written(
    tier: Tier, workspace: Path, tmp_path: Path
) -> None:
    """Its link leads there; what is hidden in it is not there, nor by a link to it."""
    tools = tmp_path / "tools"
    (tools / "ours").mkdir(parents=True)
    (tools / "file").write_text("read\n")
    (tools / "ours" / "key").write_text("secret\n")
    (tools / "link").symlink_to("ours")
    (tmp_path / "name").symlink_to(tools)
    programs = _programs(tier, readable=[tmp_path / "name"], hidden=[tools / "link"])
    assert "read" in _sh(programs, workspace, f"cat {tools}/file").text
    assert not _sh(programs, workspace, f"echo x > {tools}/file").ok
    for path in ("ours", "link"):
        assert "secret" not in _sh(programs, workspace, f"cat {tools}/{path}/key").text


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("folder", [Path("/"), Path.home(), Path.home().parent])
def test_a_home_is_not_readable(tier: Tier, workspace: Path, folder: Path) -> None:
    """A setting that says so is refused, with the command that changes it."""
    with pytest.raises(Denied, match="your home is in it") as caught:
        _sh(_programs(tier, readable=[folder]), workspace, "true")
    assert caught.value.hint is not None
    assert "sandbox.readable" in caught.value.hint


@full
def test_what_is_ours_in_the_workspace_is_hidden(tier: Tier, workspace: Path) -> None:
    """The home and what lies in it, by whatever names they are protected."""
    (workspace / "home" / "keys").mkdir(parents=True)
    (workspace / "home" / "keys" / "key").write_text("secret")
    (workspace / "log").write_text("secret")
    ours = (workspace / "home", workspace / "home" / "keys", workspace / "log")
    script = (
        "cat home/keys/key log; echo x > home/x; echo x > log; rm -rf home; mv log log2; ls home"
    )
    result = _sh(_programs(tier), workspace, script, *ours)
    assert "secret" not in result.text
    assert [each.read_text() for each in (ours[1] / "key", ours[2])] == ["secret", "secret"]


@pytest.mark.parametrize("tier", TIERS[1:])
def test_what_cannot_be_hidden_is_not_given_away(tier: Tier, workspace: Path) -> None:
    """The kernel allows whole folders: a workspace with our home in it waits for bubblewrap."""
    (workspace / "home").mkdir()
    with pytest.raises(Denied, match="only bubblewrap can hide it"):
        _sh(_programs(tier), workspace, "true", workspace / "home")


@full
def test_git_works_where_a_program_may_only_read_it(tier: Tier, workspace: Path) -> None:
    """A program reads the repository; the tools about git add and commit to it."""
    _git(workspace, "init", "-q", "-b", "main")
    (workspace / "a.txt").write_text("a\n")
    programs = _programs(tier)
    tools, context = Git(programs), Context(workspace)
    assert "a.txt" in _sh(programs, workspace, "git status --short").text
    assert "Read-only file system" in _sh(programs, workspace, "git add a.txt").text
    assert tools.git_add(context, ["a.txt"]).ok
    _git(workspace, "config", "user.name", "n")
    _git(workspace, "config", "user.email", "e@example.org")
    committed = tools.git_commit(context, "First\n")
    assert committed.ok, committed.text
    assert "First" in tools.git_log(context).text


@full
def test_git_itself_keeps_what_it_obeys(tier: Tier, workspace: Path) -> None:
    """A filter that a repository names runs while git adds, and can change none of that."""
    _git(workspace, "init", "-q", "-b", "main")
    (workspace / "filter.sh").write_text(
        "echo x >> .git/config; echo x > .git/hooks/post-commit; mv .git away; cat\n"
    )
    _git(workspace, "config", "filter.x.clean", "sh ./filter.sh")
    (workspace / ".gitattributes").write_text("*.txt filter=x\n")
    (workspace / "a.txt").write_text("a\n")
    before = (workspace / ".git" / "config").read_text()
    assert Git(_programs(tier)).git_add(Context(workspace), ["a.txt"]).ok
    assert (workspace / ".git" / "config").read_text() == before
    assert not (workspace / ".git" / "hooks" / "post-commit").exists()
    assert not (workspace / "away").exists()


@full
def test_a_worktree_keeps_the_file_that_says_where_its_repository_is(
    tier: Tier, workspace: Path, tmp_path: Path
) -> None:
    """There .git is a file."""
    _git(workspace, "init", "-q")
    (workspace / "a").touch()
    _git(workspace, "add", "a")
    _git(workspace, "commit", "-qm", "a")
    tree = tmp_path / "tree"
    _git(workspace, "worktree", "add", "-q", str(tree))
    before = (tree / ".git").read_text()
    _sh(_programs(tier), tree, "echo gitdir: evil > .git; mv .git away; rm -f .git; ln -sf x .git")
    assert (tree / ".git").read_text() == before


@both
@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("mkdir -p .git/hooks; echo x > .git/hooks/post-merge", ".git"),
        ("echo x > .envrc", ".envrc"),
        ("echo x > sub/.git/hooks/post-merge", "sub/.git/hooks/post-merge"),
        ("echo x >> sub/.git/config", "sub/.git/config"),
        ("mv sub away; mkdir -p sub/.git; echo x > sub/.git/config", "sub/.git/config"),
        ("mkdir objects refs hooks; echo x > HEAD; echo x > config", "config"),
    ],
)
def test_what_appears_and_is_obeyed_is_told(
    tier: Tier, workspace: Path, script: str, told: str
) -> None:
    """What is not there cannot be kept: a person hears of it before anything obeys it."""
    (workspace / "sub" / ".git" / "hooks").mkdir(parents=True)
    (workspace / "sub" / ".git" / "config").write_text("[core]\n")
    text = _sh(_programs(tier), workspace, script).text
    assert "[it changed " in text
    assert told in text.partition("[it changed ")[2].partition(":")[0].split(", ")


@full
def test_a_link_that_appears_while_the_sandbox_is_made_shows_nothing(
    tier: Tier, workspace: Path, tmp_path: Path
) -> None:
    """Another program in the workspace exchanges what is kept for a link out of it, on and on."""
    (tmp_path / "secret").write_text("SECRET")
    (workspace / ".vscode").mkdir()
    (workspace / "link").symlink_to("..")
    names = [os.fsencode(workspace / each) for each in (".vscode", "link")]
    ends = threading.Event()

    def exchange() -> None:
        libc = ctypes.CDLL(None)
        while not ends.is_set():
            libc.renameat2(-100, names[0], -100, names[1], 2)

    programs = _programs(tier)
    other = threading.Thread(target=exchange)
    other.start()
    refused, said = 0, ""
    try:
        for _ in range(40):
            try:
                said += _sh(programs, workspace, f"cat {tmp_path}/secret").text
            except Unavailable as error:
                refused += "was changed by another program" in error.message
    finally:
        ends.set()
        other.join()
    assert "SECRET" not in said
    assert refused > 0


@full
def test_what_is_ours_deep_in_the_workspace_cannot_be_moved_into_sight(
    tier: Tier, workspace: Path
) -> None:
    """The next program would look for it where it is not any more."""
    keys = workspace / "a" / "b" / "keys"
    keys.mkdir(parents=True)
    (keys / "key").write_text("secret")
    programs = _programs(tier)
    _sh(programs, workspace, "mv a c; mv a/b a/c", keys)
    assert (keys / "key").exists()
    assert "secret" not in _sh(programs, workspace, "cat */*/*/key", keys).text


@both
def test_a_program_that_is_not_seen_is_told_with_the_setting(
    tier: Tier, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool chain in a home, say."""
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    with pytest.raises(NotFound) as caught:
        _programs(tier).run_command(Context(workspace), [str(tmp_path / "tool")])
    assert caught.value.hint == f"ai config set sandbox.readable {tmp_path}"


@both
def test_no_descriptor_of_ours_is_handed_on(tier: Tier, workspace: Path, tmp_path: Path) -> None:
    """Even one that was left open to be inherited."""
    with (tmp_path / "key").open("w+") as ours:
        os.set_inheritable(ours.fileno(), True)
        result = _sh(_programs(tier), workspace, "ls -l /proc/self/fd")
    assert "key" not in result.text
    assert len(result.text.splitlines()) == 6  # the code, a total, three and that of ls itself


def test_the_gaps_are_told_as_they_are() -> None:
    """The page about the sandbox quotes each, word for word."""
    page = Path(__file__).parents[2] / "docs" / "ops" / "sandbox.md"
    told = [line.split("|")[1].strip() for line in page.read_text().splitlines() if "|" in line]
    gaps = [*GAPS, *OLDER_GAPS.values()]
    assert [each for each in told if each in gaps] == gaps
