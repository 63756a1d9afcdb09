"""Records that every room uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from localai.core.errors import Invalid

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
