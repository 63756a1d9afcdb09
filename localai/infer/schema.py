"""An answer that is JSON: the operator's schema, read from a file, and the check of what came.

The grammar holds the model to types, names and choices while it writes; lengths, ranges and
patterns are checked afterwards. Only this file imports jsonschema. A schema that points elsewhere
is refused: nothing is fetched.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from localai.core.errors import Invalid, NotFound, Unavailable

_LARGEST = 1 << 20
_MOST_TOLD = 300
_HINT = 'a schema is JSON such as {"type": "object", "properties": {"name": {"type": "string"}}}'
_TRIED: tuple[Any, ...] = (None, True, 1, 1.5, "a", [], [1], {}, {"a": 1})
# What strange schemas make jsonschema and referencing raise.
_BROKEN = (RecursionError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
_DATA = {"enum", "const", "default", "examples"}


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
    _refuse_elsewhere(found, file)
    try:
        validator_for(found, Draft202012Validator).check_schema(found)
        for value in _TRIED:  # so that what points nowhere is told before a model is asked
            _wrong(value, found)
    except (SchemaError, Unresolvable, *_BROKEN) as error:
        reason = error.message if isinstance(error, SchemaError) else str(error)
        raise Invalid(f"{file} is not a JSON schema: {reason}"[:_MOST_TOLD], hint=_HINT) from error
    return found


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


def _wrong(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Where the value does not fit, and what is wrong there."""
    validator = validator_for(schema, Draft202012Validator)(schema, registry=Registry())
    wrong = best_match(validator.iter_errors(value))
    return f"{wrong.json_path}: {wrong.message}" if wrong is not None else None


def _parsed(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_number, parse_float=_number)


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        message = f"{text} is no number of JSON"
        raise ValueError(message)
    return number


def _refuse_elsewhere(schema: object, file: Path) -> None:
    """Raise Invalid where a part of the schema would have to be fetched."""
    parts = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            for word in ("$ref", "$dynamicRef"):
                if isinstance(to := part.get(word), str) and not to.startswith("#"):
                    message = f"{file} points to {to}, and nothing is fetched"
                    raise Invalid(message, hint="write that part under $defs in the file itself")
            parts += [value for word, value in part.items() if word not in _DATA]
        elif isinstance(part, list):
            parts += part
