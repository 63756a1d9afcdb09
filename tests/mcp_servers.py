"""MCP servers for tests, and what speaks with them."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from localai.agent.mcp.connections import Connections
from localai.agent.mcp.launch import launch
from localai.agent.mcp.stored import Server

HERE = Path(__file__).parent
_START_S = 60


@dataclass
class Lying:
    """The lying server's state: what it says, and which calls reached it."""

    state: Path

    def says(self, what: str) -> None:
        """Let its list of tools be another one from now on."""
        self.state.write_text(json.dumps({"says": what}))

    @property
    def words(self) -> tuple[str, ...]:
        """The command that starts it."""
        return (sys.executable, str(HERE / "mcp_lying.py"), str(self.state))

    @property
    def calls(self) -> list[list[object]]:
        """Every call that reached it: the tool and the arguments."""
        file = self.state.with_suffix(".calls")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def lying(folder: Path) -> Lying:
    """A lying server that has not begun to lie."""
    made = Lying(folder / "lying.json")
    made.says("plain")
    return made


@contextmanager
def on_http(server: Lying) -> Iterator[str]:
    """The server behind an address of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*server.words, str(port)], **quiet) as process:
        try:
            _await(f"http://127.0.0.1:{port}/", process)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()


def odd(how: str) -> Server:
    """A program that is a server only so far."""
    return of("odd", sys.executable, str(HERE / "mcp_odd.py"), how)


def of(name: str, *words: str, url: str | None = None, env: tuple[str, ...] = ()) -> Server:
    """A server as it is before anything was taken of it."""
    return Server(name, words, url, str(HERE), env, "kim", "")


@contextmanager
def connections(
    find: Callable[[str], str | None] = lambda _: None, *, limit_s: float = 30
) -> Iterator[Connections]:
    """What speaks with servers, with short limits if the test says so."""
    made = Connections(partial(launch, find=find), connect_s=limit_s, call_s=limit_s)
    try:
        yield made
    finally:
        made.close()


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process, dead ones that nobody has buried left out."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def are_gone(pids: list[int]) -> bool:
    """Tell whether every one of them has ended; what is killed may take a moment to die."""
    until = time.monotonic() + _START_S
    while any(map(is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    return not any(map(is_alive, pids))


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _START_S
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < until, "the server does not answer"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
