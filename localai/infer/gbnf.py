"""JSON schemas in GBNF, the notation of llama.cpp's grammars; pure.

A schema may be a stranger's. Whatever it holds, the grammar parses and stays small, and what is
not understood is any JSON, of numbers that a computer can hold. Kept to are types, required
properties, enumerations and unions. Lengths, ranges and patterns are not: a grammar would cut a
value short in silence, where the tool's own check says what is wrong with it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeGuard
from urllib.parse import unquote

from localai.infer.toolcalls import CLOSE

# What one tool may take up; beyond it, any JSON.
_NODES: Final = 1000
_DEPTH: Final = 32
_MEMBERS: Final = 256
_UNROLLED: Final = 2
_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Schema = Mapping[str, object]

_JSON: Final = r"""
s ::= (" " | "\n" "\n"? [ \t]{0,20})?
value ::= object | array | string | number | boolean | null
object ::= "{" s (string s ":" s value s ("," s string s ":" s value s)*)? "}"
array ::= "[" s (value s ("," s value s)*)? "]"
number ::= integer ("." [0-9]+)? ([eE] [-+]? [0-9]{1,2})?
integer ::= "-"? ("0" | [1-9] [0-9]{0,30})
boolean ::= "true" | "false"
null ::= "null"
escape ::= "\\" (["\\/bfnrt] | "u" (unit | high "\\u" low))
unit ::= [0-9a-ce-fA-CE-F] hex hex hex | [dD] [0-7] hex hex
high ::= [dD] [89abAB] hex hex
low ::= [dD] [c-fC-F] hex hex
hex ::= [0-9a-fA-F]
string ::= "\"" in-0
"""


class Rules:
    """The rules of a grammar, each body once; JSON's own come after them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def add(self, body: str) -> str:
        """The name of the rule that is `body`."""
        return self._names.setdefault(body, f"r{len(self._names)}")

    def __str__(self) -> str:
        lines = [f"{name} ::= {body}" for body, name in self._names.items()]
        return "\n".join([*lines, _JSON.strip(), *_insides()])


def literal(text: str) -> str:
    """What stands for exactly `text`."""
    return f'"{"".join(map(_escaped, text))}"'


def spelled(value: object) -> str:
    """What stands for the JSON of `value`, without a tag that would end the call around it."""
    text = json.dumps(value, ensure_ascii=False).replace(CLOSE, CLOSE.replace("/", r"\/"))
    # Half of a pair has no UTF-8.
    return literal(_SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text))


def arguments(schema: Schema, rules: Rules) -> str:
    """What stands for the arguments of a tool, an object that `schema` describes."""
    translation = _Translation(schema, rules, knows_nullable=True)
    return translation.visit({**_without(schema, "nullable"), "type": "object"})


def described(schema: Schema, rules: Rules) -> str:
    """What stands for a JSON value that `schema` describes."""
    return _Translation(schema, rules).visit(schema)


class _Translation:
    """One schema on its way into `rules`; references are unrolled.

    `knows_nullable`: OpenAPI's word, which tools use and JSON Schema does not have, counts.
    """

    def __init__(self, root: Schema, rules: Rules, *, knows_nullable: bool = False) -> None:
        self._root = root
        self._rules = rules
        self._knows_nullable = knows_nullable
        self._left = _NODES
        self._open: list[str] = []

    def visit(self, schema: object, depth: int = 0) -> str:
        """A rule's name or a literal that stands for what `schema` allows."""
        self._left -= 1
        if not _is_schema(schema):
            return "value"
        if self._left < 0 or depth > _DEPTH:
            return _loosely(schema)
        if not self._knows_nullable:
            schema = _without(schema, "nullable")
        if "$ref" in schema:
            return self._reference(schema, depth)
        if _list(schema.get("allOf")):
            return self.visit(self._whole(schema), depth + 1)
        if several := _alternatives(schema):
            return self._one_of([self.visit(each, depth + 1) for each in several])
        return self._single(schema, depth)

    def _single(self, schema: Schema, depth: int) -> str:
        kind = schema.get("type")
        if kind == "object" or (kind is None and schema.keys() & {"properties", "required"}):
            return self._object(schema, depth)
        values = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
        if 0 < len(values) <= _MEMBERS:
            return self._one_of([spelled(value) for value in values])
        if "items" in schema and kind in ("array", None):
            item = self.visit(schema["items"], depth + 1)
            return self._rules.add(f'"[" s ({item} s ("," s {item} s)*)? "]"')
        return _loosely(schema)

    def _one_of(self, parts: Sequence[str]) -> str:
        return self._rules.add(" | ".join(dict.fromkeys(parts)))

    def _object(self, schema: Schema, depth: int) -> str:
        """The properties in their order; a member that is not among them is not allowed."""
        required = _list(schema.get("required"))
        named = dict.fromkeys(name for name in required if isinstance(name, str))
        properties = {**_mapping(schema.get("properties"))}
        properties |= {name: {} for name in named if name not in properties}
        if not properties and "patternProperties" in schema:
            return "object"
        if not properties:
            return self._map(schema.get("additionalProperties"), depth)
        if len(properties) > _MEMBERS:
            return "object"
        # What may follow a member, and what may come where there is none yet.
        after = first = '"}"'
        for name, value in reversed(properties.items()):
            member = f'{spelled(name)} s ":" s {self.visit(value, depth + 1)} s'
            firsts, afters = [f"{member} {after}"], [f'"," s {member} {after}']
            if name not in named:
                firsts.append(first)
                afters.append(after)
            first, after = self._one_of(firsts), self._one_of(afters)
        return self._rules.add(f'"{{" s {first}')

    def _map(self, extra: object, depth: int) -> str:
        if extra is False:
            return self._rules.add('"{" s "}"')
        if not _mapping(extra):
            return "object"
        member = f'string s ":" s {self.visit(extra, depth + 1)} s'
        return self._rules.add(f'"{{" s ({member} ("," s {member})*)? "}}"')

    def _reference(self, schema: Schema, depth: int) -> str:
        rest, pointer = _without(schema, "$ref"), str(schema["$ref"])
        if self._open.count(pointer) >= _UNROLLED:
            return _loosely(rest)
        self._open.append(pointer)
        found = self.visit(_merged(rest, self._at(pointer)), depth + 1)
        self._open.pop()
        return found

    def _whole(self, schema: Schema) -> Schema:
        whole = _without(schema, "allOf")
        for part in _list(schema.get("allOf")):
            pointer = _mapping(part).get("$ref")
            whole = _merged(whole, part if pointer is None else self._at(str(pointer)))
        return whole

    def _at(self, pointer: str) -> object:
        """The part of the schema itself at `pointer`; from elsewhere nothing is fetched."""
        start, *path = pointer.split("/")
        found: object = self._root if start == "#" else {}
        for step in path:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            found = _mapping(found).get(name)
        return found


def _alternatives(schema: Schema) -> list[Schema]:
    """The schemas of which one must hold, where it is not `schema` alone."""
    for word in ("anyOf", "oneOf"):
        if parts := _list(schema.get(word)):
            return [_merged(_without(schema, word), part) for part in parts]
    if kinds := _list(schema.get("type")):
        return [{**schema, "type": kind} for kind in kinds]
    if schema.get("nullable") is True:
        return [_without(schema, "nullable"), {"type": "null"}]
    return []


def _merged(base: Schema, extra: object) -> Schema:
    """A schema that asks for what both do; where they disagree on a type, `base` has it."""
    more = _mapping(extra)
    found = {**base, **more}
    if isinstance(base.get("type"), str):
        found["type"] = base["type"]
    if "properties" in base and "properties" in more:
        found["properties"] = {**_mapping(base["properties"]), **_mapping(more["properties"])}
    if "required" in base and "required" in more:
        found["required"] = [*_list(base["required"]), *_list(more["required"])]
    return found


def _loosely(schema: Schema) -> str:
    """Anything of the schema's type: the rules of JSON are named as its types are."""
    kind = schema.get("type")
    return kind if isinstance(kind, str) and kind in _TYPES else "value"


def _without(schema: Schema, word: str) -> Schema:
    return {name: value for name, value in schema.items() if name != word}


def _is_schema(value: object) -> TypeGuard[Schema]:
    return isinstance(value, Mapping)


def _mapping(value: object) -> Schema:
    return value if _is_schema(value) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if " " <= char <= "~" else f"\\U{ord(char):08X}"


def _insides() -> list[str]:
    """What follows a string's opening quote, for each beginning of the tag that was just written.

    The tag, whole, would end the call in the middle of the string; its `/` can be escaped.
    """
    return [
        f'in-{n} ::= "\\"" | [^"\\\\<{_class(char)}\\x00-\\x1F] in-0 | escape in-0 | "<" in-1'
        + (f' | "{char}" in-{n + 1}' if 0 < n < len(CLOSE) - 1 else "")
        for n, char in enumerate(CLOSE)
    ]


def _class(char: str) -> str:
    return "" if char == "<" else char
