"""The log: one JSON object a line, secrets redacted, each event as the catalogue has it.

A line also names the command, and the request and the conversation that were worked on when it
was written. Nothing is opened before the first line is written.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from localai import __version__
from localai.core.clock import rfc3339
from localai.core.events import EVENTS
from localai.core.log_file import LogFile
from localai.core.redact import redact, redact_all

T = TypeVar("T")

MOST_TEXT = 2_000  # characters of a field
MOST_LISTED = 100
MOST_TRACEBACK = 20_000

logger = logging.getLogger("localai")
# Tests set it: what the catalogue does not know is then an error, not a line like any other.
is_strict = False

_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))
_ABOUT = "logged_about"


def configure(path: Path, level: str, command: str | None = None) -> None:
    """Send this process's log to the file, from the level up; `command` is noun and verb."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.addHandler(JsonFile(path, command))
    logger.setLevel(level.upper())
    logger.propagate = False


def adopt(*libraries: str) -> None:
    """Send what these libraries log into our file as well, and nowhere else; from warnings up."""
    for name in libraries:
        theirs = logging.getLogger(name)
        theirs.handlers = list(logger.handlers)
        theirs.setLevel(logging.WARNING)
        theirs.propagate = False


@contextmanager
def about(*, session: str | None = None, approval: str | None = None) -> Iterator[None]:
    """Name these in every line that is written within, and in that of an error that leaves it."""
    given = {"session": session, "approval": approval}
    token = _about.set({**_about.get(), **{key: each for key, each in given.items() if each}})
    try:
        yield
    except BaseException as error:
        if not hasattr(error, _ABOUT):
            setattr(error, _ABOUT, _about.get())
        raise
    finally:
        _about.reset(token)


def about_of(error: BaseException) -> Mapping[str, str]:
    """What the log was about where the error came from."""
    return getattr(error, _ABOUT, {})


def steps_about(steps: Generator[T], session: str) -> Generator[T]:
    """The steps, each taken within `about`; whoever takes them is not within it in between."""
    try:
        while True:
            with about(session=session):
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step
    finally:
        with about(session=session):
            steps.close()


def write(event: str, raised: BaseException | None = None, /, **fields: object) -> None:
    """Log what happened, at the level that the catalogue gives it; `raised` with its traceback."""
    _check(event, fields)
    if not logger.handlers:
        return
    known = EVENTS.get(event)
    level = logging.getLevelNamesMapping()[known.level.upper()] if known else logging.INFO
    if logger.isEnabledFor(level):
        # Built by hand: looking for the line of code that logs takes longer than writing it down.
        record = logging.LogRecord(logger.name, level, "", 0, event, (), _information(raised))
        record.fields = {**_about.get(), **fields}
        logger.handle(record)


@contextmanager
def serving(address: str) -> Iterator[None]:
    """Log that other programs can call at this address, and that they no longer can."""
    began = time.monotonic()
    write("server.started", address=address)
    try:
        yield
    finally:
        write("server.stopped", address=address, seconds=round(time.monotonic() - began, 1))


def prepared(event: str, **fields: object) -> Callable[[], None]:
    """What writes this line later, as it would be written here."""
    said = {**_about.get(), **fields}
    return lambda: write(event, **said)


def _check(event: str, fields: Mapping[str, object]) -> None:
    if is_strict:
        known = {*EVENTS[event].fields, "session", "approval"} if event in EVENTS else set()
        if event not in EVENTS or not fields.keys() <= known:
            raise ValueError(f"the catalogue of events has no {event} with {sorted(fields)}")


class JsonFile(logging.Handler):
    """Appends records as JSON lines."""

    def __init__(self, path: Path, command: str | None = None) -> None:
        super().__init__()
        self._file = LogFile(path)
        self._fixed = {"pid": os.getpid(), "version": __version__}
        if command:
            self._fixed["command"] = command

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a log that cannot be written never stops the work."""
        try:
            line = self._line(record)
            self._file.append((line + "\n").encode(errors="backslashreplace"))
        except (OSError, TypeError, ValueError, RecursionError):
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Stay silent: a full disk is the doctor's to tell."""

    def _line(self, record: logging.LogRecord) -> str:
        """The record as JSON; redacted before that, because escapes would hide a secret."""
        event, fields = _said(record)
        entry = {
            "at": rfc3339(int(record.created * 1_000_000)),
            "level": _LEVELS.get(record.levelno, "error"),
            "event": event,
            **self._fixed,
        }
        said = {key: each for key, each in fields.items() if each is not None}
        if record.exc_info and (error := record.exc_info[1]) is not None:
            said = {**about_of(error), **said}
            text = logging.Formatter().formatException(record.exc_info)
            # Redacted before it is cut: a half of a secret has no shape. The end says most.
            said["traceback"] = redact(text)[-MOST_TRACEBACK:]
        entry |= {key: _short(each, key) for key, each in redact_all(said).items()}
        return _ENCODER.encode(entry)


_LEVELS = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
}


def _said(record: logging.LogRecord) -> tuple[str, Mapping[str, Any]]:
    """The event and its fields; what is not ours is a library's."""
    fields: Mapping[str, Any] | None = getattr(record, "fields", None)
    if fields is not None or record.msg in EVENTS:
        return record.msg, fields or _about.get()
    said = {"library": record.name, "message": record.getMessage()}
    return "library.said", {**_about.get(), **said}


def _short(value: object, key: str) -> object:
    if isinstance(value, str) and len(value) > MOST_TEXT and key != "traceback":
        return f"{value[:MOST_TEXT]}..."
    return value[:MOST_LISTED] if isinstance(value, list) else value


def _information(error: BaseException | None) -> Any:
    return (type(error), error, error.__traceback__) if error is not None else None


def _as_text(value: object) -> str:
    return redact(str(value))


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=_as_text)
