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
        if isinstance(parts, str):
            return Refused(source.key, parts)
        return replace(source, parts=parts, origin=None)

    def read(self, path: Path) -> tuple[Part, ...] | str:
        """The document's parts; a text says why there are none."""
        answer = self._asked(path, self._longest_s)
        if isinstance(answer, str):
            return answer
        return tuple(Part(place, plain(text), kind) for place, kind, text in answer["parts"])

    def outline(self, path: Path) -> tuple[Definition, ...]:
        """What the code defines; nothing where that cannot be told, or not soon."""
        answer = self._asked(path, min(self._longest_s, _LONGEST_OUTLINE_S))
        found = () if isinstance(answer, str) else answer["outline"]
        return tuple(Definition(start, end, tuple(names)) for start, end, names in found)

    def _asked(self, path: Path, longest_s: float) -> dict[str, Any] | str:
        """The worker's answer; a text says why there is none."""
        worker = self._running()
        try:
            os.write(_handle(worker.stdin), json.dumps(os.fspath(path)).encode() + b"\n")
            line = self._line(_handle(worker.stdout), time.monotonic() + longest_s)
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            is_slow = worker.poll() is None
            self.close()
            return f"not read within {longest_s:.0f} seconds" if is_slow else "broken"
        answer: dict[str, Any] = json.loads(line)
        return str(answer["reason"]) if "reason" in answer else answer

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
        """What the worker answers, cut off where it takes too long or says too much."""
        found = bytearray()
        while not found.endswith(b"\n") and len(found) < _MOST_ANSWER:
            ready, _, _ = select.select([handle], [], [], max(0, until - time.monotonic()))
            if not ready or not (piece := os.read(handle, 1 << 16)):
                break
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


def _handle(pipe: IO[bytes] | None) -> int:
    return pipe.fileno() if pipe is not None else -1
