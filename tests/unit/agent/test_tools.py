"""Tools: schemas from signatures, strict arguments, names."""

from typing import Annotated, Any

import pytest

from localai.agent.builtin import registry
from localai.agent.sandbox.tiers import Sandbox
from localai.agent.tools import ByItself, Context, Registry, Tool, ToolResult
from localai.core.errors import Invalid, NotFound
from localai.infer.library import STARTER_TOOLS
from localai.rbac.permissions import Risk


def everything(
    context: Context,
    text: Annotated[str, "some words"],
    count: int,
    share: float,
    flag: bool,
    items: list[str],
    maybe: str | None = None,
    grid: list[list[int]] | None = None,
) -> ToolResult:
    """Take one of each.

    More that a model is not told.
    """
    return ToolResult(True, f"{text}{count}{share}{flag}{items}{maybe}{grid}", "done")


def _tool(**changes: Any) -> Tool:
    plain = {
        "name": "everything",
        "function": everything,
        "permission": "tools:run",
        "risk": Risk.MEDIUM,
        "confinement": ByItself("none"),
    }
    return Tool(**{**plain, **changes})


_GOOD = {"text": "a", "count": 1, "share": 0.5, "flag": True, "items": ["x"]}


def test_schema_follows_the_signature() -> None:
    """Names, types, descriptions; what has a default is optional; nothing else is taken."""
    assert _tool().schema == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "some words"},
            "count": {"type": "integer"},
            "share": {"type": "number"},
            "flag": {"type": "boolean"},
            "items": {"type": "array", "items": {"type": "string"}},
            "maybe": {"type": "string", "nullable": True},
            "grid": {
                "type": "array",
                "items": {"type": "array", "items": {"type": "integer"}},
                "nullable": True,
            },
        },
        "required": ["text", "count", "share", "flag", "items"],
        "additionalProperties": False,
    }


def test_a_model_is_told_the_first_line_of_the_docstring() -> None:
    """The rest is for readers of the code."""
    spec = _tool().spec
    assert (spec.name, spec.description) == ("everything", "Take one of each.")
    assert spec.parameters == _tool().schema


def test_schema_digest_covers_name_description_and_parameters() -> None:
    """A tool that is described otherwise is another tool."""
    assert _tool().schema_sha256 != _tool(name="other").schema_sha256
    assert _tool().schema_sha256 == _tool(risk=Risk.LOW).schema_sha256


def test_a_type_that_json_has_not_is_a_mistake_of_ours() -> None:
    """It is told when the tool is described, not when a model calls it."""

    def odd(context: Context, when: complex) -> ToolResult:
        return ToolResult(True, str(when), "")

    with pytest.raises(TypeError, match="cannot take"):
        _ = _tool(function=odd).schema


@pytest.mark.parametrize("extra", [{}, {"maybe": None}, {"maybe": "x"}, {"grid": [[1], []]}])
@pytest.mark.parametrize("share", [1, 0.5, -2])
def test_arguments_that_fit_are_taken(extra: dict[str, Any], share: float) -> None:
    """A whole number is a number too."""
    _tool().check({**_GOOD, "share": share, **extra})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": 1}, "text is not string"),
        ({"text": None}, "text is not string"),
        ({"count": 1.5}, "count is not integer"),
        ({"count": True}, "count is not integer"),
        ({"count": "1"}, "count is not integer"),
        ({"share": "1"}, "share is not number"),
        ({"share": False}, "share is not number"),
        ({"flag": 1}, "flag is not boolean"),
        ({"items": "abc"}, "items is not a list of string"),
        ({"items": ["a", 1]}, "items is not a list of string"),
        ({"grid": [[1], ["a"]]}, "grid is not a list of array"),
        ({"maybe": 3}, "maybe is not string"),
        ({"more": 1}, "'more' is not an argument"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes: dict[str, Any], words: str) -> None:
    """The message names each, and the hint says what is expected."""
    with pytest.raises(Invalid, match=words) as caught:
        _tool().check({**_GOOD, **changes})
    assert caught.value.hint == (
        'it takes {"text": string, "count": integer, "share": number, "flag": boolean, '
        '"items": a list of string, "maybe"?: string, "grid"?: a list of array}'
    )


def test_missing_arguments_are_named() -> None:
    """All at once, not one by one."""
    with pytest.raises(Invalid, match="count is missing; flag is missing"):
        _tool().check({"text": "a", "share": 1, "items": []})


def test_a_call_is_never_less_risky_than_its_tool(context: Context) -> None:
    """What looks at the arguments can only raise the risk."""
    lower = _tool(raised_risk=lambda *_: Risk.LOW)
    higher = _tool(raised_risk=lambda *_: Risk.CRITICAL)
    assert _tool().risk_of(context, {}) == lower.risk_of(context, {}) == Risk.MEDIUM
    assert higher.risk_of(context, {}) == Risk.CRITICAL


def test_a_tool_without_facts_states_none(context: Context) -> None:
    """Not every tool rests on files or programs."""
    assert _tool().facts(context, {}).files == ()


@pytest.mark.parametrize(("typed", "near"), [("write_fil", "write_file"), ("zzz", "read_file")])
def test_an_unknown_tool_lists_near_names(typed: str, near: str) -> None:
    """A slip of a model or a person is easily mended."""
    with pytest.raises(NotFound, match=near):
        registry().get(typed)


def test_the_tools_that_ship() -> None:
    """Names, arguments and risks that scripts and approvals rely on."""
    told = {
        tool.name: (tool.risk.word, tool.permission, list(tool.schema["properties"]))
        for tool in registry().all()
    }
    assert told == {
        "read_file": ("low", "files:read", ["path"]),
        "list_files": ("low", "files:read", ["path"]),
        "write_file": ("high", "files:write", ["path", "content"]),
        "run_command": ("high", "commands:run", ["argv", "cwd"]),
        "run_python": ("high", "commands:run", ["code"]),
        "git_status": ("low", "files:read", []),
        "git_log": ("low", "files:read", ["count", "path"]),
        "git_diff": ("low", "files:read", ["path", "staged", "revision"]),
        "git_add": ("medium", "files:write", ["paths"]),
        "git_commit": ("medium", "files:write", ["message"]),
        "edit_file": ("high", "files:write", ["path", "old", "new", "all"]),
        "search_files": ("low", "files:read", ["pattern", "path", "glob", "ignore_case"]),
    }


def test_the_tools_that_the_starter_learned_are_as_it_learned_them() -> None:
    """Told to the last character as they were in its training."""
    told = {tool.name: tool.schema_sha256[:16] for tool in map(registry().get, STARTER_TOOLS)}
    assert told == {
        "read_file": "ea3397ed646d5f9e",
        "list_files": "bd4f509ec601bc44",
        "write_file": "afca96e63af4435f",
        "run_command": "b8b637f43258f2a7",
    }


def test_what_runs_programs_is_unconfined_where_there_is_no_sandbox() -> None:
    """And says so."""
    tools = registry(Sandbox(enabled=False)).all()
    unconfined = {tool.name for tool in tools if not tool.confinement.is_confined}
    assert unconfined == {
        *("run_command", "run_python"),
        *("git_status", "git_log", "git_diff", "git_add", "git_commit"),
    }


def test_registry_keeps_its_order() -> None:
    """A model reads the tools in the order in which we wrote them."""
    one, two = _tool(name="b"), _tool(name="a")
    assert Registry([one, two]).all() == (one, two)
