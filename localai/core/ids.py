"""Ids begin with random characters, so that a short prefix names a row; no wildcard matches."""

import re
import secrets
from collections.abc import Sequence

from localai.core.errors import Invalid, NotFound

_PREFIX = re.compile(r"[0-9a-f]{4,32}")
_WHOLE = re.compile(r"[0-9a-f]{16}")


def new_id() -> str:
    """16 random hexadecimal digits."""
    return secrets.token_hex(8)


def is_id(text: str) -> bool:
    """Tell whether the text is an id, whole."""
    return bool(_WHOLE.fullmatch(text))


def check_prefix(prefix: str) -> str:
    """Return the prefix if it can name a row; Invalid otherwise."""
    if not _PREFIX.fullmatch(prefix):
        message = f"{prefix!r} is not an id"
        raise Invalid(message, hint="an id is at least 4 of the characters 0-9 and a-f")
    return prefix


def only(prefix: str, noun: str, candidates: Sequence[str], *, hint: str) -> str:
    """The single id that the prefix names; NotFound for none, Invalid for several."""
    if not candidates:
        message = f"no {noun} {prefix}"
        raise NotFound(message, hint=hint)
    if len(candidates) > 1 and prefix not in candidates:
        listed = ", ".join(sorted(candidates)[:8])
        message = f"{prefix} names {len(candidates)} {noun}s: {listed}"
        raise Invalid(message, hint="type more of the id")
    return prefix if prefix in candidates else candidates[0]
