"""What telling people costs whoever decides: `ai approve` with a dead mail server and without.

Alternately, each in a home of its own; the ratio of the medians is what counts. `silent` is a
server that takes the connection and never says a word, `closed` a port at which nobody listens.

    python benchmarks/notify.py [--rounds N]
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

AI = Path(sys.executable).with_name("ai")


def config(home: Path, port: int | None) -> None:
    mail = f'[notify.smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nto = "a@b.org"\n'
    (home / "config.toml").write_text(mail if port else "")


def ai(home: Path, *words: str) -> str:
    command, environment = [str(AI), *words], _environment(home)
    done = subprocess.run(
        command, env=environment, cwd=home.parent, capture_output=True, text=True, check=False
    )
    return done.stdout


def timed(home: Path, *words: str) -> tuple[float, float]:
    """Milliseconds of the wall and of the processor that a command takes by itself."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [str(AI), *words], env=_environment(home), cwd=home.parent, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def _environment(home: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LOCALAI_")}
    return clean | {"LOCALAI_HOME": str(home)}


def approve(home: Path, port: int | None) -> tuple[float, float]:
    """One `ai approve` of a request that was made before."""
    config(home, None)
    ai(home, "tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "x"}')
    waiting = ai(home, "approvals", "list", "--status", "pending", "-q").split()[0]
    config(home, port)
    return timed(home, "approve", waiting, "-y")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    # What the commands leave behind may still be sending when the folder goes.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        socket.create_server(("127.0.0.1", 0), backlog=1000) as silent,
        socket.socket() as closed,
    ):
        closed.bind(("127.0.0.1", 0))
        ports = {
            "without": None,
            "silent": silent.getsockname()[1],
            "closed": closed.getsockname()[1],
        }
        homes = {name: Path(folder) / name for name in ports}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ports}
        for home in homes.values():
            ai(home, "init")
        for turn in range(rounds):
            order = deque(ports)
            order.rotate(turn)
            for name in order:
                times[name].append(approve(homes[name], ports[name]))
    without = [statistics.median(each) for each in zip(*times["without"], strict=True)]
    for name, taken in times.items():
        medians = [statistics.median(each) for each in zip(*taken, strict=True)]
        for unit, median, other in zip(("wall", "CPU"), medians, without, strict=True):
            print(f"{name:8} {unit:4} {median:7.1f} ms   {median / other:.3f} of without")


if __name__ == "__main__":
    main()
