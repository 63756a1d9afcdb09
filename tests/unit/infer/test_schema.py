"""The operator's schema, read from a file, and answers checked against it."""

import json
from pathlib import Path
from typing import Any

import pytest

from localai.core.errors import Invalid, NotFound, Unavailable
from localai.infer import schema

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"$ref": "#/$defs/age"}},
    "required": ["name"],
    "$defs": {"age": {"type": "integer", "minimum": 0}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that holds the schema of a person."""
    file = tmp_path / "person.json"
    file.write_text(json.dumps(PERSON))
    return file


def test_a_schema_is_read(file: Path) -> None:
    """As it stands in the file."""
    assert schema.read(file) == PERSON


def test_a_schema_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """Also a folder is none."""
    for place in (tmp_path / "none.json", tmp_path):
        with pytest.raises(NotFound, match="cannot be read"):
            schema.read(place)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("\xff\xfe", "is not JSON"),
        ('{"a":' * 5000, "is not JSON"),
        ("[]", "holds no JSON schema"),
        ('{"type": "objct"}', "is not a JSON schema: 'objct'"),
        ('{"pattern": "("}', "is not a JSON schema"),
        ('{"items": {"$ref": "https://example.org/x"}}', "points to https://example.org/x"),
        ('{"anyOf": [{"$dynamicRef": "other.json#/a"}]}', "points to other.json#/a"),
        ('{"$ref": "#/$defs/nope"}', "is not a JSON schema: .*nope"),
        ('{"$ref": "#nowhere"}', "is not a JSON schema"),
        ('{"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}', "is not a JSON schema"),
        ('{"$schema": 5}', "is not a JSON schema"),
        ('{"$schema": []}', "is not a JSON schema"),
        ('{"allOf": [{"$ref": "#/allOf/x"}]}', "is not a JSON schema"),
        ('{"enum": [NaN]}', "is not JSON"),
    ],
)
def test_what_is_no_schema_is_refused(file: Path, text: str, reason: str) -> None:
    """Before a model is asked, and with a hint; nothing is fetched."""
    file.write_text(text, encoding="latin-1")
    with pytest.raises(Invalid, match=reason) as caught:
        schema.read(file)
    assert caught.value.hint


@pytest.mark.parametrize(
    "answer", ['{"name": "kim"}', '{"name": "", "age": 7}', '{"name":"a","x":1}']
)
def test_a_fitting_answer_passes(answer: str) -> None:
    """Whatever the schema leaves open may be there."""
    schema.check(answer, PERSON)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"name": "ki', "ended before its JSON was whole"),
        ("", "ended before its JSON was whole"),
        ('{"name": "a very long name"}', r"does not fit the schema: \$\.name: .* is too long"),
        ('{"name": "kim", "age": -1}', r"\$\.age: -1 is less than the minimum"),
        ('{"age": 1}', "'name' is a required property"),
    ],
)
def test_what_a_grammar_cannot_hold_is_told(answer: str, reason: str) -> None:
    """Where in the answer, and what is wrong there."""
    with pytest.raises(Unavailable, match=reason):
        schema.check(answer, PERSON)


def test_a_long_answer_is_not_repeated_in_its_error() -> None:
    """The first few hundred characters say what is wrong."""
    with pytest.raises(Unavailable) as caught:
        schema.check(json.dumps({"name": "x" * 10_000}), PERSON)
    assert len(caught.value.message) < 400


def test_data_that_looks_like_a_pointer_is_none(file: Path) -> None:
    """What may be answered is not what the schema is made of."""
    wanted = {"enum": [{"$ref": "https://example.org/x"}]}
    file.write_text(json.dumps(wanted))
    assert schema.read(file) == wanted
    schema.check('{"$ref": "https://example.org/x"}', wanted)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("[" * 900 + "]" * 900, {"type": "array", "items": {"$ref": "#"}}),
        ("1e400", {"type": "number"}),
        ("-Infinity", {}),
        ("9" * 400, {"multipleOf": 0.01}),
    ],
)
def test_a_hostile_answer_is_no_bug_of_ours(answer: str, wanted: dict[str, Any]) -> None:
    """And what is not JSON is not printed as if it were."""
    with pytest.raises(Unavailable):
        schema.check(answer, wanted)
