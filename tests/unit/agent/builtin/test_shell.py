"""The tools that run programs, where there is no sandbox: what they add themselves."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from localai.agent.builtin.shell import _KEPT, Programs
from localai.agent.sandbox.process import Limits
from localai.agent.sandbox.tiers import Sandbox
from localai.agent.tools import Context, ToolResult
from localai.core.errors import Denied, Invalid, NotFound, Unavailable
from localai.rbac.permissions import Risk

_PROGRAMS = Programs(Sandbox(enabled=False))
_TOOL, _PYTHON_TOOL = _PROGRAMS.tools


def _run(context: Context, *argv: str, **more: str) -> ToolResult:
    """State the facts and run at once, as the runner does."""
    arguments: dict[str, Any] = {"argv": list(argv), **more}
    facts = _TOOL.facts(context, arguments)
    stated = Context(context.workspace, context.protected, facts)
    return _PROGRAMS.run_command(stated, **arguments)


def _python(context: Context, code: str) -> ToolResult:
    return _run(context, sys.executable, "-c", code)


def test_returns_exit_code_and_both_outputs(context: Context) -> None:
    """Standard error is part of what it said."""
    result = _run(context, "sh", "-c", "echo out; echo err >&2")
    assert (result.ok, result.text, result.summary) == (
        True,
        "exit code 0\nout\nerr\n",
        "exit code 0",
    )


def test_another_exit_code_is_a_failure(context: Context) -> None:
    """And is told."""
    result = _run(context, "sh", "-c", "exit 3")
    assert (result.ok, result.summary) == (False, "exit code 3")


def test_a_signal_is_named(context: Context) -> None:
    """Not a negative number."""
    assert _run(context, "sh", "-c", "kill -TERM $$").summary == "ended by SIGTERM"


def test_there_is_no_shell(context: Context, workspace: Path) -> None:
    """Elements arrive as they are, whatever they hold."""
    result = _run(context, "printf", "%s\\n", "$(touch x)", "; touch x", "*")
    assert result.text == "exit code 0\n$(touch x)\n; touch x\n*\n"
    assert list(workspace.iterdir()) == []


def test_runs_in_the_workspace_or_below(context: Context, workspace: Path) -> None:
    """The directory is relative to the workspace."""
    (workspace / "sub").mkdir()
    assert _run(context, "pwd").text.split("\n")[1] == str(workspace)
    assert _run(context, "pwd", cwd="sub").text.split("\n")[1] == str(workspace / "sub")


@pytest.mark.parametrize(
    ("cwd", "error"), [("..", Denied), ("/", Denied), ("none", NotFound), ("n" * 300, NotFound)]
)
def test_runs_nowhere_else(context: Context, cwd: str, error: type[Exception]) -> None:
    """Not outside, not where nothing is."""
    with pytest.raises(error):
        _run(context, "pwd", cwd=cwd)


def test_environment_is_clean(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own variables and other programs' secrets are not passed on."""
    monkeypatch.setenv("LOCALAI_PASSPHRASE", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    result = _run(context, "env")
    names = {line.split("=")[0] for line in result.text.splitlines()[1:]}
    assert names <= {*_KEPT, "PATH", "TERM"}
    assert "LANG=ko_KR.UTF-8" in result.text
    assert "TERM=dumb" in result.text


def test_relative_folders_on_path_are_left_out(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workspace does not choose the program."""
    monkeypatch.setenv("PATH", "bin:.::/usr/bin:/bin")
    assert _PROGRAMS.environment(context)["PATH"] == "/usr/bin:/bin"


def test_standard_input_is_empty(context: Context) -> None:
    """A program that asks gets no answer instead of waiting for one."""
    assert _python(context, "import sys; print(repr(sys.stdin.read()))").text.endswith("''\n")


def test_there_is_no_terminal(context: Context) -> None:
    """A program cannot reach the person's terminal behind our back."""
    result = _run(context, "sh", "-c", "exec < /dev/tty")
    assert not result.ok


def test_the_name_is_kept_and_the_resolved_path_runs(context: Context, workspace: Path) -> None:
    """A program that looks at its name sees the one it was called by."""
    (workspace / "tool").symlink_to("/bin/sh")
    result = _run(context, "./tool", "-c", "echo $0")
    assert result.text == "exit code 0\n./tool\n"


@pytest.mark.parametrize("argv", [[], [""], ["ls", "a\0b"]])
def test_argv_must_name_a_program(context: Context, argv: list[str]) -> None:
    """Nothing to run is told before anybody is asked."""
    with pytest.raises(Invalid, match="argv"):
        _TOOL.facts(context, {"argv": argv})


def test_an_unknown_program_is_not_found(context: Context) -> None:
    """Before anybody is asked."""
    with pytest.raises(NotFound, match="no program no-such-program"):
        _TOOL.facts(context, {"argv": ["no-such-program"]})


def test_a_program_that_vanishes_while_it_is_digested_is_refused(
    context: Context, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be digested cannot be approved."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: str(workspace / "gone"))
    with pytest.raises(Invalid, match="cannot be read"):
        _TOOL.facts(context, {"argv": ["gone"]})


def test_what_is_no_program_fails_to_run(context: Context, workspace: Path) -> None:
    """A file without a format that the system knows."""
    program = workspace / "x"
    program.write_text("\x7fnothing that runs")
    program.chmod(0o755)
    with pytest.raises(Unavailable, match="cannot be run"):
        _run(context, "./x")


def _shim(folder: Path, content: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / "greet"
    program.write_text(f"#!/bin/sh\necho {content}\n")
    program.chmod(0o755)
    return program


def test_facts_tell_programs_apart(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shim earlier on PATH, another content and another environment are other facts."""
    program = _shim(tmp_path / "late", "hello")
    monkeypatch.setenv("PATH", f"{tmp_path / 'early'}:{tmp_path / 'late'}:{os.environ['PATH']}")
    arguments = {"argv": ["greet"]}
    first = _TOOL.facts(context, arguments)
    assert first.program is not None
    assert first.program.path == str(program)
    _shim(tmp_path / "late", "edited")
    second = _TOOL.facts(context, arguments)
    _shim(tmp_path / "early", "hello")
    third = _TOOL.facts(context, arguments)
    monkeypatch.setenv("LANG", "xx")
    fourth = _TOOL.facts(context, arguments)
    assert len({first.program, second.program, third.program}) == 3
    assert fourth.environment_sha256 != third.environment_sha256 == first.environment_sha256


def test_a_workspace_that_is_gone_is_told(context: Context, workspace: Path) -> None:
    """It may be removed while a person thinks."""
    workspace.rmdir()
    with pytest.raises(NotFound, match=r"no directory \. in"):
        _run(context, "ls")


def test_facts_name_the_directory(context: Context, workspace: Path) -> None:
    """A folder that was swapped for another is another fact."""
    (workspace / "sub").mkdir()
    arguments = {"argv": ["ls"], "cwd": "sub"}
    first = _TOOL.facts(context, arguments)
    (workspace / "sub").rename(workspace / "old")
    (workspace / "sub").mkdir()
    assert _TOOL.facts(context, arguments).files != first.files


def test_facts_hold_the_files_that_arguments_name(context: Context, workspace: Path) -> None:
    """`sh build.sh` is approved for the script as it was read."""
    script = workspace / "build.sh"
    script.write_text("echo good\n")
    arguments = {"argv": ["sh", "build.sh", "--flag", "build.sh", "x" * 300]}
    first = _TOOL.facts(context, arguments)
    assert [file.path for file in first.files] == [str(workspace), str(script)]
    script.write_text("echo evil\n")
    assert _TOOL.facts(context, arguments).files != first.files


def test_a_long_output_keeps_its_beginning_and_end(context: Context) -> None:
    """The middle is left out, visibly, and does not fill our memory."""
    kept = Limits().output
    size = kept * 3
    result = _python(context, f"print('<' + 'x' * {size - 3} + '>')")
    assert f"\n[clipped: {size - kept} of {size} bytes]\n" in result.text
    assert result.text.startswith("exit code 0\n<xxx")
    assert result.text.endswith("xxx>\n")


def test_a_call_without_a_sandbox_is_critical(context: Context) -> None:
    """In one it is high: so rules may allow it."""
    for tool in _PROGRAMS.tools:
        assert tool.risk_of(context, {"argv": ["ls"]}) is Risk.CRITICAL
        assert not tool.confinement.is_confined
        assert tool.confinement.words == "none: runs unconfined with your own rights"


def test_python_gets_its_program_as_it_is(context: Context, workspace: Path) -> None:
    """No shell, no file; and no module of the workspace stands in for one of the library."""
    (workspace / "json.py").write_text("raise SystemExit('mine')")
    code = "import json, os\nprint(json.dumps({'\\'$x\"': os.getcwd()}))"
    arguments = {"code": code}
    stated = Context(workspace, facts=_PYTHON_TOOL.facts(context, arguments))
    result = _PROGRAMS.run_python(stated, **arguments)
    assert result.text == 'exit code 0\n{"\'$x\\"": "' + f'{workspace}"' + "}\n"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo x > .envrc", ".envrc"),
        ("mkdir .vscode", ".vscode"),
        ("echo x >> .git/config", ".git/config"),
        ("echo x > .git/hooks/post-checkout", ".git/hooks/post-checkout"),
        ("mkdir sub; echo x > sub/.envrc; echo x > notes.txt", None),
    ],
)
def test_a_change_of_what_others_obey_is_told(
    context: Context, workspace: Path, script: str, told: str | None
) -> None:
    """Where no sandbox keeps it from that, the person hears of it at once."""
    (workspace / ".git" / "hooks").mkdir(parents=True)
    (workspace / ".git" / "config").write_text("[core]\n")
    text = _run(context, "sh", "-c", script).text
    expected = f"\n[it changed {told}: git, a shell or an editor obeys this; look at it first]\n"
    assert text == f"exit code 0\n{expected if told else ''}"
