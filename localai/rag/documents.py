"""Reads documents through a worker process, which may die of them."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from localai.rag.grammars import has_grammar
from localai.rag.sources import Definition, Held, Part, Refused, Source, plain

LONGEST_S: Final = 30.0
_LONGEST_OUTLINE_S: Final = 5.0
_MOST_ANSWER: Final = 150_000_000
_PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR")


class Documents:
    """The worker: started for the first document, and again after one that it did not survive."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._worker: subprocess.Popen[bytes] | None = None

    def whole(self, source: Source) -> Source | Refused:
        """The source with what only a process of its own reads of it."""
        if source.origin is None or not (source.is_document or has_grammar(source.origin.suffix)):
            return source
        with _file(source.origin) as path:
            if not source.is_document:
                return replace(source, outline=self.outline(path), origin=None)
            parts = self.read(path)
        if isinstance(parts, Refused):
            return replace(parts, key=source.key)
        return replace(source, parts=parts, origin=None)

    def read(self, path: Path) -> tuple[Part, ...] | Refused:
        """The document's parts; Refused says why there are none."""
        answer = self._asked(path, self._longest_s)
        if isinstance(answer, Refused):
            return answer
        return tuple(Part(place, _clean(text), kind) for place, kind, text in answer["parts"])

    def outline(self, path: Path) -> tuple[Definition, ...]:
        """What the code defines; nothing where that cannot be told, or not soon."""
        answer = self._asked(path, min(self._longest_s, _LONGEST_OUTLINE_S))
        found = () if isinstance(answer, Refused) else answer["outline"]
        return tuple(Definition(start, end, tuple(names)) for start, end, names in found)

    def _asked(self, path: Path, longest_s: float) -> dict[str, Any] | Refused:
        """The worker's answer; Refused says why there is none."""
        line = self._told(path, longest_s)
        if line is None:  # it may have died of the document before
            line = self._told(path, longest_s)
        if line is None:
            return Refused(str(path), "broken")
        if not line.endswith(b"\n"):
            self.close()
            if len(line) >= _MOST_ANSWER:
                return Refused(str(path), f"more than {_MOST_ANSWER // 1_000_000} MB of text")
            reason = f"not read within {longest_s:.0f} seconds"
            return Refused(str(path), reason, is_error=True)  # on a busy machine a good one is slow
        answer: dict[str, Any] = json.loads(line)
        if "reason" in answer:
            is_error = bool(answer.get("is_error"))
            return Refused(str(path), str(answer["reason"]), is_error=is_error)
        return answer

    def _told(self, path: Path, longest_s: float) -> bytes | None:
        """What the worker answers, as far as it came in time; None where it died."""
        worker = self._running()
        try:
            os.write(_handle(worker.stdin), json.dumps(os.fspath(path)).encode() + b"\n")
            return self._line(_handle(worker.stdout), time.monotonic() + longest_s)
        except (OSError, EOFError):
            self.close()
            return None

    def close(self) -> None:
        """End the worker, whatever it does."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._worker is None or self._worker.poll() is not None:
            self.close()
            # Keys and secrets of this process are none of a document's business.
            environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            self._worker = subprocess.Popen(
                [sys.executable, "-I", "-m", "localai.rag.formats.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        return self._worker

    def _line(self, handle: int, until: float) -> bytes:
        """What is written to the pipe, cut off where it takes too long or gets too much."""
        found = bytearray()
        while not found.endswith(b"\n") and len(found) < _MOST_ANSWER:
            ready, _, _ = select.select([handle], [], [], max(0, until - time.monotonic()))
            if not ready:
                break
            piece = os.read(handle, 1 << 16)
            if not piece:
                raise EOFError
            found += piece
        return bytes(found)


@contextmanager
def _file(origin: Path | Held) -> Iterator[Path]:
    """A file that holds the document: a private one, where it came from elsewhere."""
    if isinstance(origin, Path):
        yield origin
        return
    with tempfile.NamedTemporaryFile(prefix="localai-", suffix=origin.suffix) as file:
        file.write(origin.data)
        file.flush()
        yield Path(file.name)


def _clean(text: str) -> str:
    """Half characters, which no encoding has, become question marks."""
    return plain(text.encode("utf-8", "replace").decode())


def _handle(pipe: IO[bytes] | None) -> int:
    return pipe.fileno() if pipe is not None else -1
