"""A small hub: answers for files as the real one does, with redirects, ranges and digests.

https://huggingface.co/docs/huggingface_hub/package_reference/file_download says what a client
reads of it: X-Repo-Commit, X-Linked-Etag (an LFS file's SHA-256) and X-Linked-Size.
"""

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c" * 40


@dataclass
class Hub:
    """What it has, how it behaves, and what it was asked."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cut: list[int] = field(default_factory=list)  # bytes after which each next answer breaks off
    stop_after: int | None = None  # bytes after which every answer hangs
    lies: bool = False  # about the digest of what it sends
    sent: list[tuple[int, int]] = field(default_factory=list)  # first byte and length of answers
    agents: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)  # the path of every request
    tokens: set[str] = field(default_factory=set)
    padding: int = 0  # bytes that are sent beyond the end

    def digest(self, name: str) -> str:
        """What it promises."""
        return hashlib.sha256(self.files[name]).hexdigest()


@contextmanager
def running() -> Iterator[Hub]:
    """A hub on this machine."""
    server = _Server(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *details: Any) -> None:
        """A client that was killed is no trouble of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*details)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def do_HEAD(self) -> None:
        self._answer(is_head=True)

    def do_GET(self) -> None:
        self._answer(is_head=False)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, *, is_head: bool) -> None:
        self._hub.agents.add(self.headers.get("User-Agent", ""))
        self._hub.asked.append(self.path)
        self._hub.tokens.add(self.headers.get("Authorization", ""))
        if self.path.startswith("/store/"):
            self._content(self.path.removeprefix("/store/"), is_head=is_head)
            return
        if listed := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)\?blobs=true", self.path):
            self._listing(listed[1])
            return
        found = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/(.+)", self.path)
        name = f"{found[1]}/{found[3]}" if found else ""
        if found and found[1] in self._hub.gated:
            self._end(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif (
            not any(each.startswith(f"{found[1]}/") for each in self._hub.files) if found else True
        ):
            self._end(404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "not found"})
        elif name not in self._hub.files:
            self._end(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "no such file"})
        else:
            linked = {
                "X-Repo-Commit": COMMIT,
                "X-Linked-Etag": f'"{self._hub.digest(name)}"',
                "X-Linked-Size": str(len(self._hub.files[name])),
                # Another host, as the real one has for what is large.
                "Location": f"http://localhost:{self.server.server_address[1]}/store/{name}",
            }
            self._end(302, linked)

    def _listing(self, repository: str) -> None:
        """What a repository holds; only what is large has a SHA-256, as on the real one."""
        files = {
            name.removeprefix(f"{repository}/"): content
            for name, content in self._hub.files.items()
            if name.startswith(f"{repository}/")
        }
        if not files:
            self._end(404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "not found"})
            return
        siblings = [_sibling(name, content) for name, content in files.items()]
        told = json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def _end(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": "0"}).items():
            self.send_header(key, value)
        self.end_headers()

    def _content(self, name: str, *, is_head: bool) -> None:
        content = self._hub.files[name] + bytes(self._hub.padding)
        if self._hub.lies:
            content = content[:-1] + bytes([content[-1] ^ 1])
        ranged = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(ranged[1]) if ranged else 0
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if is_head:
            return
        rest = content[start:]
        if self._hub.cut:
            rest = rest[: self._hub.cut.pop(0)]
        self._hub.sent.append((start, len(rest)))
        self.wfile.write(rest[: self._hub.stop_after])
        while self._hub.stop_after is not None:
            time.sleep(0.02)
        if len(rest) < len(content) - start:
            self.close_connection = True


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    told: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
    if name.endswith((".onnx", ".safetensors")):
        sha256 = hashlib.sha256(content).hexdigest()
        told["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 130}
    return told
