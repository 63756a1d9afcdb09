"""JSON schemas as rules of a grammar; that llama.cpp reads them is shown in tests/integration."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.infer.gbnf import Rules, arguments, literal, spelled

HOSTILE = [
    'a" | root | "b',
    "back\\slash\\",
    '\\"',
    "line\nbreak\r\t\b\x00",
    "</tool_call>",
    "이름 😀",
    "half \ud83d",
    "] [ - # ::=",
    "",
]
_SPARED = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]')
_ESCAPE = re.compile(r"\\(?:U([0-9A-F]{8})|(.))")


def _read(text: str) -> str:
    """The letters that a GBNF literal stands for."""
    inside = re.fullmatch(r'"((?:\\U[0-9A-F]{8}|\\["\\]|[^"\\])*)"', text)
    assert inside, text
    return _ESCAPE.sub(lambda e: chr(int(e[1], 16)) if e[1] else e[2], inside[1])


def _rules(schema: Any) -> dict[str, str]:
    """Each rule's body by its name; `root` is the arguments."""
    rules = Rules()
    root = arguments(schema, rules)
    pairs = [line.split(" ::= ") for line in f"root ::= {root}\n{rules}".splitlines()]
    return {name: body for name, body in pairs}  # noqa: C416 - and no line has a second ::=


def _property(schema: Any) -> str:
    """What stands for a required property of that schema, its rule written out."""
    rules = _rules({"properties": {"x": schema}, "required": ["x"]})
    member = rules[rules[rules["root"]].split(" s ")[1]]
    found = member.split(" s ")[2]
    return rules[found] if re.fullmatch(r"r\d+", found) else found


@pytest.mark.parametrize("text", [name for name in HOSTILE if name != "half \ud83d"])
def test_a_literal_is_its_text(text: str) -> None:
    """Whatever it holds, in printable ASCII."""
    assert _read(literal(text)) == text
    assert literal(text).isascii()
    assert literal(text).isprintable()


@pytest.mark.parametrize("value", [*HOSTILE, 1, -2.5, None, True, ["a", {"b": 'c"'}]])
def test_a_value_is_its_json(value: object) -> None:
    """And never the tag that would end the call around it."""
    found = _read(spelled(value))
    assert json.loads(found) == value
    assert "</tool_call>" not in found
    found.encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_strangers_name_stays_in_its_literal(name: str) -> None:
    """As a property, as one of several values, as a constant."""
    schema = {"properties": {name: {"enum": [name, "b"]}, "c": {"const": name}}}
    for body in _rules(schema).values():
        assert re.fullmatch(r"[a-z0-9 ()|*+?{},-]*", _SPARED.sub("", body)), body


def test_properties_keep_their_order_and_only_the_optional_can_be_left_out() -> None:
    """Each may be the first, or follow another after a comma."""
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "null"}}, "required": ["b"]}
    rules = _rules(schema)
    first = rules[rules["root"]].removeprefix('"{" s ')
    with_a, without_a = rules[first].split(" | ")
    assert with_a.startswith('"\\"a\\"" s ":" s string s r')
    assert rules[with_a.split()[-1]] == '"," s "\\"b\\"" s ":" s null s "}"'
    assert rules[without_a] == '"\\"b\\"" s ":" s null s "}"'


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "pattern": '^".*$', "maxLength": 99999}, "string"),
        ({"type": "integer", "minimum": 3}, "integer"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "number", "nullable": True}, "number | null"),
        ({"enum": ["a", 1]}, '"\\"a\\"" | "1"'),
        ({"const": None}, '"null"'),
        ({"anyOf": [{"type": "string"}, {"type": "boolean"}]}, "string | boolean"),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, "integer"),
        ({"type": "array", "items": {"type": "null"}}, '"[" s (null s ("," s null s)*)? "]"'),
        ({"type": "object", "additionalProperties": False}, '"{" s "}"'),
        (
            {"patternProperties": {"^x": {}}, "additionalProperties": False, "type": "object"},
            "object",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "null"}},
            '"{" s (string s ":" s null s ("," s string s ":" s null s)*)? "}"',
        ),
        ({"type": "object"}, "object"),
        ({}, "value"),
        (True, "value"),
        ("nonsense", "value"),
        ({"type": "uuid"}, "value"),
        ({"type": 3}, "value"),
        ({"$ref": "https://example.org/schema.json"}, "value"),
        ({"$ref": "https://example.org/schema.json", "type": "array"}, "array"),
        ({"$ref": "#/nowhere"}, "value"),
        ({"$ref": 7}, "value"),
        ({"type": "object", "properties": ["a"], "required": "b"}, "object"),
    ],
)
def test_what_is_not_understood_is_any_json_of_its_type(schema: object, expected: str) -> None:
    """And what is, is kept to."""
    assert _property(schema) == expected


def test_a_reference_within_the_schema_is_followed() -> None:
    """With an escaped name, and with what stands beside it."""
    schema = {
        "properties": {"x": {"$ref": "#/$defs/a~1b%20c", "description": "one"}},
        "required": ["x"],
        "$defs": {"a/b c": {"type": "boolean"}},
    }
    rules = _rules(schema)
    assert rules[rules[rules["root"]].split()[-1]] == '"\\"x\\"" s ":" s boolean s "}"'


def test_a_union_beside_properties_adds_to_them() -> None:
    """One of two names that must be there, as servers write it."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    }
    rules = _rules(schema)
    either = rules[rules["root"]].split(" | ")
    firsts = [rules[rules[name].split()[-1]] for name in either]
    assert [" | " in first for first in firsts] == [False, True]


def test_a_property_that_is_only_required_is_any_json() -> None:
    """The schema says no more about it."""
    rules = _rules({"type": "object", "required": ["x"]})
    assert rules[rules[rules["root"]].split()[-1]] == '"\\"x\\"" s ":" s value s "}"'


def test_a_schema_in_itself_ends() -> None:
    """It is unrolled a little, and then any object."""
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}
    assert 3 < len(_rules(tree)) < 100


def test_a_huge_schema_stays_small() -> None:
    """A stranger cannot make the grammar slow to read or to keep to."""
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"properties": {"a": deep}, "anyOf": [deep, deep]}
    wide = {"properties": {f"n{n}": {"enum": list(range(9999))} for n in range(200)}}
    doubled = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    for schema in (deep, wide, {"$ref": "#/$defs/d0", "$defs": doubled}):
        assert len(_rules(schema)) < 1000
    assert _rules({"properties": {f"n{n}": {} for n in range(5000)}})["root"] == "object"


_WORDS = st.sampled_from(
    ["type", "properties", "required", "items", "enum", "const", "anyOf", "oneOf", "allOf"]
    + ["additionalProperties", "nullable", "$ref", "#", "#/properties/a", "a", "string", "object"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('a"\\', max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_WORDS, _JSON | _WORDS, max_size=5))
def test_any_json_is_a_schema(schema: dict[str, Any]) -> None:
    """Nothing raises, and every rule that is named is there."""
    rules = _rules(schema)
    for body in rules.values():
        bare = _SPARED.sub("", body.replace("{0,20}", ""))
        assert set(re.findall(r"[a-z][a-z0-9-]*", bare)) <= rules.keys()
