"""Readings in Prometheus' text format, on a port or as a text.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from localai.core.errors import Unavailable
from localai.core.metrics import Distribution, Reading

HOST = "127.0.0.1"
PATH = "/metrics"
_PATIENCE_S = 10  # with a client that has connected and says nothing

Read = Callable[[], Sequence[Reading]]


def text(read: Read) -> str:
    """All readings, as a scrape would see them."""
    return generate_latest(_registry(read)).decode()


def serve(read: Read, port: int, announce: Callable[[str], None]) -> None:
    """Answer scrapes on the loopback address until the process is told to end."""
    with _listening(port, _app(read)) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        announce(f"http://{HOST}:{server.server_port}{PATH}")
        server.serve_forever()


def _app(read: Read) -> Callable[..., Any]:
    answer = make_wsgi_app(_registry(read))
    one_at_a_time = threading.Lock()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] != PATH:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [f"metrics are at {PATH}\n".encode()]
        with one_at_a_time:
            return answer(environ, start_response)

    return app


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Say nothing of each scrape."""


def _listening(port: int, app: Callable[..., Any]) -> WSGIServer:
    try:
        return make_server(HOST, port, app, _Server, _Handler)
    except (OSError, OverflowError) as error:
        message = f"{HOST} port {port} cannot be listened on"
        raise Unavailable(message, hint="ai metrics --serve --port N") from error


class _Collected(Collector):
    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """The readings of now, by metric."""
        families: dict[str, Any] = {}
        for reading in self._read():
            metric = reading.metric
            if metric.name not in families:
                families[metric.name] = _FAMILIES[metric.kind](
                    metric.name, metric.help, labels=list(metric.labels)
                )
            _add(families[metric.name], reading)
        yield from families.values()


_FAMILIES: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _add(family: Any, reading: Reading) -> None:
    labels, value = list(reading.labels), reading.value
    if isinstance(value, Distribution):
        counts = accumulate(value.buckets)
        family.add_metric(
            labels, list(zip(reading.metric.bounds, counts, strict=True)), value.total
        )
    else:
        family.add_metric(labels, value)


def _registry(read: Read) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(read))
    return registry
