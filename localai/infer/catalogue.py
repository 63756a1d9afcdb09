"""What can be pulled: our list of models, the operator's beside it, or any file of the hub."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from localai.core.errors import Invalid, NotFound
from localai.core.records import Page

_WORD: Final = r"\w[\w.-]*"  # no part of a path leads upwards
_ON_THE_HUB: Final = re.compile(rf"({_WORD}/{_WORD})/((?:{_WORD}/)*{_WORD}\.gguf)", re.ASCII)
_PART: Final = re.compile(r"-00001-of-(\d{5})\.gguf$")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository; what is None only the hub can tell.

    `blob` is its id in git, which is a digest too, and the only one of small files.
    """

    name: str
    size_bytes: int | None = None
    sha256: str | None = None
    blob: str | None = None


@dataclass(frozen=True)
class Offer:
    """A model that can be pulled; of several files the first is the one that is loaded."""

    name: str
    title: str
    repository: str
    revision: str
    files: tuple[HubFile, ...]
    license: str = ""
    languages: tuple[str, ...] = ()
    good_at: tuple[str, ...] = ()
    context: int = 0

    @property
    def size_bytes(self) -> int:
        """All files together, as far as it is known."""
        return sum(file.size_bytes or 0 for file in self.files)


class Catalogue:
    """The models that have a name here: ours, and those of the operator's `own` file."""

    def __init__(self, own: Path) -> None:
        self._own = own

    def page(self) -> Page[Offer]:
        """All of them, in the order in which they are written down."""
        offers = list(self._offers().values())
        return Page(offers, len(offers))

    def find(self, wanted: str) -> Offer:
        """The model of that name, or the file that `OWNER/REPOSITORY/FILE.gguf` names."""
        offers = self._offers()
        if wanted in offers:
            return offers[wanted]
        if found := _ON_THE_HUB.fullmatch(wanted.removeprefix("https://huggingface.co/")):
            return _named(found[1], found[2])
        near = get_close_matches(wanted, offers)
        known = f"; near: {', '.join(near)}" if near else ""
        message = f"the catalogue has no {wanted}{known}"
        raise NotFound(message, hint="ai models pull   lists it; OWNER/REPOSITORY/FILE.gguf is any")

    def _offers(self) -> dict[str, Offer]:
        ours = files("localai.infer").joinpath("catalogue.toml").read_text("utf-8")
        offers = _read(ours, "catalogue.toml")
        try:
            return offers | _read(self._own.read_text("utf-8"), str(self._own))
        except FileNotFoundError:
            return offers
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"{self._own} cannot be read: {error}") from error


def _named(repository: str, first: str) -> Offer:
    """The file of a repository, with the other parts where its name says that there are some."""
    parts = [first]
    if (found := _PART.search(first)) and (count := int(found[1])):
        stem = first[: found.start()]
        parts = [f"{stem}-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1)]
        first = stem
    name = Path(first).name.removesuffix(".gguf")
    return Offer(name, name, repository, "main", tuple(map(HubFile, parts)))


def _read(text: str, where: str) -> dict[str, Offer]:
    try:
        return {each["name"]: _offer(each) for each in tomllib.loads(text).get("models", [])}
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{where} is not TOML: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{where} has a model that cannot be read: {error!r}"
        raise Invalid(
            message, hint="each needs name, repository and files, each file a name"
        ) from error


def _offer(stored: Mapping[str, Any]) -> Offer:
    listed = tuple(_file(each) for each in stored["files"])
    if not listed or not _ON_THE_HUB.fullmatch(f"{stored['repository']}/{listed[0].name}"):
        raise ValueError(stored["repository"])
    return Offer(
        name=str(stored["name"]),
        title=str(stored.get("title", stored["name"])),
        repository=stored["repository"],
        revision=str(stored.get("revision", "main")),
        files=listed,
        license=str(stored.get("license", "")),
        languages=tuple(map(str, stored.get("languages", ()))),
        good_at=tuple(map(str, stored.get("good_at", ()))),
        context=int(stored.get("context", 0)),
    )


def _file(stored: Mapping[str, Any]) -> HubFile:
    sha256 = stored.get("sha256")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise ValueError(sha256)
    size = stored.get("bytes")
    return HubFile(stored["name"], None if size is None else int(size), sha256)
