"""How long `ai` takes to start, against a bare program that does the least a person could accept.

Each command and its bare counterpart run in turn, so that a slow minute slows both; the figure
is the ratio of their medians, in wall time and in CPU time (user and system). The exit status
is 1 if a ratio is over its target.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 15
TARGET = 1.5
AI = Path(sys.executable).with_name("ai")

TYPER_AND_RICH = "import typer, rich.table"
CONNECTED = """
import typer, rich.table, rich.console, sys
import sqlalchemy as sa
engine = sa.create_engine("sqlite:///" + sys.argv[1])
with engine.connect() as connection:
    connection.exec_driver_sql("PRAGMA user_version").scalar_one()
"""


@dataclass(frozen=True)
class Run:
    """Seconds that one process took."""

    wall: float
    cpu: float


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="localai-startup-") as folder:
        home = Path(folder)
        environment = _environment(home)
        subprocess.run([AI, "init"], env=environment, check=True, stdout=subprocess.DEVNULL)
        database = str(home / "data" / "localai.db")
        python = sys.executable
        pairs = {
            "ai --help": ([AI, "--help"], [python, "-c", TYPER_AND_RICH]),
            "ai approvals list": ([AI, "approvals", "list"], [python, "-c", CONNECTED, database]),
        }
        print(f"medians of {ROUNDS} alternating rounds, milliseconds; target {TARGET}")
        print(f"{'command':20}{'':6}{'ai':>8}{'bare':>8}{'ratio':>8}")
        kept = [_compared(name, ours, bare, environment) for name, (ours, bare) in pairs.items()]
    return 0 if all(kept) else 1


def _compared(
    name: str, ours: list[str | Path], bare: list[str | Path], environment: dict[str, str]
) -> bool:
    for command in (ours, bare):  # the first run reads from disk and writes byte code
        _timed(command, environment)
    rounds = [(_timed(ours, environment), _timed(bare, environment)) for _ in range(ROUNDS)]
    ratios = []
    for unit in ("wall", "cpu"):
        mine = statistics.median(getattr(a, unit) for a, _ in rounds)
        theirs = statistics.median(getattr(b, unit) for _, b in rounds)
        ratios.append(mine / theirs)
        missed = "" if ratios[-1] <= TARGET else "  over the target"
        figures = f"{mine * 1000:8.0f}{theirs * 1000:8.0f}{ratios[-1]:8.2f}"
        print(f"{name:20}{unit:6}{figures}{missed}")
    return max(ratios) <= TARGET


def _timed(command: list[str | Path], environment: dict[str, str]) -> Run:
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return Run(wall, usage.ru_utime + usage.ru_stime)


def _environment(home: Path) -> dict[str, str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("LOCALAI_")}
    return {**ours, "LOCALAI_HOME": str(home)}


if __name__ == "__main__":
    sys.exit(main())
