"""A stand-in for a Qdrant server: its HTTP interface over qdrant-client's local mode.

There is no Qdrant server to install from a package registry, so what is sent to one is checked here
against the models that Qdrant generates from its OpenAPI description, which take no unknown field.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter
from qdrant_client import QdrantClient
from qdrant_client.http import models

_ROUTE = re.compile(r"/collections/([\w-]+)(/index|/points(?:/\w+){0,2})?")
# The largest JSON that a server takes unless it is told otherwise.
_MOST_BYTES = 32 << 20


@dataclass
class Standing:
    """The server; `broken` is the status of the next answers, one each."""

    url: str
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    version: str = "1.17.1"


@contextmanager
def standing(key: str | None = None) -> Iterator[Standing]:
    """A server that asks for the key, if there is one."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    with closing(QdrantClient(":memory:", force_disable_check_same_thread=True)) as client:
        made = Standing(f"http://127.0.0.1:{server.server_port}")
        server.standing, server.key, server.client = made, key, client  # type: ignore[attr-defined]
        server.turn = threading.Lock()  # type: ignore[attr-defined]
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

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server: Any = self.server
        path = urlsplit(self.path).path
        with server.turn:
            server.standing.asked.append(f"{self.command} {self.path}")
            server.standing.headers.append(dict(self.headers))
            status, found = self._found(path, body)
        sent = json.dumps({"result": found, "status": "ok", "time": 0.0} if found else {}).encode()
        if path == "/":
            sent = json.dumps({"title": "qdrant", "version": server.standing.version}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _found(self, path: str, body: bytes) -> tuple[int, Any]:
        server: Any = self.server
        if server.key and self.headers.get("api-key") != server.key:
            return 401, None
        if server.standing.broken:
            return server.standing.broken.pop(0), None
        if len(body) > _MOST_BYTES:
            return 413, None
        try:
            return 200, path == "/" or _done(server.client, self.command, path, body)
        except LookupError:
            return 404, None
        except ValueError:  # pydantic's, too
            return 400, None


def _done(client: QdrantClient, method: str, path: str, body: bytes) -> Any:
    """What the operation gives; LookupError where there is no such collection or operation."""
    route = _ROUTE.fullmatch(path)
    if route is None:
        raise LookupError(path)
    name, verb = route[1], method + (route[2] or "")
    if verb == "PUT":
        wanted = models.CreateCollection.model_validate_json(body)
        return client.create_collection(
            name,
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
        )
    if not client.collection_exists(name):
        raise LookupError(name)
    return _VERBS[verb](client, name, body)


def _delete(client: QdrantClient, name: str, _: bytes) -> Any:
    return client.delete_collection(name)


def _index(_: QdrantClient, __: str, body: bytes) -> Any:
    models.CreateFieldIndex.model_validate_json(body)
    return {"operation_id": 0, "status": "completed"}


def _upsert(client: QdrantClient, name: str, body: bytes) -> Any:
    points = models.PointsList.model_validate_json(body).points
    config = client.get_collection(name).config.params.vectors
    for point in points:
        for vector, values in dict(point.vector).items():
            if isinstance(values, list) and len(values) != config[vector].size:
                raise ValueError(vector)
    return client.upsert(name, points).model_dump()


def _forget(client: QdrantClient, name: str, body: bytes) -> Any:
    return client.delete(name, models.FilterSelector.model_validate_json(body)).model_dump()


def _query(client: QdrantClient, name: str, body: bytes) -> Any:
    asked = models.QueryRequestBatch.model_validate_json(body)
    return [each.model_dump() for each in client.query_batch_points(name, asked.searches)]


def _count(client: QdrantClient, name: str, body: bytes) -> Any:
    models.CountRequest.model_validate_json(body)
    return client.count(name).model_dump()


def _scroll(client: QdrantClient, name: str, body: bytes) -> Any:
    asked = models.ScrollRequest.model_validate_json(body)
    records, following = client.scroll(
        name,
        limit=asked.limit or 10,
        scroll_filter=asked.filter,
        offset=asked.offset,
        with_payload=True,
        with_vectors=bool(asked.with_vector),
    )
    found = TypeAdapter(list[models.Record]).dump_python(records)
    return {"points": found, "next_page_offset": following}


_VERBS = {
    "DELETE": _delete,
    "PUT/index": _index,
    "PUT/points": _upsert,
    "POST/points/delete": _forget,
    "POST/points/query/batch": _query,
    "POST/points/count": _count,
    "POST/points/scroll": _scroll,
}
