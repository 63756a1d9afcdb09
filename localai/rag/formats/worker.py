"""Reads documents that may be hostile, in a process of its own with bounded memory and time.

Takes a path a line, answers with one line of JSON: the parts, or why there are none. Whatever a
document makes of this process, the one that asked goes on with the next.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from localai.rag.formats.archive import Unreadable
from localai.rag.sources import Part

Reader = Callable[[Path], Iterator[Part]]
MOST_MEMORY = 1_500_000_000
MOST_TEXT = 20_000_000
_READERS = {
    ".csv": ("office", "separated"),
    ".docx": ("office", "word"),
    ".epub": ("web", "epub"),
    ".htm": ("web", "html"),
    ".html": ("web", "html"),
    ".hwpx": ("office", "hwpx"),
    ".ipynb": ("notebook", "notebook"),
    ".pdf": ("pdf", "pdf"),
    ".pptx": ("office", "slides"),
    ".tsv": ("office", "separated"),
    ".xhtml": ("web", "html"),
    ".xlsx": ("office", "sheets"),
}


def main() -> None:
    """Read until there is nothing more to read."""
    with suppress(ValueError, OSError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # What a library prints must not be taken for an answer.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(2, 1)
        for line in sys.stdin.buffer:
            answers.write(f"{json.dumps(_read(Path(json.loads(line))))}\n")
            answers.flush()


def _read(path: Path) -> dict[str, object]:
    parts, size = [], 0
    module, name = _READERS[path.suffix.lower()]
    try:
        # Each library is loaded for the first document that needs it.
        reader: Reader = getattr(import_module(f"localai.rag.formats.{module}"), name)
        for part in reader(path):
            parts.append([part.place, part.kind, part.text])
            size += len(part.text)
            if size > MOST_TEXT:
                return {"reason": f"more than {MOST_TEXT // 1_000_000} million characters"}
    except Unreadable as error:
        return {"reason": str(error)}
    except OSError as error:
        reason = f"cannot be read: {error.strerror or type(error).__name__}"
        return {"reason": reason, "is_error": error.filename is not None}
    except MemoryError:
        return {"reason": f"takes more than {MOST_MEMORY // 1_000_000} MB of memory to read"}
    except Exception as error:  # noqa: BLE001 - a stranger's document makes a library fail in any way
        return {"reason": f"broken: {type(error).__name__}"}
    return {"parts": parts} if parts else {"reason": "holds no text"}


if __name__ == "__main__":
    main()
