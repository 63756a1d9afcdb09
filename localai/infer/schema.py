"""An answer that is JSON: the operator's schema, read from a file, and the check of what came.

The grammar holds the model to types, names and choices while it writes; lengths, ranges and
patterns are checked afterwards. Only this file imports jsonschema. A schema that points elsewhere
is refused: nothing is fetched.
"""

import json
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


def read(file: Path) -> Mapping[str, Any]:
    """The JSON schema in the file; NotFound without one, Invalid where it is none."""
    hint = 'a schema is JSON such as {"type": "object", "properties": {"name": {"type": "string"}}}'
    try:
        with file.expanduser().open("rb") as opened:
            found = json.loads(opened.read(_LARGEST + 1)[:_LARGEST])
    except OSError as error:
        message = f"the schema {file} cannot be read: {error.strerror}"
        raise NotFound(message, hint="--schema FILE") from error
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{file} is not JSON: {error}", hint=hint) from error
    if not isinstance(found, dict):
        raise Invalid(f"{file} holds no JSON schema, which is an object", hint=hint)
    try:
        validator_for(found, Draft202012Validator).check_schema(found)
    except (SchemaError, RecursionError) as error:
        reason = error.message if isinstance(error, SchemaError) else "it is too deep"
        raise Invalid(f"{file} is not a JSON schema: {reason}", hint=hint) from error
    _refuse_elsewhere(found, file)
    return found


def check(answer: str, schema: Mapping[str, Any]) -> None:
    """Return if the answer is whole and fits the schema; else Unavailable says what does not."""
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError) as error:
        message = "the answer ended before its JSON was whole"
        hint = "a larger --max-tokens or engine.context leaves room; a smaller schema needs less"
        raise Unavailable(message, hint=hint) from error
    validator = validator_for(schema, Draft202012Validator)(schema, registry=Registry())
    try:
        wrong = best_match(validator.iter_errors(value))
    except Unresolvable as error:
        message = f"the schema points to what it does not hold: {error}"
        raise Invalid(message, hint="write the part into the schema itself") from error
    if wrong is not None:
        found = f"{wrong.json_path}: {wrong.message}"[:_MOST_TOLD]
        message = f"the answer does not fit the schema: {found}"
        raise Unavailable(message, hint="ask again, with another --seed or another model")


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
            parts += part.values()
        elif isinstance(part, list):
            parts += part
