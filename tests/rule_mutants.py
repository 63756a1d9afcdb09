"""Every small mistake that somebody could make in a rule, as a rule; for tests."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import promql_parser as promql

_COMPARED = {">": ("<", ">="), "<": (">", "<="), "==": ("!=",)}
_JOINED = {"and": ("or", "unless"), "or": ("and", "unless"), "unless": ("and", "or")}
_RECKONED = {"-": ("+",), "+": ("-",), "/": ("*",)}
_TURNED = {**_COMPARED, **_JOINED, **_RECKONED}
_FLIPPED = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


@dataclass(frozen=True)
class Mutant:
    """A rule with one mistake, and what it is."""

    mistake: str
    rule: dict[str, Any]


def mutants(rule: dict[str, Any]) -> Iterator[Mutant]:
    """All of them, each once."""
    for mistake, text in _expressions(promql.parse(rule["expr"])):
        if not _is_harmless(mistake, text):
            yield Mutant(mistake, {**rule, "expr": text})
    if held := rule.get("for"):
        length = promql.parse_duration(held)
        for other in (length / 2, length * 2, timedelta(0)):
            changed = promql.display_duration(other) if other else "0s"
            yield Mutant(f"for {changed}", {**rule, "for": changed})
    for part in ("labels", "annotations"):
        for key, value in rule.get(part, {}).items():
            wrong = copy.deepcopy(rule)
            wrong[part][key] = f"not {value}"
            yield Mutant(f"another {key}", wrong)


def _is_harmless(mistake: str, text: str) -> bool:
    """Whether the rule still says the same.

    `and` joins series of equal labels: the others still choose whose they are. Where nothing is
    ok, all of what was done is what failed.
    """
    return (mistake == "without sloth_id" and " and " in text) or (
        mistake == "without result" and 'result="ok"' in text
    )


def names(expression: str) -> set[str]:
    """The metrics that an expression reads, by name; a pattern is given as it stands."""
    return {_name(each) for each in selectors(expression)}


def selectors(expression: str) -> list[Any]:
    """The selectors of an expression."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(promql.parse(expression), visit)
    return found


def _name(selector: Any) -> str:
    named = [each.value for each in selector.matchers.matchers if each.name == "__name__"]
    return str(selector.name or named[0])


def _expressions(node: Any) -> Iterator[tuple[str, str]]:
    """Each wrong version of a node, and what is wrong about it."""
    yield from _KINDS[type(node)](node)


def _number(node: Any) -> Iterator[tuple[str, str]]:
    for wrong in (node.val * 0.8, node.val * 1.2) if node.val else (-1.0, 1.0):
        yield f"{node} is {wrong:g}", f"{wrong:g}"


def _vector(node: Any) -> Iterator[tuple[str, str]]:
    matchers = node.matchers.matchers
    for at, each in enumerate(matchers):
        before, after = matchers[:at], matchers[at + 1 :]
        yield f"without {each.name}", _selector(node.name, [*before, *after])
        wrong = _FLIPPED[_sign(each)]
        flipped = f'{each.name}{wrong}"{each.value}"'
        yield f"{each.name}{wrong}", _selector(node.name, [*before, flipped, *after])


def _sign(matcher: Any) -> str:
    return str(matcher).removeprefix(matcher.name).removesuffix(f'"{matcher.value}"')


def _selector(name: str | None, matchers: list[Any]) -> str:
    return f"{name or ''}{{{','.join(map(str, matchers))}}}"


def _matrix(node: Any) -> Iterator[tuple[str, str]]:
    length = promql.display_duration(node.range)
    for mistake, text in _vector(node.vector_selector):
        yield mistake, f"{text}[{length}]"
    for wrong in (node.range / 2, node.range * 2):
        changed = promql.display_duration(wrong)
        yield f"[{length}] is [{changed}]", f"{node.vector_selector}[{changed}]"


def _call(node: Any) -> Iterator[tuple[str, str]]:
    given = [str(each) for each in node.args]
    for at, each in enumerate(node.args):
        for mistake, text in _expressions(each):
            arguments = [*given[:at], text, *given[at + 1 :]]
            yield mistake, f"{node.func.name}({', '.join(arguments)})"


def _aggregate(node: Any) -> Iterator[tuple[str, str]]:
    labels = node.modifier.labels if node.modifier else []
    word = "by" if labels and node.modifier.type == promql.AggModifierType.By else "without"
    for mistake, text in _expressions(node.expr):
        yield mistake, f"{node.op}{_grouped(word, labels)} ({text})"
    for label in labels:
        rest = [each for each in labels if each != label]
        yield f"not {word} {label}", f"{node.op} {word} ({', '.join(rest)}) ({node.expr})"


def _grouped(word: str, labels: list[str]) -> str:
    return f" {word} ({', '.join(labels)})" if labels else ""


def _binary(node: Any) -> Iterator[tuple[str, str]]:
    sign = str(node.op)
    for wrong in _TURNED.get(sign, ()):
        if wrong != ">=" or _can_meet(node):
            yield f"{sign} is {wrong}", _pair(node, node.lhs, wrong, node.rhs)
    if sign in _JOINED:
        yield f"nothing after {sign}", str(node.lhs)
        yield f"nothing before {sign}", str(node.rhs)
    for mistake, text in _expressions(node.lhs):
        yield mistake, _pair(node, text, sign, node.rhs)
    for mistake, text in _expressions(node.rhs):
        yield mistake, _pair(node, node.lhs, sign, text)


def _can_meet(node: Any) -> bool:
    """Whether what is compared can be the limit itself: increase() lands beside it, except at 0."""
    return "increase(" not in str(node.lhs) or str(node.rhs) == "0"


def _pair(node: Any, left: Any, sign: str, right: Any) -> str:
    matching = node.modifier if node.modifier and node.modifier.matching else ""
    return f"({left}) {sign} {matching} ({right})"


def _paren(node: Any) -> Iterator[tuple[str, str]]:
    for mistake, text in _expressions(node.expr):
        yield mistake, f"({text})"


_KINDS = {
    promql.NumberLiteral: _number,
    promql.VectorSelector: _vector,
    promql.MatrixSelector: _matrix,
    promql.Call: _call,
    promql.AggregateExpr: _aggregate,
    promql.BinaryExpr: _binary,
    promql.ParenExpr: _paren,
}
