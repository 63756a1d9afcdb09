"""Debian's Prometheus and Alertmanager on loopback ports, while they are needed; for tests.

A machine without them fails: `make prove` installs them.
"""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from web_server import closed_port

DASHBOARDS = Path(__file__).parents[1] / "dashboards"
_PATIENCE_S = 20
_BREATH_S = 0.05


@contextmanager
def prometheus(config: Path, folder: Path, *options: str) -> Iterator[str]:
    """The address of a Prometheus with this configuration; data and log go to the folder."""
    port = closed_port()
    command = (
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    )
    with _standing(command, port, folder / "prometheus.log") as address:
        yield address


@contextmanager
def alertmanager(config: Path, folder: Path, *options: str) -> Iterator[str]:
    """The address of an Alertmanager with this configuration; it talks to no other one."""
    port = closed_port()
    command = (
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        *options,
    )
    with _standing(command, port, folder / "alertmanager.log") as address:
        yield address


@contextmanager
def _standing(command: Sequence[str], port: int, log: Path) -> Iterator[str]:
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            _wait(address, process, log)
            yield address
        finally:
            process.terminate()
            process.wait(_PATIENCE_S)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until it is ready; AssertionError with its log where it ends, or takes too long."""
    end = time.monotonic() + _PATIENCE_S
    while not _is_ready(address):
        is_alive = process.poll() is None and time.monotonic() < end
        assert is_alive, log.read_text(encoding="utf-8")
        time.sleep(_BREATH_S)


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
