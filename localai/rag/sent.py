"""Texts that a caller sends, each under a name, as sources of a collection."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from localai.core.errors import Invalid
from localai.rag.sources import Lead, Refused, Source, spoken
from localai.rag.targets import Target

_SENT: Final = "sent:"
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True)
class Text:
    """A text and the name that it goes by; the name's suffix says how it is cut: `notes.md`.

    Sent again under the same name, it takes the place of what was sent before.
    """

    source: str
    text: str


def sent(texts: Iterable[Text]) -> list[Target]:
    """The texts as sources; Invalid for a name that names nothing, or two of them."""
    found: dict[str, Target] = {}
    for each in texts:
        name = unicodedata.normalize("NFC", each.source)
        if not _NAME.fullmatch(name):
            message = f"{name!r} cannot name a text"
            raise Invalid(message, hint="a name has 1 to 200 characters, on one line")
        if name in found:
            raise Invalid(f"two texts are called {name!r}", hint="give each a name of its own")
        found[name] = _Sent(name, each.text)
    return [*found.values()]


@dataclass(frozen=True)
class _Sent:
    """One text; whoever sent it may be a stranger."""

    name: str
    text: str

    def find(self, exclude: Sequence[str]) -> list[Lead]:  # noqa: ARG002 - it has no path
        return [self._read]

    def holds(self, key: str) -> bool:
        return key == f"{_SENT}{self.name}"

    def shown(self, key: str) -> str:
        return key.removeprefix(_SENT)

    def _read(self) -> Source | Refused:
        found = spoken(f"{_SENT}{self.name}", self.name, self.text)
        return found if isinstance(found, Refused) else replace(found, is_trusted=False)
