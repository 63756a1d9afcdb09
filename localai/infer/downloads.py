"""Models from the hub: looked up, room made sure of, fetched, verified, and only then listed."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from localai.core.errors import LocalaiError, Unavailable
from localai.core.files import locked, private_dir
from localai.core.records import Page
from localai.infer.catalogue import Catalogue, HubFile, Offer
from localai.infer.library import SPARE_BYTES, Library, Model


@dataclass(frozen=True)
class Step:
    """How many bytes have come, of how many."""

    done: int
    total: int


class Hub(Protocol):
    """Where files come from."""

    def look(self, repository: str, revision: str, file: str) -> tuple[HubFile, str]:
        """The file with size and digest, and the commit that it is of."""

    def fetch(
        self,
        repository: str,
        revision: str,
        file: HubFile,
        into: Path,
        report: Callable[[int], None],
    ) -> Path:
        """The file under `into`, verified; `report` hears of bytes as they come."""


class Downloads:
    """Pulls what the catalogue or the hub has into the library; `hub` is asked for when needed."""

    def __init__(
        self,
        catalogue: Catalogue,
        library: Library,
        require: Callable[[Any, str], object],
        hub: Callable[[], Hub],
    ) -> None:
        self._catalogue = catalogue
        self._library = library
        self._require = require
        self._hub = hub

    def offers(self, actor: object) -> Page[Offer]:
        """What the catalogue has."""
        self._require(actor, "models:read")
        return self._catalogue.page()

    def pull(
        self,
        actor: object,
        wanted: str,
        *,
        name: str | None = None,
        report: Callable[[Step], None] | None = None,
    ) -> Model:
        """Fetch a model that is not here yet; what was cut off before goes on where it ended."""
        self._require(actor, "models:write")
        offer = self._catalogue.find(wanted)
        name = name or offer.name
        if (there := self._pulled(actor, name, offer)) is not None:
            return there
        offer = self._looked_up(offer)
        folder = self._library.folder(name)
        private_dir(folder)
        with locked(folder / "lock"):
            if (there := self._pulled(actor, name, offer)) is not None:
                return there  # another process was faster
            self._check_room(offer, folder)
            first = self._fetched(offer, folder, report)
            sha256 = offer.files[0].sha256 or ""
            try:
                return self._library.keep(actor, first, name, _source(offer), sha256)
            except LocalaiError:
                shutil.rmtree(folder, ignore_errors=True)  # whole, and still no model
                raise

    def _pulled(self, actor: object, name: str, offer: Offer) -> Model | None:
        return self._library.pulled(actor, name, _source(offer), offer.files[0].sha256)

    def _fetched(self, offer: Offer, folder: Path, report: Callable[[Step], None] | None) -> Path:
        """The first of the offer's files, when all are there."""
        done = 0

        def count(size: int) -> None:
            nonlocal done
            done += size
            if report is not None:
                report(Step(done, offer.size_bytes))

        fetch = self._hub().fetch
        places = [
            fetch(offer.repository, offer.revision, file, folder, count) for file in offer.files
        ]
        return places[0]

    def _looked_up(self, offer: Offer) -> Offer:
        """The offer with what only the hub knows: all files are then of one commit."""
        if all(file.sha256 and file.size_bytes is not None for file in offer.files):
            return offer
        revision, found = offer.revision, []
        for file in offer.files:
            seen, revision = self._hub().look(offer.repository, revision, file.name)
            found.append(replace(seen, sha256=file.sha256 or seen.sha256))
        return replace(offer, revision=revision, files=tuple(found))

    def _check_room(self, offer: Offer, folder: Path) -> None:
        there = sum(file.stat().st_size for file in folder.iterdir())
        need = max(0, offer.size_bytes - there)
        free = shutil.disk_usage(folder).free
        if need + SPARE_BYTES > free:
            sizes = f"{need / 1e9:.1f} GB are to come, {folder} has {free / 1e9:.1f} GB free"
            hint = "ai config set models.dir DIR   puts models on another disk"
            raise Unavailable(f"{offer.name} does not fit: {sizes}", hint=hint)


def _source(offer: Offer) -> str:
    return f"{offer.repository}/{offer.files[0].name}"
