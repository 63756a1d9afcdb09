"""Indexes or removes a collection, and kills itself at the step that it was told."""

import os
import signal
import sys
from pathlib import Path

import qdrant_edge
from rag_home import WRITER, room

from localai.rag import edge, ingest
from localai.rag.records import SHIPPED_MODEL, Progress

_STEPS = {"rename", "mkdir", "rmdir", "unlink", "rmtree", "Connection.commit", "Connection.execute"}


def main(home: Path, documents: Path, verb: str, last: int) -> None:
    """Do it, saying after each file what was done; `last` 0 lives on and says how many steps."""
    small()
    here = room(home)
    here.rag._store._embedder(SHIPPED_MODEL).load()
    count = 0

    def stepped(_: object, event: str, called: object) -> None:
        nonlocal count
        name = getattr(called, "__qualname__", "")
        if event in ("c_call", "c_return") and (name in _STEPS or name.startswith("EdgeShard.")):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(stepped)
    if verb == "remove":
        here.rag.remove(WRITER, "default")
    else:
        here.rag.index(WRITER, [documents], on_progress=_say)
    sys.setprofile(None)
    print(count)


def small() -> None:
    """Let a few passages be a batch, and each be sealed at once."""
    ingest.BATCH = edge._SEALED_AT = 5
    edge._SEALING = qdrant_edge.EdgeOptimizersConfig(indexing_threshold=1)


def _say(step: Progress) -> None:
    print(step.action, step.source, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
