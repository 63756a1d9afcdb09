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
from pathlib import Path

AI = Path(sys.executable).with_name("ai")


def config(home: Path, port: int | None) -> None:
    mail = f'[notify.smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nto = "a@b.org"\n'
    (home / "config.toml").write_text(mail if port else "")


def ai(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LOCALAI_")}
    environment = clean | {"LOCALAI_HOME": str(home)}
    command = [str(AI), *words]
    return subprocess.run(
        command, env=environment, cwd=home.parent, capture_output=True, text=True, check=False
    )


def approve(home: Path, port: int | None) -> float:
    """Milliseconds of one `ai approve` whose request was made before."""
    config(home, None)
    ai(home, "tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "x"}')
    waiting = ai(home, "approvals", "list", "--status", "pending", "-q").stdout.split()[0]
    config(home, port)
    started = time.perf_counter()
    done = ai(home, "approve", waiting, "-y")
    took = (time.perf_counter() - started) * 1000
    assert done.returncode == 0, done.stderr
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as folder,
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
        times: dict[str, list[float]] = {name: [] for name in ports}
        for home in homes.values():
            assert ai(home, "init").returncode == 0
        for _ in range(rounds):
            for name, port in ports.items():
                times[name].append(approve(homes[name], port))
        without = statistics.median(times["without"])
        for name, taken in times.items():
            median = statistics.median(taken)
            print(f"{name:8} {median:7.1f} ms   {median / without:.3f} of without")


if __name__ == "__main__":
    main()
