"""JSON with one reading and one spelling: parsed strictly, written as RFC 8785 (JCS).

What a person approves is a digest of this spelling, so no text may be read two ways.
"""

import hashlib
import json
from typing import Any

import rfc8785

from localai.core.errors import Invalid

_MAX_SAFE = 2**53 - 1


def parse(text: str) -> Any:
    """Read JSON; duplicate keys, NaN, lone surrogates, numbers beyond 2^53: Invalid."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_safe_int,
            parse_float=_safe_float,
        )
        text.encode()
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        message = f"not acceptable as JSON: {error}"
        raise Invalid(message, hint='write one JSON object, such as {"path": "a.txt"}') from error
    return value


def parse_object(text: str) -> dict[str, Any]:
    """Read a JSON object; anything else raises Invalid."""
    value = parse(text)
    if not isinstance(value, dict):
        message = f"a JSON object is needed, this is {type(value).__name__}"
        raise Invalid(message, hint='write one JSON object, such as {"path": "a.txt"}')
    return value


def canonical(value: Any) -> bytes:
    """The one RFC 8785 spelling of a JSON value; Invalid where it has none."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        message = f"cannot be written as canonical JSON: {error}"
        raise Invalid(message) from error


def digest(domain: str, value: Any) -> str:
    """SHA-256 in hex over the domain, a zero byte and the canonical spelling of the value."""
    return hashlib.sha256(domain.encode() + b"\0" + canonical(value)).hexdigest()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            message = f"the key {key!r} stands twice"
            raise ValueError(message)
        found[key] = value
    return found


def _no_constant(name: str) -> None:
    message = f"{name} is not a JSON number"
    raise ValueError(message)


def _safe_int(digits: str) -> int:
    number = int(digits) if len(digits) <= len(str(_MAX_SAFE)) + 1 else _MAX_SAFE + 1
    if abs(number) > _MAX_SAFE:
        message = "an integer lies beyond 2^53, where JSON readers disagree"
        raise ValueError(message)
    return number


def _safe_float(digits: str) -> float:
    # RFC 8785 spells 1e20 with all its digits, and an integer of that size is refused above.
    number = float(digits)
    if abs(number) > _MAX_SAFE:
        message = "a number lies beyond 2^53, where JSON readers disagree"
        raise ValueError(message)
    return number
