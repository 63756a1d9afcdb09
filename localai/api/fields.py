"""The fields of a JSON object that a stranger wrote, read one by one; pure.

A field that is null is one that is not there. What a field must not be is Invalid, and the message
begins with the field's whole path.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from localai.core.errors import Invalid

T = TypeVar("T")


class Fields:
    """One JSON object; `path` is where it stands in the whole, with a dot at its end."""

    def __init__(self, given: Mapping[str, Any], path: str = "") -> None:
        self.given = given
        self._path = path

    def wrong(self, name: str, told: str) -> Invalid:
        """What to raise about a field."""
        return Invalid(f"{self._path}{name}: {told}")

    def has(self, name: str) -> bool:
        """Whether the field says anything."""
        return bool(self.given.get(name))

    def text(self, name: str) -> str | None:
        """A string."""
        return self._of(name, str, "a string is needed")

    def needed(self, name: str) -> str:
        """A string that must be there."""
        if (found := self.text(name)) is None:
            raise self.wrong(name, "a string is needed")
        return found

    def flag(self, name: str) -> bool:
        """True or false; false where it is not there."""
        return bool(self._of(name, bool, "true or false is needed"))

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number within these bounds."""
        found = self.given.get(name)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise self.wrong(name, "a number is needed")
        if not low <= found <= high:
            raise self.wrong(name, f"a number from {low:g} to {high:g} is needed")
        return float(found)

    def whole(self, name: str, low: int | None = None) -> int | None:
        """A whole number, no less than `low`."""
        found = self._of(name, int, "a whole number is needed")
        if isinstance(found, bool):
            raise self.wrong(name, "a whole number is needed")
        if found is not None and low is not None and found < low:
            raise self.wrong(name, f"a whole number from {low} is needed")
        return found

    def mapping(self, name: str) -> dict[str, Any] | None:
        """An object as it stands."""
        return self._of(name, dict, "an object is needed")

    def part(self, name: str) -> "Fields | None":
        """An object."""
        found = self.mapping(name)
        return None if found is None else Fields(found, f"{self._path}{name}.")

    def parts(self, name: str, most: int) -> Sequence["Fields"]:
        """A list of objects; none where it is not there."""
        found = self._of(name, list, "a list is needed") or []
        if len(found) > most:
            raise self.wrong(name, f"{most:,} at once are the most")
        for place, each in enumerate(found):
            if not isinstance(each, dict):
                raise self.wrong(f"{name}.{place}", "an object is needed")
        return [Fields(each, f"{self._path}{name}.{place}.") for place, each in enumerate(found)]

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        """A string, or a list of strings."""
        found = self.given.get(name)
        listed = [found] if isinstance(found, str) else ([] if found is None else found)
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            raise self.wrong(name, "a string or a list of strings is needed")
        if len(listed) > most:
            raise self.wrong(name, f"{most:,} at once are the most")
        return tuple(listed)

    def refuse(self, name: str, told: str, *usual: object) -> None:
        """Raise where the field asks for anything but what is usual."""
        found = self.given.get(name)
        if found and found not in usual:
            raise self.wrong(name, told)

    def _of(self, name: str, kind: type[T], told: str) -> T | None:
        found = self.given.get(name)
        if found is not None and not isinstance(found, kind):
            raise self.wrong(name, told)
        return found
