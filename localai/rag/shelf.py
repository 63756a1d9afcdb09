"""Where the files of the models for documents lie, and how they come from the hub.

Nothing here or above asks a network for anything, but for `fetch`: a model is on this machine
whole, or it is not used.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from localai.core.errors import Unavailable
from localai.core.files import locked, private_dir
from localai.infer.catalogue import HubFile
from localai.infer.downloads import Step
from localai.rag.records import COMPANION_MODEL, SHIPPED_MODEL

SHIPPED_FOLDER = Path(__file__).parent / "models" / "static-192"
COMPANION = "localai_minilm"

_SPARE_BYTES = 64 << 20
# What a tokenizer is made of; a repository has some of them.
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json")
# Of fastembed's descriptions; two models call themselves multilingual for English and German.
_MULTILINGUAL = re.compile(r"multi-?lingual(?!\s*\((?:English|German))", re.IGNORECASE)

Kind = Literal["embedding", "reranker"]


@dataclass(frozen=True)
class Description:
    """A model as it is known before it is here; `dim` is 0 for what ranks.

    `files` are those of `repository` that it cannot do without; both are empty where a package
    brings the model.
    """

    name: str
    kind: Kind
    dim: int
    size_bytes: int
    languages: str
    license: str
    is_multilingual: bool = False
    repository: str = ""
    files: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The command that brings it, or mends it."""
        if self.name == SHIPPED_MODEL:
            return "pip install --force-reinstall localai-suite"
        if self.name == COMPANION_MODEL:
            return "pip install localai-minilm"
        return f"ai rag models pull {self.name}"


class Repositories(Protocol):
    """Where files come from."""

    def listing(self, repository: str) -> tuple[dict[str, HubFile], str]:
        """The repository's files by name, and the commit that they are of."""

    def fetch(
        self,
        repository: str,
        revision: str,
        file: HubFile,
        into: Path,
        report: Callable[[int], None],
    ) -> Path:
        """The file under `into`, verified; `report` hears of bytes as they come."""


class Shelf:
    """The models under a folder, and those that packages bring."""

    def __init__(self, folder: Path, *, shipped: Path = SHIPPED_FOLDER) -> None:
        self._folder = folder
        self._shipped = shipped

    def find(self, model: Description) -> Path | None:
        """The folder with the model's files; None where they are not all here."""
        if model.name == SHIPPED_MODEL:
            return self._shipped
        if model.name == COMPANION_MODEL:
            return _companion()
        folder = self._place(model)
        return folder if all((folder / name).is_file() for name in model.files) else None

    def get(self, model: Description) -> Path:
        """The folder with the model's files; Unavailable says how they come here."""
        if (folder := self.find(model)) is None:
            kind = "embedding model" if model.kind == "embedding" else model.kind
            raise Unavailable(f"the {kind} {model.name} is not here", hint=model.origin)
        return folder

    def fetch(
        self, model: Description, hub: Repositories, report: Callable[[Step], None] | None
    ) -> None:
        """Bring what is missing or damaged; what was cut off before goes on where it ended."""
        listed, revision = hub.listing(model.repository)
        wanted = _wanted(model, listed)
        total = sum(file.size_bytes or 0 for file in wanted)
        folder = private_dir(self._place(model))
        done = 0

        def count(size: int) -> None:
            nonlocal done
            done += size
            if report is not None:
                report(Step(done, total))

        with locked(folder / "lock"):
            _check_room(model, folder, total)
            for file in wanted:
                place = private_dir((folder / file.name).parent)
                hub.fetch(model.repository, revision, file, place, count)

    def discard(self, model: Description) -> None:
        """Remove a model that was fetched."""
        shutil.rmtree(self._place(model), ignore_errors=True)

    def _place(self, model: Description) -> Path:
        return self._folder / model.name.replace("/", "--")


def described(kind: Kind, told: Mapping[str, object]) -> Description:
    """What fastembed tells of a model of its list."""
    description, sources = str(told["description"]), told["sources"]
    additional = told.get("additional_files") or []
    assert isinstance(sources, Mapping)  # noqa: S101 - fastembed's own records
    assert isinstance(additional, list)  # noqa: S101
    return Description(
        name=str(told["model"]),
        kind=kind,
        dim=int(str(told.get("dim") or 0)),
        size_bytes=round(float(str(told["size_in_GB"])) * 1e9),
        languages=_languages(description),
        license=str(told["license"]),
        is_multilingual=bool(_MULTILINGUAL.search(description)),
        repository=str(sources["hf"]),
        files=(*map(str, additional), str(told["model_file"]), "tokenizer.json"),
    )


def _languages(description: str) -> str:
    if _MULTILINGUAL.search(description):
        return "multilingual"
    named = re.findall(r"English|Chinese|German|Spanish|programming languages", description)
    return ", ".join(dict.fromkeys(named)) or "English"


def _companion() -> Path | None:
    """The model of the package localai-minilm, which is found without being imported."""
    spec = find_spec(COMPANION)
    for place in (spec and spec.submodule_search_locations) or ():
        if (folder := Path(place) / "model").is_dir():
            return folder
    return None


def _wanted(model: Description, listed: Mapping[str, HubFile]) -> list[HubFile]:
    """The files to fetch: what it needs, and what its tokenizer has."""
    if missing := [name for name in model.files if name not in listed]:
        message = f"the hub's {model.repository} has no {missing[0]}"
        raise Unavailable(message, hint="ai rag models list   names others")
    names = dict.fromkeys((*_TOKENIZER, *model.files))
    return [listed[name] for name in names if name in listed]


def _check_room(model: Description, folder: Path, total: int) -> None:
    there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    need, free = max(0, total - there), shutil.disk_usage(folder).free
    if need + _SPARE_BYTES > free:
        sizes = f"{need / 1e9:.1f} GB are to come, {folder} has {free / 1e9:.1f} GB free"
        raise Unavailable(f"{model.name} does not fit: {sizes}", hint="make room, then try again")
