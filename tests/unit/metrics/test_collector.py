"""What is read at one moment, and how it is published."""

import http.client
import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from localai.core import counters, metrics
from localai.core.db import Database
from localai.core.metrics import CATALOGUE, Distribution, Reading
from localai.metrics import prometheus
from localai.metrics.collector import Collector


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "localai.db")
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def collector(database: Database) -> Collector:
    def machine() -> Iterable[Reading]:
        yield Reading(metrics.RESOURCES, 0.25, ("cpu",))

    def room(_: sa.Connection) -> Iterable[Reading]:
        yield Reading(metrics.ROLE_MEMBERS, 2, ("admin",))

    return Collector(database, (room,), (lambda _, since: [],), machine)


def _count(database: Database) -> None:
    with database.transaction() as connection:
        counters.count(connection, metrics.TOOL_RUNS, "read_file", "failed", by=2)
        counters.count(connection, metrics.ENGINE_SECONDS, 'a "model"\n', "decode", by=1.5)
        for seconds in (0.02, 0.03, 400):
            counters.observe(connection, metrics.TOOL_DURATION, seconds, "read_file")


def _samples(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counts_are_published_under_their_names(database: Database, collector: Collector) -> None:
    """In base units, buckets cumulative, and noughts beside what was counted."""
    _count(database)
    found = _samples(prometheus.text(collector.read))

    def of(name: str, **labels: str) -> float:
        return found[f"{name}{json.dumps(labels, sort_keys=True)}"]

    assert of("mcp_tool_executions_total", tool="read_file", status="failed") == 2
    assert of("mcp_tool_executions_total", tool="read_file", status="succeeded") == 0
    assert of("localai_engine_seconds_total", model='a "model"\\n', phase="decode") == 1.5
    name = "mcp_tool_duration_seconds"
    assert of(f"{name}_bucket", tool="read_file", le="0.01") == 0
    assert of(f"{name}_bucket", tool="read_file", le="0.02") == 1
    assert of(f"{name}_bucket", tool="read_file", le="81.92") == 2
    assert of(f"{name}_bucket", tool="read_file", le="+Inf") == 3
    assert of(f"{name}_count", tool="read_file") == 3
    assert of(f"{name}_sum", tool="read_file") == pytest.approx(400.05)
    assert of("rbac_role_assignments_total", role="viewer") == 0
    assert of("localai_rbac_role_members", role="admin") == 2
    assert of("system_resource_usage", resource="cpu") == 0.25
    assert of("localai_collector_up") == 1


def test_only_the_catalogue_is_published(database: Database, collector: Collector) -> None:
    """With its types and its help; what an older version counted is left out."""
    _count(database)
    with database.transaction() as connection:
        row = {"name": "localai_gone_total", "labels": "{}", "value": 1}
        connection.execute(sa.insert(counters.counters), row)
    for family in text_string_to_metric_families(prometheus.text(collector.read)):
        name = family.name + ("_total" if family.type == "counter" else "")
        assert CATALOGUE[name].kind == family.type
        assert CATALOGUE[name].help == family.documentation


def test_a_database_that_cannot_be_read_is_told(tmp_path: Path, collector: Collector) -> None:
    """The machine's figures are still there, and nothing else is made up."""
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database " * 600)
    told = Collector(Database(broken), collector.sources, (), collector.machine).read()
    found = {reading.metric.name: reading.value for reading in told}
    assert found["localai_collector_up"] == 0
    assert found["system_resource_usage"] == 0.25
    assert not found.keys() & {"rbac_role_assignments_total", "localai_rbac_role_members"}


def test_reading_writes_nothing(database: Database, collector: Collector) -> None:
    """However often it is done."""
    _count(database)
    with database.read() as connection:
        before = connection.exec_driver_sql("PRAGMA data_version").scalar()
        for _ in range(3):
            collector.read()
            collector.read_since(0)
        assert connection.exec_driver_sql("PRAGMA data_version").scalar() == before


def test_a_histogram_of_nothing_is_nought(collector: Collector) -> None:
    """All of its buckets are there."""
    (found,) = (
        each.value
        for each in collector.read()
        if each.metric is metrics.RETRIEVAL_DURATION and each.labels == ("embed",)
    )
    assert found == Distribution((0,) * 15, 0)


@pytest.fixture
def address(collector: Collector) -> Iterator[tuple[str, int]]:
    server = prometheus._listening(0, prometheus._app(collector.read))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield prometheus.HOST, server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("HEAD", "/metrics", 405),
        ("POST", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/../secrets", 404),
    ],
)
def test_only_scrapes_are_answered(
    address: tuple[str, int], method: str, path: str, status: int
) -> None:
    """On one path, by methods that change nothing."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    connection.request(method, path)
    assert connection.getresponse().status == status
    connection.close()


def test_scrapes_at_once_are_all_answered(address: tuple[str, int]) -> None:
    """Each with the whole; one client that says nothing keeps nobody waiting."""
    silent = http.client.HTTPConnection(*address, timeout=30)
    silent.connect()
    found: list[str] = []

    def scrape() -> None:
        connection = http.client.HTTPConnection(*address, timeout=30)
        connection.request("GET", "/metrics")
        found.append(connection.getresponse().read().decode())
        connection.close()

    threads = [threading.Thread(target=scrape) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    silent.close()
    assert len(found) == 8
    assert all("localai_collector_up 1.0" in text for text in found)
