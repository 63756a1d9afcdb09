"""The model files of one home: a link or a copy of each, and what its header said.

A small model ships with localai and is there in every home; it serves where nothing else does.

Light on purpose: listing models must not cost an engine or a GGUF reader, so the header's
reader is handed in and asked only about files that are new or have changed. An original that
was linked is never touched.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from localai.core.errors import Conflict, Invalid, NotFound, Unavailable
from localai.core.files import private_dir, write_private
from localai.core.records import Page
from localai.infer.fit import Plan, Shape
from localai.infer.receipt import file_sha256, state_of

STARTER = "starter"
# What it was trained on; it calls others badly, and these worse where it is told of others.
STARTER_TOOLS = ("read_file", "list_files", "write_file", "run_command")
SHIPPED = {STARTER: Path(__file__).parent / "models" / STARTER / f"{STARTER}.gguf"}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
SPARE_BYTES = 64 << 20
_FORMAT = 2  # of the sidecars; older ones hold less of the header


@dataclass(frozen=True)
class GgufInfo:
    """What a GGUF file's header says; `context` is in tokens, 0 where it does not say.

    Of a model that is split, `size_bytes` is the first file's and `other_bytes` the others'.
    `calls_tools` tells whether its template writes calls in the form that is read here; `shape`
    is None where the header does not say what the parts take.
    """

    architecture: str
    quantization: str
    context: int
    size_bytes: int
    has_template: bool
    parameters: int
    title: str
    other_bytes: int = 0
    calls_tools: bool = False
    shape: Shape | None = None


@dataclass(frozen=True)
class Model:
    """A model of this home; `file` is where its weights lie, `roles` what it is chosen for."""

    name: str
    file: str
    size_bytes: int
    architecture: str
    quantization: str
    context: int
    roles: tuple[str, ...]


@dataclass(frozen=True)
class ModelInfo(Model):
    """A model, and more of what its file says; `source` is the file or hub that it came from.

    `plan` is how it is loaded on this machine as it is now, `with_card` how it would be by a
    llama.cpp that is built for the card that is here; None where the header says too little.
    """

    title: str
    parameters: int
    has_template: bool
    calls_tools: bool
    is_copy: bool
    source: str
    plan: Plan | None = None
    with_card: Plan | None = None


@dataclass(frozen=True)
class _Entry:
    """The sidecar: the header as it was when the file had this size and time.

    `sha256` is the file's digest in that `state`.
    """

    info: GgufInfo
    source: str
    is_copy: bool
    mtime_ns: int
    sha256: str = ""
    state: Sequence[int] = ()
    format: int = _FORMAT


Inspect = Callable[[Path], GgufInfo]
Require = Callable[[Any, str], object]


class Library:
    """Adds, finds and removes models; `roles` says which name serves "chat" and "code".

    `shipped` are the files that come with localai.
    """

    def __init__(
        self,
        models_dir: Path,
        require: Require,
        inspect: Inspect,
        roles: Mapping[str, str],
        shipped: Mapping[str, Path] = SHIPPED,
    ) -> None:
        self._dir = models_dir
        self._require = require
        self._inspect = inspect
        self._roles = roles
        self._shipped = shipped

    def add(
        self, actor: object, file: Path, *, name: str | None = None, copy: bool = False
    ) -> Model:
        """Register a GGUF file by link, or by `copy`; adding it again changes nothing."""
        self._require(actor, "models:write")
        source = Path(os.path.abspath(file.expanduser()))  # noqa: PTH100 - keeps links as they are
        name = _checked(name or source.stem)
        if not source.is_file():
            raise NotFound(f"there is no file {source}", hint="ai models add FILE.gguf")
        place = self._place(name)
        if os.path.lexists(place) and not self._holds(place, source):
            hint = f"ai models add {file} --name OTHER"
            hint += "" if name in self._shipped else f"   or   ai models rm {name}"
            raise Conflict(f"another model is named {name}", hint=hint)
        info = self._inspect(source)
        if not os.path.lexists(place):
            private_dir(self._dir)
            _copy(source, place) if copy else _link(source, place)
            entry = _Entry(info, str(source), copy, place.stat().st_mtime_ns)
            self._write(name, entry)
        self._digest(name, place)
        return self._model(name, self._entry(name))

    def pulled(
        self, actor: object, name: str, source: str, sha256: str | None = None
    ) -> Model | None:
        """The model of that name if it came from there, and has the digest if one is given.

        Conflict if another one has the name.
        """
        self._require(actor, "models:read")
        place = self._place(_checked(name))
        if not os.path.lexists(place):
            return None
        entry = self._entry(name)
        is_other = sha256 is not None and self._digest(name, _target(place)) != sha256
        if entry.source != source or not place.exists() or is_other:
            hint = "" if name in self._shipped else f"   or   ai models rm {name}"
            raise Conflict(
                f"another model is named {name}", hint=f"ai models pull ... --name OTHER{hint}"
            )
        return self._model(name, entry)

    def abandon(self, actor: object, name: str) -> bool:
        """Remove what came of a model that was not pulled to its end; False if there is nothing."""
        self._require(actor, "models:write")
        if not _NAME.fullmatch(name) or os.path.lexists(self._dir / f"{name}.gguf"):
            return False
        is_there = self.folder(name).is_dir()
        shutil.rmtree(self.folder(name), ignore_errors=True)
        return is_there

    def folder(self, name: str) -> Path:
        """Where the files of a model rest that was pulled."""
        return self._dir / f"{_checked(name)}.files"

    def keep(self, actor: object, first: Path, name: str, source: str, sha256: str) -> Model:
        """Register a model whose files lie in its folder; `sha256` is the first one's."""
        self._require(actor, "models:write")
        place = self._dir / f"{name}.gguf"
        info = self._inspect(first)
        _link(first, place)
        mtime, state = first.stat().st_mtime_ns, state_of(first)
        self._write(name, _Entry(info, source, True, mtime, sha256, state))
        return self._model(name, self._entry(name))

    def page(self, actor: object) -> Page[Model]:
        """All models by name, also one whose file is gone."""
        self._require(actor, "models:read")
        models = [self._model(name, self._entry(name)) for name in self._names()]
        return Page(models, len(models))

    def get(self, actor: object, name: str) -> Model:
        """The model of that name; NotFound offers the names that are near."""
        self._require(actor, "models:read")
        return self._model(name, self._known(name))

    def info(self, actor: object, name: str) -> ModelInfo:
        """A model in full; Unavailable where its file is gone."""
        self._require(actor, "models:read")
        entry = self._known(name)
        self._present(name)
        return ModelInfo(
            **asdict(self._model(name, entry)),
            title=entry.info.title,
            parameters=entry.info.parameters,
            has_template=entry.info.has_template,
            calls_tools=entry.info.calls_tools,
            is_copy=entry.is_copy,
            source=entry.source,
        )

    def header(self, actor: object, name: str) -> GgufInfo:
        """What the header of the model's file says."""
        self._require(actor, "models:read")
        return self._known(name).info

    def file(self, actor: object, name: str) -> Path:
        """Where the model's weights lie, to be loaded; Unavailable where they are gone."""
        self._require(actor, "models:read")
        self._known(name)
        return self._present(name)

    def digest(self, actor: object, name: str, file: Path) -> str:
        """The SHA-256 of the model's file, which is read only if it has changed."""
        self._require(actor, "models:read")
        return self._digest(name, file)

    def choose(self, actor: object, role: str) -> tuple[str, ...]:
        """The model for a role, and the one for the other role where that is another model.

        It is the one chosen for the role, else for chat, else the first by name that was not
        chosen for code. The starter is taken only where there is nothing else.
        """
        self._require(actor, "models:read")
        roles = (role, *(other for other in self._roles if other != role))
        return tuple(dict.fromkeys(map(self._chosen, roles)))

    def remove(self, actor: object, name: str) -> Model:
        """Forget a model: our link or copy goes, an original stays."""
        self._require(actor, "models:write")
        entry, place = self._known(name), self._place(name)
        if place == self._shipped.get(name):
            raise Conflict(f"{name} ships with localai", hint="ai models use NAME   takes another")
        if not place.is_symlink() and not entry.is_copy:
            raise Conflict(f"{place} was put there by hand", hint=f"rm {place}")
        model = self._model(name, entry)
        place.unlink(missing_ok=True)
        self._sidecar(name).unlink(missing_ok=True)
        shutil.rmtree(self.folder(name), ignore_errors=True)
        return model

    def _chosen(self, role: str) -> str:
        own = sorted(self._own(), key=lambda name: name == self._roles.get("code"))
        chosen = [self._roles.get(role), self._roles.get("chat"), *own]
        return next(filter(None, chosen), STARTER)

    def _own(self) -> list[str]:
        """What was added to this home."""
        names = (place.stem for place in self._dir.glob("*.gguf"))
        return sorted(name for name in names if _NAME.fullmatch(name))

    def _names(self) -> list[str]:
        return sorted({*self._own(), *self._shipped})

    def _known(self, name: str) -> _Entry:
        if not _NAME.fullmatch(name) or not os.path.lexists(self._place(name)):
            near = get_close_matches(name, self._names())
            known = f"; near: {', '.join(near)}" if near else ""
            raise NotFound(f"there is no model {name}{known}", hint="ai models list")
        return self._entry(name)

    def _present(self, name: str) -> Path:
        place = self._place(name)
        if not place.exists():
            raise Unavailable(
                f"the file of {name} is gone: {_target(place)}",
                hint=f"put it back, or: ai models rm {name}, then ai models add FILE",
            )
        return _target(place)

    def _entry(self, name: str) -> _Entry:
        """The sidecar where it still holds, else what the file's header says now."""
        place = self._place(name)
        kept = self._read(name)
        if not place.exists():
            return kept or _Entry(_UNREADABLE, str(_target(place)), False, 0)
        state = place.stat()
        is_same = kept and (kept.info.size_bytes, kept.mtime_ns) == (
            state.st_size,
            state.st_mtime_ns,
        )
        if kept and is_same and kept.format == _FORMAT:
            return kept
        try:
            info = self._inspect(place)
        except Invalid:
            # A list must show what is broken, so that it can be removed.
            info = replace(_UNREADABLE, size_bytes=state.st_size)
        is_copy = kept is not None and kept.is_copy
        source = kept.source if kept else str(_target(place))
        entry = _Entry(info, source, is_copy, state.st_mtime_ns)
        if kept and is_same:
            entry = replace(entry, sha256=kept.sha256, state=kept.state)
        self._keep(name, entry)
        return entry

    def _digest(self, name: str, file: Path) -> str:
        kept, state = self._read(name), state_of(file)
        if kept and tuple(kept.state) == state:
            return kept.sha256
        sha256 = file_sha256(file)
        if kept:
            self._keep(name, replace(kept, sha256=sha256, state=state))
        return sha256

    def _holds(self, place: Path, source: Path) -> bool:
        """Whether `source` is what was registered at `place`."""
        kept = self._read(place.stem)
        if kept and kept.is_copy:
            return kept.source == str(source) and kept.info.size_bytes == source.stat().st_size
        return place.exists() and place.samefile(source)

    def _model(self, name: str, entry: _Entry) -> Model:
        return Model(
            name=name,
            file=str(_target(self._place(name))),
            size_bytes=entry.info.size_bytes + entry.info.other_bytes,
            architecture=entry.info.architecture,
            quantization=entry.info.quantization,
            context=entry.info.context,
            roles=tuple(role for role, chosen in self._roles.items() if chosen == name),
        )

    def _place(self, name: str) -> Path:
        """Where the model lies; one that was put into the home by hand hides a shipped one."""
        place = self._dir / f"{name}.gguf"
        return place if os.path.lexists(place) else self._shipped.get(name, place)

    def _sidecar(self, name: str) -> Path:
        return self._dir / f"{name}.json"

    def _write(self, name: str, entry: _Entry) -> None:
        text = json.dumps(asdict(entry), ensure_ascii=False, indent=2)
        write_private(self._sidecar(name), text.encode())

    def _keep(self, name: str, entry: _Entry) -> None:
        with suppress(OSError):  # it only saves time, and the folder may be read-only
            self._write(name, entry)

    def _read(self, name: str) -> _Entry | None:
        try:
            found = json.loads(self._sidecar(name).read_bytes())
            shape = found["info"].get("shape")
            info = GgufInfo(**found["info"] | {"shape": Shape(**shape) if shape else None})
            return _Entry(**{"format": 1} | found | {"info": info})
        except (OSError, ValueError, TypeError, KeyError):
            return None


_UNREADABLE = GgufInfo("unreadable", "", 0, 0, has_template=False, parameters=0, title="")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name!r} cannot be a model's name: letters, digits, dots, dashes and underscores",
            hint="ai models add FILE --name NAME",
        )
    return name


def _target(place: Path) -> Path:
    return place.readlink() if place.is_symlink() else place.absolute()


def _link(source: Path, place: Path) -> None:
    try:
        place.symlink_to(source)
    except OSError as error:
        raise Unavailable(
            f"{place} cannot be linked to {source}", hint=f"ai models add {source} --copy"
        ) from error


def _copy(source: Path, place: Path) -> None:
    """Copy whole or not at all."""
    need, free = source.stat().st_size, shutil.disk_usage(place.parent).free
    if need + SPARE_BYTES > free:
        raise Unavailable(
            f"the copy needs {need:,} bytes, and {place.parent} has {free:,}",
            hint=f"ai models add {source}   links the file instead",
        )
    handle, scratch = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(handle, "wb") as copy, source.open("rb") as original:
            shutil.copyfileobj(original, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        Path(scratch).replace(place)
    except OSError as error:
        raise Unavailable(f"{source} could not be copied", hint="ai doctor") from error
    finally:
        Path(scratch).unlink(missing_ok=True)
