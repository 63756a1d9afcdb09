"""Tools: what each is called, takes, needs and risks. Schemas come from signatures.

A tool's function takes a `Context` and then its arguments, and returns a `ToolResult`. What it
can foresee going wrong is a result that says so; the model reads it.
"""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol

from localai.approvals.action import Facts
from localai.core.canonical import digest
from localai.core.errors import Invalid, NotFound
from localai.infer.engine import ToolSpec
from localai.rbac.permissions import Actor, Risk

_FEW = 5  # names of tools in an error
_TYPES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True)
class Context:
    """Where a tool works: its workspace, what it must never touch, the facts it was granted on.

    The workspace is its real path: a link that is put above it later leads nowhere.
    `actor` is for whom it works; None while a call is only stated or judged.
    """

    workspace: Path
    protected: tuple[Path, ...] = ()
    facts: Facts = field(default_factory=Facts)
    actor: Actor | None = None


@dataclass(frozen=True)
class ToolResult:
    """What a tool has to say; `summary` is one line for the record, `text` is for the model.

    What `is_foreign` was written by strangers, such as a page of the web: whoever reads it may be
    led astray, so what a model asks for afterwards has a higher risk.
    """

    ok: bool
    text: str
    summary: str
    is_foreign: bool = False


class Confinement(Protocol):
    """What keeps a tool to its work; looked at when a call is stated, not before."""

    @property
    def words(self) -> str:
        """What holds it, as a person reads it in a request: a part of what is approved."""

    @property
    def is_confined(self) -> bool:
        """Whether anything does."""


@dataclass(frozen=True)
class ByItself:
    """A tool of our own, which does nothing but what its words say."""

    words: str
    is_confined: bool = True


def _no_facts(_context: Context, _arguments: Mapping[str, Any]) -> Facts:
    return Facts()


@dataclass(frozen=True)
class Told:
    """What somebody else says of a tool, in the place of a signature of ours.

    `sha256` is the digest of all of it. `misfit` says what is wrong with arguments, if anything.
    """

    description: str
    parameters: Mapping[str, Any]
    sha256: str
    misfit: Callable[[Mapping[str, Any]], str | None]


@dataclass(frozen=True)
class Tool:
    """One tool; `raised_risk` can only lift a call above `risk`.

    `left_open` are the arguments that may be anything where a person allows a call for a while.
    What is `told` of it stands for what its function would say.
    """

    name: str
    function: Callable[..., ToolResult]
    permission: str
    risk: Risk
    confinement: Confinement
    raised_risk: Callable[[Context, Mapping[str, Any]], Risk] | None = None
    facts: Callable[[Context, Mapping[str, Any]], Facts] = _no_facts
    left_open: tuple[str, ...] = ()
    told: Told | None = None

    @property
    def description(self) -> str:
        """The first line of the function's docstring, or what is told."""
        if self.told:
            return self.told.description
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        return dict(self.told.parameters) if self.told else _schema(self.function)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the arguments, as far as the schema names them."""
        properties = self.schema.get("properties")
        return tuple(properties) if isinstance(properties, dict) else ()

    @cached_property
    def schema_sha256(self) -> str:
        """The digest of all that a model is told about the tool."""
        if self.told:
            return self.told.sha256
        told = {"name": self.name, "description": self.description, "parameters": self.schema}
        return digest("localai-tool-v1", told)

    @property
    def spec(self) -> ToolSpec:
        """What a model is told."""
        return ToolSpec(self.name, self.description, self.schema)

    def risk_of(self, context: Context, arguments: Mapping[str, Any]) -> Risk:
        """The risk of this call; arguments and where they lead can raise it."""
        raised = self.raised_risk(context, arguments) if self.raised_risk else self.risk
        return max(self.risk, raised)

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise Invalid, naming what is expected, unless the arguments fit the schema."""
        if self.told:
            if (misfit := self.told.misfit(arguments)) is not None:
                raise Invalid(f"{self.name}: {misfit}", hint=f"ai tools show {self.name}")
            return
        properties = self.schema["properties"]
        required = set(self.schema["required"])
        wrong = [f"{name} is missing" for name in sorted(required - arguments.keys())]
        wrong += [f"{name!r} is not an argument" for name in arguments if name not in properties]
        wrong += [
            f"{name} is not {_expected(properties[name])}"
            for name, value in arguments.items()
            if name in properties and not _fits(value, properties[name])
        ]
        if wrong:
            message = f"{self.name}: {'; '.join(wrong)}"
            raise Invalid(message, hint=f"it takes {self._usage()}")

    def _usage(self) -> str:
        required = self.schema["required"]
        told = [
            f'"{name}"{"" if name in required else "?"}: {_expected(kind)}'
            for name, kind in self.schema["properties"].items()
        ]
        return "{" + ", ".join(told) + "}"


class Registry:
    """The tools there are, by name; `skipped` has a line about each that could not be loaded."""

    def __init__(self, tools: Iterable[Tool], skipped: Sequence[str] = ()) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self.skipped = tuple(skipped)

    def get(self, name: str) -> Tool:
        """The tool of that name; NotFound lists the nearest names."""
        if name in self._tools:
            return self._tools[name]
        near = difflib.get_close_matches(name, self._tools, n=3)
        told = f"did you mean {', '.join(near)}?" if near else self._some
        raise NotFound(f"no tool {name!r}; {told}", hint="ai tools list")

    def find(self, name: str) -> Tool | None:
        """The tool of that name, if there is one."""
        return self._tools.get(name)

    @property
    def _some(self) -> str:
        names = list(self._tools)
        more = " and others" if len(names) > _FEW else ""
        return f"there are {', '.join(names[:_FEW])}{more}"

    def all(self) -> tuple[Tool, ...]:
        """Every tool, in the order of registration."""
        return tuple(self._tools.values())


def _schema(function: Callable[..., ToolResult]) -> dict[str, Any]:
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return {
        "type": "object",
        "properties": {each.name: _described(hints[each.name]) for each in parameters},
        "required": [each.name for each in parameters if each.default is each.empty],
        "additionalProperties": False,
    }


def _described(hint: Any) -> dict[str, Any]:
    if typing.get_origin(hint) is Annotated:
        kind, words = typing.get_args(hint)
        return {**_kind(kind), "description": words}
    return _kind(hint)


def _kind(hint: Any) -> dict[str, Any]:
    if hint in _TYPES:
        return {"type": _TYPES[hint]}
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return {"type": "array", "items": _kind(inner[0])}
    if origin in {types.UnionType, typing.Union} and inner[1:] == (types.NoneType,):
        return {**_kind(inner[0]), "nullable": True}
    message = f"a tool cannot take a {hint}"
    raise TypeError(message)


def _fits(value: Any, kind: Mapping[str, Any]) -> bool:
    if value is None:
        return bool(kind.get("nullable"))
    match kind["type"]:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return isinstance(value, list) and all(_fits(each, kind["items"]) for each in value)


def _expected(kind: Mapping[str, Any]) -> str:
    if kind["type"] == "array":
        return f"a list of {kind['items']['type']}"
    return str(kind["type"])
