"""Paths that are read for others: only what lies in one folder, and is not hidden there."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from localai.core.errors import Denied, Invalid
from localai.rag.places import is_wild
from localai.rag.walk import is_passed_over

_HINT: Final = "name what lies in the folder in which the server was started"


class Within:
    """What of a folder may be indexed for whoever asks; nothing of `own` is, wherever it lies."""

    def __init__(self, folder: Path, own: Iterable[Path]) -> None:
        self._folder = folder.resolve()
        self._own = [each.resolve() for each in own]

    def place(self, text: str) -> Path:
        """The path with every link followed; Denied where it leads out, or to what is hidden."""
        try:
            real = (self._folder / text).resolve()
            self._refuse(text, real)
            is_there = real.exists()  # looked at last: nobody learns what is outside
        except (OSError, RuntimeError, ValueError) as error:
            raise Invalid(f"{text!r} cannot be read as a path", hint=_HINT) from error
        if not is_there and is_wild(real):
            raise Invalid(f"{text} is a pattern", hint="name files and folders")
        return real

    def _refuse(self, text: str, real: Path) -> None:
        if not real.is_relative_to(self._folder):
            raise Denied(f"{text} leads out of the workspace", hint=_HINT)
        if any(map(is_passed_over, real.relative_to(self._folder).parts)):
            raise Denied(f"{text} is hidden, or made by machines", hint=_HINT)
        if any(real.is_relative_to(own) or _is_walked_into(own, real) for own in self._own):
            raise Denied(f"{text} has files of localai itself in it", hint=_HINT)


def _is_walked_into(own: Path, top: Path) -> bool:
    """Whether who reads all that is under the top comes by."""
    if not own.is_relative_to(top):
        return False
    return not any(map(is_passed_over, own.relative_to(top).parts))
