"""Runs the installed `ai` in subprocesses."""

import json
import os
import subprocess
import sys
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
