"""The log file: one JSON object a line, secrets redacted, rotated at 5 MB, five files kept.

Several processes write the same file: a line is one append, and only the holder of a lock
rotates. Nothing is opened before the first line is written.
"""

import json
import logging
import os
from pathlib import Path

from localai.core.clock import rfc3339
from localai.core.files import locked, private_dir
from localai.core.redact import redact, redact_all

MAX_BYTES = 5_000_000
KEPT = 5

logger = logging.getLogger("localai")


def configure(path: Path, level: str) -> None:
    """Send this process's log to the file, from the level up."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.addHandler(JsonFile(path))
    logger.setLevel(level.upper())
    logger.propagate = False


def adopt(*libraries: str) -> None:
    """Send what these libraries log into our file as well, and nowhere else; from warnings up."""
    for name in libraries:
        theirs = logging.getLogger(name)
        theirs.handlers = list(logger.handlers)
        theirs.setLevel(logging.WARNING)
        theirs.propagate = False


def write(event: str, **fields: object) -> None:
    """Log what happened, with its circumstances."""
    logger.info(event, extra={"fields": fields})


class JsonFile(logging.Handler):
    """Appends records as JSON lines."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a log that cannot be written never stops the work."""
        try:
            line = (_line(record) + "\n").encode(errors="backslashreplace")
            private_dir(self._path.parent)
            with locked(self._path.with_name(self._path.name + ".lock")):
                self._rotate()
                self._append(line)
        except (OSError, TypeError, ValueError):
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Stay silent: a full disk is the doctor's to tell."""

    def _append(self, line: bytes) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    def _rotate(self) -> None:
        if not self._path.exists() or self._path.stat().st_size < MAX_BYTES:
            return
        numbered = [self._path.with_name(f"{self._path.name}.{n}") for n in range(1, KEPT)]
        for older, newer in zip(
            reversed(numbered), [*reversed(numbered[:-1]), self._path], strict=True
        ):
            if newer.exists():
                newer.replace(older)


def _line(record: logging.LogRecord) -> str:
    fields = getattr(record, "fields", {})
    entry = {
        "at": rfc3339(int(record.created * 1_000_000)),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        "pid": record.process,
        **fields,
    }
    if record.exc_info:
        entry["traceback"] = logging.Formatter().formatException(record.exc_info)
    # Before it is JSON: escapes would hide a secret, and a mark outside quotes breaks the line.
    return json.dumps(redact_all(entry), ensure_ascii=False, default=_as_text)


def _as_text(value: object) -> str:
    return redact(str(value))
