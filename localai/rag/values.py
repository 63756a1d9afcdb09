"""Values in JSON that anybody may have written; each is what it is asked for or a ValueError."""

import json
import math
from typing import Any

from localai.rag.archive import unpacked

MAX_TEXT = 4_096


def record(line: bytes) -> dict[str, Any]:
    """The object in a line of JSON."""
    found = json.loads(line, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise ValueError("a line that is no object")  # noqa: TRY004 - all that is wrong is one kind
    return found


def string(value: object) -> str:
    """A text that can be stored, of any length."""
    if not isinstance(value, str):
        raise ValueError("something else than text")  # noqa: TRY004 - as above
    value.encode()  # half of a pair is no Unicode
    return value


def text(found: dict[str, Any], key: str) -> str:
    """A text of at most MAX_TEXT characters that the database can hold."""
    value = string(found[key])
    if len(value) > MAX_TEXT or "\0" in value:
        raise ValueError(f"{key} is no text that can be kept")
    return value


def flag(found: dict[str, Any], key: str) -> bool:
    """True or false."""
    if not isinstance(found[key], bool):
        raise ValueError(f"{key} is neither true nor false")  # noqa: TRY004 - as above
    return bool(found[key])


def whole(found: dict[str, Any], key: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    value = found[key]
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{key} is no number that can be")
    return value


def numbers(packed: object) -> tuple[float, ...]:
    """Finite numbers of 32 bits, as an archive packs them."""
    found = unpacked(string(packed))
    if not all(map(math.isfinite, found)):
        raise ValueError("a number that is none")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
