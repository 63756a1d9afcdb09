"""Tools that installed packages bring."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localai.agent import own_tools
from localai.agent.builtin import registry
from localai.agent.tools import Context

_TOOL = '''
from localai.agent.tools import ByItself, Context, Tool, ToolResult
from localai.rbac.permissions import Risk

def roll(context: Context, sides: int) -> ToolResult:
    """Roll a die."""
    return ToolResult(True, "4", "4")

def made(name="roll_die", permission="tools:run", function=roll):
    return Tool(name, function, permission, Risk.LOW, ByItself("it only thinks"))

TOOL = made()
def silent(context: Context) -> ToolResult:
    return ToolResult(True, "", "")
def typed(context: Context, what: dict) -> ToolResult:
    """Take what has no schema."""
def broken():
    raise RuntimeError("no dice \\x1b[2J here")
def several():
    yield made()
    yield made("roll_dice")
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with entry points where Python finds packages, as pip does."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(package: str, *values: str) -> None:
        module = f"dice_{package}"
        (tmp_path / f"{module}.py").write_text(_TOOL)
        information = tmp_path / f"{module}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n"
        )
        lines = "".join(f"entry{n} = {module}:{value}\n" for n, value in enumerate(values))
        (information / "entry_points.txt").write_text(f"[localai.tools]\n{lines}")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return put


def _names(own: own_tools.Own) -> list[str]:
    return [tool.name for tool in own.tools]


@pytest.mark.parametrize(
    ("value", "names"),
    [("TOOL", ["roll_die"]), ("made", ["roll_die"]), ("several", ["roll_die", "roll_dice"])],
)
def test_an_entry_point_is_a_tool_or_makes_some(
    install: Install, workspace: Path, value: str, names: list[str]
) -> None:
    """One, or a function that returns one or several."""
    install("casino", value)
    own = own_tools.load(())
    assert (_names(own), own.skipped) == (names, ())
    assert own.tools[0].function(Context(workspace), 6).text == "4"


def test_a_person_is_told_whose_word_its_confinement_is(install: Install) -> None:
    """Nobody has checked it."""
    install("casino", "TOOL")
    (tool,) = own_tools.load(()).tools
    assert tool.confinement.words == "as its package casino says: it only thinks"
    assert tool.confinement.is_confined


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("none", "has no attribute 'none'"),
        ("broken", "no dice \\u{001B}[2J here"),
        ("roll", "missing 2 required positional arguments"),
        ("Risk", "missing"),
        ("__name__", "str is not a Tool"),
        ("__dict__", "str is not a Tool"),
    ],
)
def test_what_does_not_load_is_named_and_left_out(install: Install, value: str, why: str) -> None:
    """And takes no other one with it."""
    install("casino", value, "TOOL")
    own = own_tools.load(())
    assert _names(own) == ["roll_die"]
    (line,) = own.skipped
    assert line.startswith("entry0 of the package casino is left out: ")
    assert why in line


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("name='read_file'", "there is a tool read_file already"),
        ("name='Roll die'", "'Roll die' is no name"),
        ("permission='everything'", "needs 'everything', which is no permission"),
        ("function=silent", "has no docstring"),
        ("function=typed", "a tool cannot take a <class 'dict'>"),
    ],
)
def test_a_tool_that_cannot_work_is_left_out(
    install: Install, monkeypatch: pytest.MonkeyPatch, change: str, why: str
) -> None:
    """Before anybody relies on it."""
    monkeypatch.setitem(globals(), "_TOOL", f"{_TOOL}\nTOOL = made({change})\n")
    install("casino", "TOOL")
    own = own_tools.load({tool.name for tool in registry().all()})
    assert own.tools == ()
    assert why in own.skipped[0]


def test_the_first_package_by_its_name_keeps_a_name(install: Install) -> None:
    """Whatever the order in which they were installed."""
    install("zebra", "TOOL")
    install("ape", "TOOL")
    own = own_tools.load(())
    assert own.tools[0].confinement.words.startswith("as its package ape says")
    assert own.skipped == (
        "entry0 of the package zebra is left out: there is a tool roll_die already",
    )


def test_a_package_does_not_bring_a_tool_twice(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is not known which one was meant."""
    monkeypatch.setitem(globals(), "_TOOL", f"{_TOOL}\nTWICE = [TOOL, TOOL]\n")
    install("casino", "TWICE")
    assert "it brings two tools roll_die" in own_tools.load(()).skipped[0]
