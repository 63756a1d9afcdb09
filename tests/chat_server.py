"""OpenAI-shaped servers: llama-cpp-python's own, and one that misbehaves as it is told."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_START_S = 60


@contextmanager
def llama(model: Path, *, key: str | None = None) -> Iterator[str]:
    """llama-cpp-python's server with this model; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", str(model), "--host", "127.0.0.1", "--port", str(port), "--n_ctx", "2048"]
    words += ["--api_key", key] if key else []
    command = [sys.executable, "-m", "llama_cpp.server", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await(f"http://127.0.0.1:{port}/docs", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < until, "the server does not answer"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)


@dataclass
class Scripted:
    """A server that answers as it is told, or as `reply` says, and writes down what it is asked."""

    url: str
    answers: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    reply: Callable[[dict[str, Any]], dict[str, Any]] | None = None


def event(text: str = "", **more: Any) -> str:
    """A piece of an answer, as a line of the stream."""
    finish = more.pop("finish", None)
    delta = {"content": text, **more} if text or not more else more
    return "data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": finish}]})


@contextmanager
def scripted() -> Iterator[Scripted]:
    """Answers are `status`, `headers`, `content` or `lines`, `cut`, and `wait` between lines."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    made = Scripted(f"http://127.0.0.1:{server.server_port}/v1")
    server.scripted = made  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, body: dict[str, Any]) -> None:
        told: Scripted = self.server.scripted  # type: ignore[attr-defined]
        told.asked.append({"path": self.path, **body})
        told.headers.append(dict(self.headers))
        if told.reply:
            answer = told.reply(body)
        else:
            answer = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
        lines = [f"{line}\n\n".encode() for line in answer.get("lines", [])]
        content = answer.get("content", "").encode()
        length = sum(map(len, lines)) + len(content)
        self.send_response(answer.get("status", 200))
        for name, value in answer.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length + answer.get("cut", 0)))
        self.end_headers()
        try:
            self.wfile.write(content)
            for number, line in enumerate(lines):
                time.sleep(answer.get("wait", 0) if number else 0)
                self.wfile.write(line)
                self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client had enough
        if answer.get("cut"):
            self.close_connection = True
