"""The chain of the audit, and what can be told of whoever tampered with it. Pure.

mac = HMAC-SHA256(key, previous mac || canonical body)
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from localai.core.canonical import parse_object
from localai.core.errors import Invalid

GENESIS = "0" * 64


@dataclass(frozen=True)
class Verification:
    """What checking the whole chain found; `problems` is empty when it is whole.

    `first_bad` is the first row that is not as it was written, `tampering` the class of what was
    done to it: edited, deleted, swapped, inserted, rehashed, truncated or rewritten.
    """

    entries: int
    anchored: int | None
    problems: tuple[str, ...]
    first_bad: int | None = None
    tampering: str | None = None
    unknowable: tuple[str, ...] = (
        "who did it, and what stood there before",
        "a chain rewritten by somebody who had both the key and the anchor",
        "what an administrator kept from being recorded at all",
    )

    @property
    def is_whole(self) -> bool:
        """No row was changed, removed, swapped, inserted or cut off."""
        return not self.problems


@dataclass(frozen=True)
class _Bad:
    """A row that is wrong, the MAC before it, and the place that it should have."""

    row: Any
    prev: str
    place: int


_WORDS = {
    "edited": "its text or its MAC was edited",
    "deleted": "rows before it were deleted",
    "swapped": "rows were swapped",
    "inserted": "it was inserted",
    "rehashed": "the chain was made anew from here, without the key",
    "rewritten": "the end was cut and written again, or all was made anew with the key",
}


def mac_of(key: bytes, prev: str, body: str) -> str:
    """The MAC of a row, in hex."""
    return hmac.new(key, f"{prev}{body}".encode(), hashlib.sha256).hexdigest()


def prove(rows: Iterable[Any], key: bytes, anchor: tuple[int, str] | None) -> Verification:
    """Check rows of seq, body, prev and mac, in their order, against the key and the anchor."""
    left = iter(rows)
    anchored = anchor[0] if anchor else None
    count, at_anchor, bad = _walk(left, key, anchored)
    if bad is not None:
        rest = list(islice(left, 2))
        others = [_sequence(row.body) for row in (*rest, *left)]
        count += len(others)
        is_longer = anchored is not None and count > anchored
        tampering = _tampering(bad, rest, others, key, is_longer=is_longer)
        told = f"row {bad.row.seq} is not as it was written: {_WORDS[tampering]}"
        return Verification(count, anchored, (told,), bad.row.seq, tampering)
    if anchor is None:
        missing = ("the anchor is missing or unreadable",) if count else ()
        return Verification(count, None, missing)
    if anchor[0] > count:
        told = f"{anchor[0] - count} of the newest rows are gone"
        return Verification(count, anchored, (told,), count + 1, "truncated")
    if at_anchor != anchor[1]:
        told = f"row {anchor[0]} is not the one that was anchored: {_WORDS['rewritten']}"
        return Verification(count, anchored, (told,), anchor[0], "rewritten")
    return Verification(count, anchored, ())


def _walk(
    rows: Iterator[Any], key: bytes, anchored: int | None
) -> tuple[int, str | None, _Bad | None]:
    """How many rows, the MAC of the anchored one, and the first row that is wrong."""
    prev, count, at_anchor = GENESIS, 0, None
    for row in rows:
        count += 1
        is_true = hmac.compare_digest(row.mac, mac_of(key, prev, row.body))
        if not (is_true and row.prev == prev and row.seq == count == _sequence(row.body)):
            return count, at_anchor, _Bad(row, prev, count)
        prev = row.mac
        if row.seq == anchored:
            at_anchor = row.mac
    return count, at_anchor, None


def _tampering(
    bad: _Bad, rest: Sequence[Any], others: Sequence[int | None], key: bytes, *, is_longer: bool
) -> str:
    """What was done, as far as the rows that follow can tell.

    A row of ours has a MAC that is right for the predecessor which it names, wherever it stands
    now; one that somebody without the key has made has not.
    """

    def is_ours(row: Any) -> bool:
        return hmac.compare_digest(row.mac, mac_of(key, row.prev, row.body))

    row, following = bad.row, rest[0] if rest else None
    is_skipped = following is not None and following.prev == bad.prev
    if is_skipped and (rest[1].prev == rest[0].mac if rest[1:] else is_longer):
        return "inserted"
    if is_ours(row):
        said = _sequence(row.body)
        return "swapped" if bad.place in others else "deleted" if said else "edited"
    if following is not None and not is_ours(following) and following.prev == row.mac:
        return "rehashed"
    return "inserted" if following is None and is_longer else "edited"


def _sequence(body: str) -> int | None:
    try:
        value = parse_object(body).get("seq")
    except Invalid:
        return None
    return value if isinstance(value, int) else None
