"""JSON schemas: the operator's own, for an answer, and strangers', for what their tools take.

The grammar holds the model to types, names and choices while it writes; lengths, ranges and
patterns are checked afterwards. Only this file imports jsonschema. A schema that points elsewhere
is refused: nothing is fetched. A stranger's is checked without its patterns and with a limit to
its references, because both can be written so that a check takes for ever.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import extend as _untyped_extend
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from localai.core.errors import Invalid, NotFound, Unavailable

_LARGEST = 1 << 20
_MOST_TOLD = 300
_HINT = 'a schema is JSON such as {"type": "object", "properties": {"name": {"type": "string"}}}'
_TRIED: tuple[Any, ...] = (None, True, 1, 1.5, "a", [], [1], {}, {"a": 1})
# What strange schemas make jsonschema and referencing raise.
_extended: Callable[..., Any] = _untyped_extend
_BROKEN = (RecursionError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
_DATA = {"enum", "const", "default", "examples"}
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_MOST_REFERENCES = 1_000
_DEEPEST_REFERENCE = 32  # far above, jsonschema's map panics instead of raising RecursionError
_PATTERNS = {"pattern", "patternProperties", "format"}
_ADDITIONAL = {"additionalProperties", "unevaluatedProperties"}
_NAMED = {"properties", "$defs", "definitions", "dependentSchemas", "dependencies"}


def read(file: Path) -> Mapping[str, Any]:
    """The JSON schema in the file; NotFound without one, Invalid where it is none."""
    try:
        with file.expanduser().open("rb") as opened:
            found = _parsed(opened.read(_LARGEST + 1)[:_LARGEST])
    except OSError as error:
        message = f"the schema {file} cannot be read: {error.strerror}"
        raise NotFound(message, hint="--schema FILE") from error
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{file} is not JSON: {error}", hint=_HINT) from error
    if not isinstance(found, dict):
        raise Invalid(f"{file} holds no JSON schema, which is an object", hint=_HINT)
    _prove(found, str(file), _wrong)
    return found


def accept(schema: Mapping[str, Any], named: str) -> None:
    """Return if a stranger's schema can be used to check arguments; Invalid says why not."""
    if schema.get("type") != "object":
        raise Invalid(f"{named} is not one of an object")
    _prove(_bare(schema), named, _limited)


def misfit(value: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """Where a value does not fit a schema that was accepted, and what is wrong there."""
    try:
        wrong = _limited(value, _bare(schema))
    except (Unresolvable, *_BROKEN) as error:
        return f"they cannot be compared with the schema: {error}"[:_MOST_TOLD]
    return wrong[:_MOST_TOLD] if wrong is not None else None


def check(answer: str, schema: Mapping[str, Any]) -> None:
    """Return if the answer is whole and fits the schema; else Unavailable says what does not."""
    try:
        value = _parsed(answer)
    except (ValueError, RecursionError) as error:
        message = "the answer ended before its JSON was whole"
        hint = "a larger --max-tokens or engine.context leaves room; a smaller schema needs less"
        raise Unavailable(message, hint=hint) from error
    try:
        wrong = _wrong(value, schema)
    except (Unresolvable, *_BROKEN) as error:
        message = f"the answer cannot be compared with the schema: {error}"[:_MOST_TOLD]
        raise Unavailable(message, hint="a simpler schema can be compared") from error
    if wrong is not None:
        message = f"the answer does not fit the schema: {wrong}"[:_MOST_TOLD]
        raise Unavailable(message, hint="ask again, with another --seed or another model")


def _prove(schema: dict[str, Any], named: str, wrong: Callable[[Any, Any], object]) -> None:
    _refuse_elsewhere(schema, named)
    try:
        validator_for(schema, Draft202012Validator).check_schema(schema)
        for value in _TRIED:  # so that what points nowhere is told before a model is asked
            wrong(value, schema)
    except (SchemaError, Unresolvable, *_BROKEN) as error:
        reason = error.message if isinstance(error, SchemaError) else str(error)
        raise Invalid(f"{named} is not a JSON schema: {reason}"[:_MOST_TOLD], hint=_HINT) from error


def _limited(value: Any, schema: Mapping[str, Any]) -> str | None:
    """As `_wrong`, giving up (a ValueError) where references are followed without end."""
    kind: Any = validator_for(schema, Draft202012Validator)
    left, deep = [_MOST_REFERENCES], [_DEEPEST_REFERENCE]

    def followed(word: str, validator: Any, *given: Any) -> Iterator[Any]:
        left[0] -= 1
        if left[0] < 0 or deep[0] <= 0:
            raise ValueError("it follows too many references")
        deep[0] -= 1
        try:
            yield from kind.VALIDATORS[word](validator, *given) or ()
        finally:
            deep[0] += 1

    words = [word for word in _REFERENCES if word in kind.VALIDATORS]
    return _wrong(value, schema, _extended(kind, {word: partial(followed, word) for word in words}))


def _bare(part: Any, *, names: bool = False) -> Any:
    """A schema without what regular expressions decide; `names` where keys are no words of it."""
    if isinstance(part, list):
        return [_bare(each) for each in part]
    if not isinstance(part, dict):
        return part
    if names:
        return {name: _bare(value) for name, value in part.items()}
    # Without its patterns, nobody knows which members are the additional ones.
    gone = _PATTERNS | (_ADDITIONAL if "patternProperties" in part else set())
    return {
        word: value if word in _DATA else _bare(value, names=word in _NAMED)
        for word, value in part.items()
        if word not in gone
    }


def _wrong(value: Any, schema: Mapping[str, Any], kind: Any = None) -> str | None:
    """Where the value does not fit, and what is wrong there."""
    kind = kind or validator_for(schema, Draft202012Validator)
    validator = kind(schema, registry=Registry())
    wrong = best_match(validator.iter_errors(value))
    return f"{wrong.json_path}: {wrong.message}" if wrong is not None else None


def _parsed(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_number, parse_float=_number)


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        message = f"{text} is no number of JSON"
        raise ValueError(message)
    return number


def _refuse_elsewhere(schema: object, named: str) -> None:
    """Raise Invalid where a part of the schema would have to be fetched."""
    parts = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            for word in ("$ref", "$dynamicRef"):
                if isinstance(to := part.get(word), str) and not to.startswith("#"):
                    message = f"{named} points to {to}, and nothing is fetched"
                    raise Invalid(message, hint="write that part under $defs in the file itself")
            parts += [value for word, value in part.items() if word not in _DATA]
        elif isinstance(part, list):
            parts += part
