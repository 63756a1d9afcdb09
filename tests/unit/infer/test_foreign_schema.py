"""Schemas of strangers: nothing is fetched, nothing takes for ever, and the rest is checked."""

from typing import Any

import pytest

from localai.core.errors import Invalid
from localai.infer.schema import accept, misfit


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_arguments_are_compared_with_the_schema() -> None:
    """Types, members and choices, with the place that is wrong."""
    schema = {**of(n={"type": "integer", "maximum": 9}), "additionalProperties": False}
    accept(schema, "it")
    assert misfit({"n": 3}, schema) is None
    assert "$.n" in (misfit({"n": "3"}, schema) or "")
    assert "$.n" in (misfit({"n": 10}, schema) or "")
    assert "unexpected" in (misfit({"m": 1}, schema) or "")


def test_references_inside_of_it_are_followed() -> None:
    """Servers write their types under $defs."""
    schema = {**of(at={"$ref": "#/$defs/Place"}), "$defs": {"Place": {"type": "string"}}}
    accept(schema, "it")
    assert misfit({"at": "here"}, schema) is None
    assert misfit({"at": 3}, schema) is not None


def test_a_pattern_of_a_stranger_is_never_run() -> None:
    """This one would take longer than anybody lives."""
    slow = {"type": "string", "pattern": "^(a+)+$"}
    names = {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}
    schema = {**of(text=slow, inner={"type": "object", **names})}
    accept(schema, "it")
    assert misfit({"text": "a" * 50 + "!", "inner": {"a" * 50 + "!": 1}}, schema) is None


def test_an_argument_may_be_called_pattern() -> None:
    """It is a name there, and no word of the schema."""
    schema = of(pattern={"type": "string"}, format={"enum": ["a"]})
    accept(schema, "it")
    assert misfit({"pattern": 3}, schema) is not None
    assert misfit({"format": "b"}, schema) is not None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "allOf": [{"$ref": "#"}]},
        {
            "type": "object",
            "anyOf": [{"$ref": "#/$defs/d0"}],
            "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
            | {"d40": False},
        },
    ],
)
def test_a_schema_that_never_ends_is_refused(schema: dict[str, Any]) -> None:
    """One that asks for itself, and one of 2 to the 40 ways."""
    with pytest.raises(Invalid, match="is not a JSON schema"):
        accept(schema, "it")


def test_a_schema_that_points_away_is_refused() -> None:
    """Fetching it would tell its writer that, when and from where it is used."""
    with pytest.raises(Invalid, match="nothing is fetched"):
        accept(of(a={"$ref": "https://example.org/s.json"}), "it")
