"""Runs the installed `ai` in subprocesses, `ai serve` too."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AI = Path(sys.executable).with_name("ai")


@dataclass(frozen=True)
class Done:
    """What a finished command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as one JSON document."""
        return json.loads(self.out)


class Ai:
    """`ai` in one home and one workspace."""

    def __init__(self, home: Path, workspace: Path) -> None:
        self.home = home
        self.workspace = workspace
        clean = {key: value for key, value in os.environ.items() if not key.startswith("LOCALAI_")}
        self.environment = clean | {"LOCALAI_HOME": str(home), "NO_COLOR": "1"}

    def __call__(self, *words: object, stdin: str = "", **environment: str) -> Done:
        """Run to the end."""
        process = self.start(*words, **environment)
        out, err = process.communicate(stdin, timeout=120)
        return Done(process.returncode, out, err)

    def start(self, *words: object, **environment: str) -> subprocess.Popen[str]:
        """Start and return at once."""
        return subprocess.Popen(
            [str(AI), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.workspace,
            env=self.environment | environment,
        )


@contextmanager
def serving(
    ai: Ai, *options: str, ends: signal.Signals = signal.SIGTERM
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address of `ai serve` at a port of its own; it ends as it is told to."""
    with ai.start("serve", "--port", "0", *options) as process:
        assert process.stderr is not None
        found = re.search(r"https?://[\d.:]+", process.stderr.readline())
        assert found is not None
        try:
            yield found[0], process
        finally:
            process.send_signal(ends)
            process.wait(timeout=30)
