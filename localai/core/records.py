"""Records that every room uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list: `total` rows match in all, `next` is the cursor of the next page."""

    items: Sequence[T]
    total: int
    next: str | None = None
