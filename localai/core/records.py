"""Records that every room uses, and their one spelling as JSON."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from localai.core.errors import Invalid
from localai.core.escape import is_hidden

_SUSPECT = re.compile("[^\n -~가-힣]")

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list: `total` rows match in all, `next` is the cursor of the next page."""

    items: Sequence[T]
    total: int
    next: str | None = None


def page_of(
    items: Sequence[T], name: Callable[[T], str], *, limit: int, cursor: str | None, hint: str
) -> Page[T]:
    """A page of a list that is at hand; the cursor is the last name of the page before."""
    names = [name(item) for item in items]
    if cursor is not None and cursor not in names:
        raise Invalid(f"{cursor!r} is not a cursor of this list", hint=hint)
    start = names.index(cursor) + 1 if cursor is not None else 0
    shown = tuple(items[start : start + limit])
    return Page(shown, len(items), name(shown[-1]) if items[start + limit :] else None)


def json_text(record: object, *, indent: int | None = None) -> str:
    """A record as JSON text, wherever it is shown; what a terminal would obey is escaped."""
    text = json.dumps(record, ensure_ascii=False, indent=indent, default=_plain)
    if text.isascii() and text.isprintable():  # which is told in half the time
        return text
    return _SUSPECT.sub(
        lambda found: json.dumps(found[0])[1:-1] if is_hidden(found[0]) else found[0], text
    )


def _plain(value: Any) -> object:
    # One level, because JSON comes back for the next: `asdict` copies all of it, and takes longer
    # than the rest of a list.
    kind = type(value)
    # mypy takes the hash of a type for that of its instances.
    if (names := _field_names(kind)) is not None:  # type: ignore[arg-type]
        return {name: getattr(value, name) for name in names}
    return str(value)


@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """What a record of this kind has; None where it is no record."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None
