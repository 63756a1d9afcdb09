"""Follows folders: one index run for each gathered change, until somebody stops it.

Every run goes through all of the folders, because only that gives .gitignore files, renamed
folders and deleted ones their meaning; but it reads only files that were touched. Between runs
nothing is held: neither the index nor the database.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from localai.core.clock import Clock, rfc3339
from localai.core.errors import Conflict, Invalid, LocalaiError, NotFound, Unavailable
from localai.rag.changes import Changes
from localai.rag.places import must_exist
from localai.rag.records import Action, IndexReport, Progress, Skipped, Touched, WatchRun
from localai.rag.seen import Seen

# A run that failed, because somebody held the index perhaps, is tried again after this.
AGAIN_S = 10.0

_MOST_NAMES = 100
_TOLD: frozenset[Action] = frozenset({"added", "updated", "removed"})
_NOT_DOCUMENTS = frozenset({"node_modules", "__pycache__"})
_IGNORE = ".gitignore"
# Copies and locks that editors, browsers and office programs put beside a file for a moment.
_BRIEF_ENDS = ("~", ".tmp", ".part", ".crdownload", ".swp")
_BRIEF_STARTS = ("~$", "#")
_BRIEF_NAMES = frozenset({"4913"})

OnProgress = Callable[[Progress], None]
_Identity = tuple[int, int] | None


class Index(Protocol):
    """One index run over the paths."""

    def __call__(
        self, paths: Sequence[Path], *, on_progress: OnProgress, seen: Seen
    ) -> IndexReport:
        """What it did."""


class Watch:
    """Some paths and what follows them; `own` are folders of ours, whose changes are our own."""

    def __init__(
        self,
        index: Index,
        paths: Sequence[Path],
        *,
        release: Callable[[], None],
        own: Sequence[Path] = (),
        clock: Clock | None = None,
    ) -> None:
        for path in paths:
            must_exist(path)
        self._paths = list(dict.fromkeys(path.expanduser().resolve() for path in paths))
        self._index = index
        self._release = release
        self._own = [path.resolve() for path in own]
        self._clock = clock or Clock()
        self._seen = Seen()
        self._skipped: set[Skipped] = set()
        self._identities = self._look()
        self._changes = Changes(self._paths)
        self._failed: tuple[float, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._changes.close()

    @property
    def is_polling(self) -> bool:
        """Whether the paths are looked at again and again, because their system tells nothing."""
        return self._changes.is_polling

    def start(self, on_progress: OnProgress | None = None) -> WatchRun:
        """The first run; whatever makes it fail is raised, because it would fail again."""
        return self._run(on_progress)

    def runs(self) -> Iterator[WatchRun | LocalaiError]:
        """What follows, for ever: a run that changed something, or what went wrong."""
        while True:
            yield from self.step()

    def step(self) -> Iterator[WatchRun | LocalaiError]:
        """Wait for a change, a second at most, and index what it was."""
        changed = self._changes.wait()
        is_wanted = any(map(self._is_wanted, changed))
        identities = self._look()
        # Who listens hears no more of what was replaced; who looks again does.
        is_replaced = not (self.is_polling or changed.isdisjoint(self._paths))
        if is_replaced or identities != self._identities:
            yield from self._gone(identities)
            self._listen_again(identities)
            is_wanted = True
        if any(identities.values()) and (is_wanted or self._is_due()):
            yield from self._tried()

    def _tried(self) -> Iterator[WatchRun | LocalaiError]:
        """A run that is told if it changed something; a failure is told once and tried again."""
        before = self._failed
        self._failed = None
        try:
            run = self._run()
        except (Conflict, Invalid, NotFound, Unavailable) as error:
            self._failed = (time.monotonic(), error.message)
            if before is None or before[1] != error.message:
                yield error
        else:
            if run.added or run.updated or run.removed or run.skipped:
                yield run

    def _run(self, on_progress: OnProgress | None = None) -> WatchRun:
        touched: list[Touched] = []

        def stepped(step: Progress) -> None:
            if step.action in _TOLD and len(touched) < _MOST_NAMES:
                touched.append(Touched(step.source, step.action))
            if on_progress:
                on_progress(step)

        present = [path for path in self._paths if self._identities[path]]
        try:
            report = self._index(present, on_progress=stepped, seen=self._seen)
        finally:
            self._release()
        new = tuple(each for each in report.skipped if each not in self._skipped)
        self._skipped = set(report.skipped)
        at = rfc3339(self._clock.now_us())
        return WatchRun(**vars(report) | {"skipped": new}, at=at, files=tuple(touched))

    def _is_due(self) -> bool:
        return self._failed is not None and time.monotonic() - self._failed[0] > AGAIN_S

    def _look(self) -> dict[Path, _Identity]:
        return {path: _identity(path) for path in self._paths}

    def _gone(self, now: Mapping[Path, _Identity]) -> Iterator[NotFound]:
        for path in self._paths:
            if self._identities[path] and not now[path]:
                message = f"{path} is gone; what it said stays in the index"
                hint = f"bring it back, or take it out of the index: ai rag index {path}"
                yield NotFound(message, hint=hint)

    def _listen_again(self, now: dict[Path, _Identity]) -> None:
        self._changes.close()
        self._identities = now
        self._changes = Changes([path for path in self._paths if now[path]])

    def _is_wanted(self, changed: Path) -> bool:
        """Whether a change to the path can be one of documents."""
        if any(changed.is_relative_to(own) for own in self._own):
            return False
        tops = [path for path in self._paths if changed.is_relative_to(path)]
        return any(_is_document(changed.relative_to(top)) for top in tops)


def _is_document(path: Path) -> bool:
    name = path.name
    if any(part.startswith(".") or part in _NOT_DOCUMENTS for part in path.parts):
        return name == _IGNORE and not any(part.startswith(".") for part in path.parts[:-1])
    is_brief = name.endswith(_BRIEF_ENDS) or name.startswith(_BRIEF_STARTS)
    return not (is_brief or name in _BRIEF_NAMES)


def _identity(path: Path) -> _Identity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
