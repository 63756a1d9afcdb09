"""Rules that the operator has written: which calls they are about, and what is to happen. Pure.

A rule looks at the tool, the requester's roles, the risk and the arguments: a path by the
directory that holds it, a command by its program and arguments, an address by its host. Each one
carries examples that it must and must not match; a rule that misses one is not loaded.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from localai.core.errors import Invalid
from localai.core.files import real
from localai.rbac.permissions import Risk, Role

Effect = Literal["allow", "ask", "deny"]

STRICTEST: tuple[Effect, ...] = ("deny", "ask", "allow")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_FIELDS = frozenset(
    {"name", "effect", "why", "tools", "roles", "risk", "arguments", "match", "no_match"}
    | {"approvers", "self_approval"}
)
_MOST_APPROVERS = 9
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True)
class Subject:
    """A call as rules see it; relative paths are looked up in `workspace`."""

    tool: str
    arguments: Mapping[str, Any]
    risk: Risk
    roles: tuple[str, ...]
    workspace: str


@dataclass(frozen=True)
class Within:
    """A path that lies in one of these directories once every link is followed."""

    directories: tuple[str, ...]

    def holds(self, value: Any, workspace: str) -> bool:
        """Tell whether the value is such a path."""
        if not isinstance(value, str) or "\0" in value:
            return False
        path = _real(value, workspace)
        return any(_contains(_real(each, workspace), path) for each in self.directories)

    @property
    def words(self) -> str:
        """As people read it."""
        return f"lies in {_listed(self.directories)}"


@dataclass(frozen=True)
class Command:
    """A list of words that begins with this program and these arguments; `more` may follow.

    `by_name` takes the program by its name wherever it lies: right for a rule that forbids, where
    one that allows takes the very word.
    """

    program: str
    arguments: tuple[str, ...]
    more: bool
    by_name: bool = False

    def holds(self, value: Any, _workspace: str) -> bool:
        """Tell whether the value is such a command."""
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            return False
        wanted = [self.program, *self.arguments]
        given = [value[0].rpartition("/")[2], *value[1:]] if self.by_name and value else value
        return given == wanted or (self.more and given[: len(wanted)] == wanted)

    @property
    def words(self) -> str:
        """As people read it."""
        end = ", and any arguments after them" if self.more else ", and nothing more"
        place = ", wherever the program lies" if self.by_name else ""
        return f"is {_listed((self.program, *self.arguments))}{place}{end}"


@dataclass(frozen=True)
class Host:
    """An http or https address at one of these hosts; `*.example.org` stands for all below it."""

    hosts: tuple[str, ...]

    def holds(self, value: Any, _workspace: str) -> bool:
        """Tell whether the value is such an address."""
        host = _host(value)
        return host is not None and any(_is_host(host, each) for each in self.hosts)

    @property
    def words(self) -> str:
        """As people read it."""
        return f"is an address at {_listed(self.hosts)}"


@dataclass(frozen=True)
class Equal:
    """One of these values."""

    values: tuple[Any, ...]

    def holds(self, value: Any, _workspace: str) -> bool:
        """Tell whether the value is one of them; 1 is not true."""
        return any(type(value) is type(each) and value == each for each in self.values)

    @property
    def words(self) -> str:
        """As people read it."""
        return f"is {_listed(self.values, ' or ')}"


Condition = Within | Command | Host | Equal


@dataclass(frozen=True)
class Rule:
    """What is to happen with calls that fit everything that is said; nothing said fits all.

    `takes` are the only arguments that a call may have, None for any. A rule that asks may want
    several different `approvers`, and none of them the one who asks.
    """

    name: str
    effect: Effect
    why: str = ""
    tools: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    risks: tuple[Risk, ...] = ()
    arguments: Mapping[str, Condition] = field(default_factory=dict)
    takes: tuple[str, ...] | None = None
    workspace: str = ""
    approvers: int = 1
    self_approval: bool = True

    def matches(self, call: Subject) -> bool:
        """Tell whether the rule is about this call."""
        return (
            (not self.tools or call.tool in self.tools)
            and (not self.roles or any(role in self.roles for role in call.roles))
            and (not self.risks or call.risk in self.risks)
            and (self.takes is None or call.arguments.keys() <= set(self.takes))
            and self.workspace in {"", call.workspace}
            and all(
                name in call.arguments and condition.holds(call.arguments[name], call.workspace)
                for name, condition in self.arguments.items()
            )
        )

    @property
    def words(self) -> tuple[str, ...]:
        """The whole rule in lines, as a person reads it before it counts."""
        about = [
            f"tools      {', '.join(self.tools) or 'every tool'}",
            f"roles      {', '.join(self.roles) or 'every role'}",
            f"risk       {', '.join(risk.word for risk in self.risks) or 'every risk'}",
        ]
        if self.effect == "allow":
            about[-1] += "; critical is never allowed by a rule"
        about += [f"argument   {name} {each.words}" for name, each in self.arguments.items()]
        free = [name for name in self.takes or () if name not in self.arguments]
        about += [f"argument   {name} is anything" for name in free]
        about += ["argument   no other one"] if self.takes is not None else []
        about += [f"workspace  {self.workspace!r}"] if self.workspace else []
        about += [f"approvers  {self.approvers} different people"] if self.approvers > 1 else []
        about += [] if self.self_approval else ["approvers  not the one who asks"]
        return (f"rule       {self.name}", f"effect     {self.effect}", *about, *self._because)

    @property
    def _because(self) -> tuple[str, ...]:
        return (f"why        {self.why}",) if self.why else ()


def strictest(rules: Iterable[Rule], call: Subject) -> Rule | None:
    """Of the rules about the call, the first of the strictest effect: deny, then ask, then allow.

    An allowing rule never covers a critical call.
    """
    found = [rule for rule in rules if rule.matches(call)]
    if call.risk is Risk.CRITICAL:
        found = [rule for rule in found if rule.effect != "allow"]
    return min(found, key=lambda rule: STRICTEST.index(rule.effect), default=None)


def read(text: str, tools: Mapping[str, Sequence[str]]) -> tuple[Rule, ...]:
    """The rules of a policy file; `tools` are the names of tools and of their arguments.

    Invalid names the rule and what is wrong with it: a field, a value, or an example.
    """
    try:
        document = tomllib.loads(text)
    except ValueError as error:
        raise Invalid(f"it is not TOML: {error}") from error
    _known(document, {"rule"}, "the file")
    rules: dict[str, Rule] = {}
    for number, table in enumerate(_tables(document.get("rule", []), "rule"), 1):
        rule = _rule(table, f"rule {number}", tools)
        if rule.name in rules:
            raise Invalid(f"two rules are called {rule.name}")
        rules[rule.name] = rule
    return tuple(rules.values())


def _rule(table: Mapping[str, Any], where: str, tools: Mapping[str, Sequence[str]]) -> Rule:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Invalid(f"{where}: its name is not made of a-z, 0-9, dots and hyphens")
    where = f"rule {name}"
    _known(table, _FIELDS, where)
    if table.get("effect") not in STRICTEST:
        raise Invalid(f"{where}: its effect is not one of {', '.join(STRICTEST)}")
    rule = Rule(
        name,
        table["effect"],
        _text(table.get("why", ""), f"{where}: why"),
        _among(table.get("tools", []), tools, f"{where}: tools"),
        _among(table.get("roles", []), [role.value for role in Role], f"{where}: roles"),
        tuple(
            Risk[word.upper()]
            for word in _among(table.get("risk", []), [r.word for r in Risk], f"{where}: risk")
        ),
        _conditions(table.get("arguments", {}), where, is_wide=table["effect"] != "allow"),
        approvers=_approvers(table.get("approvers", 1), where),
        self_approval=_truth(table.get("self_approval", True), f"{where}: self_approval"),
    )
    if rule.effect != "ask" and (rule.approvers > 1 or not rule.self_approval):
        raise Invalid(f"{where}: approvers and self_approval belong to a rule that asks")
    _check_arguments(rule, tools, where)
    for wanted in ("match", "no_match"):
        examples = _tables(table.get(wanted, []), f"{where}: {wanted}")
        if not examples:
            raise Invalid(f"{where}: it has no example under {wanted}")
        for each in examples:
            _prove(rule, each, f"{where}: {wanted}", is_match=wanted == "match")
    return rule


def _check_arguments(rule: Rule, tools: Mapping[str, Sequence[str]], where: str) -> None:
    for tool in rule.tools:
        for name in rule.arguments:
            if name not in tools[tool]:
                raise Invalid(f"{where}: {tool} takes no argument {name}")


def _prove(rule: Rule, example: Mapping[str, Any], where: str, *, is_match: bool) -> None:
    _known(example, {"tool", "arguments", "risk", "roles"}, where)
    risk = example.get("risk", (rule.risks or (Risk.HIGH,))[0].word)
    call = Subject(
        _text(example.get("tool", (rule.tools or ("",))[0]), f"{where}: tool"),
        _table(example.get("arguments", {}), f"{where}: arguments"),
        Risk[_among([risk], [each.word for each in Risk], f"{where}: risk")[0].upper()],
        _among(
            example.get("roles", list(rule.roles)),
            [role.value for role in Role],
            f"{where}: roles",
        ),
        "/workspace",
    )
    if rule.matches(call) != is_match:
        verb = "does not match" if is_match else "matches"
        raise Invalid(f"{where}: the rule {verb} {dict(example)}")


def _conditions(table: Any, where: str, *, is_wide: bool) -> dict[str, Condition]:
    found = {}
    for name, each in _table(table, f"{where}: arguments").items():
        place = f"{where}: arguments.{name}"
        found[name] = _condition(_table(each, place), place, is_wide=is_wide)
    return found


def _condition(table: Mapping[str, Any], where: str, *, is_wide: bool) -> Condition:
    if table.keys() == {"within"}:
        return Within(tuple(_texts(table["within"], where)))
    if table.keys() == {"host"}:
        return Host(tuple(_host_pattern(each, where) for each in _texts(table["host"], where)))
    if table.keys() == {"equals"} and isinstance(table["equals"], list) and table["equals"]:
        return Equal(tuple(table["equals"]))
    if "program" in table and table.keys() <= {"program", "arguments", "more"}:
        more = _truth(table.get("more", False), f"{where}: more")
        arguments = _texts(table.get("arguments", []), where, least=0)
        program = _text(table["program"], where)
        return Command(program, tuple(arguments), more, is_wide and "/" not in program)
    message = f"{where}: it is none of within, host, equals, or program with arguments and more"
    raise Invalid(message)


def _host_pattern(text: str, where: str) -> str:
    labels = text.removeprefix("*.").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise Invalid(f"{where}: {text!r} is not a host in small letters, or *. and a host")
    return text


def _host(value: Any) -> str | None:
    # What parsers read differently (user names, backslashes, control characters) is no address.
    if not isinstance(value, str) or re.search(r"[\s\\@\x00-\x1f\x7f-\U0010ffff]", value):
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.scheme in {"http", "https"} else None


def _is_host(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[2:]
    return host == pattern


def _real(path: str, workspace: str) -> str:
    return real(os.path.join(workspace, os.path.expanduser(path)))  # noqa: PTH111, PTH118 - text in, text out


def _contains(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _known(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    for name in table.keys() - set(names):
        raise Invalid(f"{where}: nothing is called {name!r}; there are {', '.join(sorted(names))}")


def _among(values: Any, known: Iterable[str], where: str) -> tuple[str, ...]:
    for value in _texts(values, where, least=0):
        if value not in known:
            raise Invalid(f"{where}: {value!r} is not one of {', '.join(known)}")
    return tuple(values)


def _texts(values: Any, where: str, *, least: int = 1) -> Sequence[str]:
    if not isinstance(values, list) or len(values) < least:
        raise Invalid(f"{where}: it is not a list of texts")
    return [_text(value, where) for value in values]


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{where}: {value!r} is not a text")
    return value


def _truth(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"{where} is not true or false")
    return value


def _approvers(value: Any, where: str) -> int:
    if type(value) is not int or not 1 <= value <= _MOST_APPROVERS:
        raise Invalid(f"{where}: approvers is not a number from 1 to {_MOST_APPROVERS}")
    return value


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Invalid(f"{where}: it is not a table")
    return value


def _tables(value: Any, where: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise Invalid(f"{where}: it is not a list of tables: [[{where.rpartition(' ')[2]}]]")
    return [_table(each, where) for each in value]


def _listed(values: Iterable[Any], between: str = ", ") -> str:
    return between.join(repr(value) for value in values)
