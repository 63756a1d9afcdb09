"""Every panel has an answer in a real Prometheus once something happened, and none that is NaN."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import shown
from web_server import closed_port

from localai.core.metrics import CATALOGUE, Metric

pytestmark = pytest.mark.prove

STEP_S = 15
SPAN_S = 2 * 3600
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")
# Values of labels that anybody may make new ones of.
VALUES = {
    "role": ("admin", "user"),
    "service": ("mcp", "metrics"),
    "status": ("200", "403", "500"),
    "endpoint": ("/mcp",),
    "tool": ("read_file",),
    "model": ("starter",),
    "channel": ("mail",),
    "gpu": ("0",),
    "version": ("0.1.0",),
}
OTHERS = {
    "up": [{}],
    "ALERTS": [
        {"alertname": "A", "alertstate": "firing", "severity": "critical", "service": "localai"}
        | {"sloth_slo": "answers"}
    ],
    **{
        f"slo:{name}": [{"sloth_slo": slo} for slo in ("requests", "answers", "approvals")]
        for name in (
            "objective:ratio",
            "error_budget:ratio",
            *(f"sli_error:ratio_rate{window}" for window in WINDOWS),
        )
    },
}


class Prometheus:
    """A Prometheus that holds two hours of made-up figures and scrapes nothing."""

    def __init__(self, url: str, end: int) -> None:
        self._url = url
        self._end = end

    def answer(self, asked: shown.Asked) -> list[Mapping[str, Any]]:
        """The series that Grafana would draw."""
        text = asked.text.replace("$__rate_interval", "1m").replace("$__range", "1h")
        words = {"query": text.replace("$job", ".+").replace("$instance", ".+")}
        words |= {"start": self._end - 3600, "end": self._end, "step": 60}
        with urllib.request.urlopen(
            f"{self._url}/api/v1/query_range?{urllib.parse.urlencode(words)}"
        ) as found:
            return list(json.load(found)["data"]["result"])


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Everything happened, once a scrape."""
    yield from _prometheus(tmp_path_factory.mktemp("busy"), each_scrape=1)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Nothing ever happened."""
    yield from _prometheus(tmp_path_factory.mktemp("idle"), each_scrape=0)


def test_every_query_has_an_answer_once_something_happened(busy: Prometheus) -> None:
    """A renamed metric, label or value is an empty panel that nobody notices."""
    answers = {str(asked): busy.answer(asked) for asked in shown.asked()}
    assert [query for query, answer in answers.items() if not answer] == []


def test_legends_are_filled(busy: Prometheus) -> None:
    """Each label that a legend names is in each series."""
    for asked in shown.asked():
        for series in busy.answer(asked):
            for label in shown.legend_labels(asked.legend):
                assert series["metric"].get(label), str(asked)


@pytest.mark.parametrize("made", ["busy", "idle"])
def test_no_answer_is_nan(made: str, request: pytest.FixtureRequest) -> None:
    """A panel says "no traffic" in words of ours."""
    prometheus: Prometheus = request.getfixturevalue(made)
    for asked in shown.asked():
        values = [value for series in prometheus.answer(asked) for _, value in series["values"]]
        assert {"NaN", "+Inf", "-Inf"} & set(values) == set(), str(asked)


def _prometheus(folder: Path, each_scrape: int) -> Iterator[Prometheus]:
    end = int(time.time()) // 60 * 60 - 60
    (folder / "figures").write_text("".join(_figures(end, each_scrape)))
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "figures"]
    subprocess.run([*blocks, folder / "data"], check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    url = f"127.0.0.1:{closed_port()}"
    words = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with subprocess.Popen(
        ["prometheus", *words, f"--web.listen-address={url}"], stderr=subprocess.DEVNULL
    ) as process:
        try:
            _await(f"http://{url}/-/ready", process)
            yield Prometheus(f"http://{url}", end)
        finally:
            process.terminate()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        assert process.poll() is None, "Prometheus ended"
        assert time.monotonic() < until, "Prometheus does not answer"
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            time.sleep(0.05)


def _figures(end: int, each_scrape: int) -> Iterator[str]:
    """OpenMetrics, family by family: counters rise by as much with each scrape."""
    for metric in CATALOGUE.values():
        family = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
        yield f"# TYPE {family} {metric.kind}\n"
        for labels in _label_sets(metric):
            for name, more, factor in _parts(metric):
                yield from _samples(name, labels | more, end, factor * each_scrape, metric.kind)
    for name, sets in OTHERS.items():
        yield f"# TYPE {name} gauge\n"
        for labels in sets:
            yield from _samples(name, labels, end, 0, "gauge")
    yield "# EOF\n"


def _label_sets(metric: Metric) -> list[dict[str, str]]:
    choices = [known or VALUES[name] for name, known in metric.labels.items()]
    return [dict(zip(metric.labels, values, strict=True)) for values in product(*choices)]


def _parts(metric: Metric) -> Iterator[tuple[str, dict[str, str], int]]:
    if metric.kind != "histogram":
        yield metric.name, {}, 1
        return
    for count, bound in enumerate(metric.buckets, 1):
        yield f"{metric.name}_bucket", {"le": repr(float(bound))}, count
    yield f"{metric.name}_bucket", {"le": "+Inf"}, len(metric.buckets)
    yield f"{metric.name}_count", {}, len(metric.buckets)
    yield f"{metric.name}_sum", {}, len(metric.buckets)


def _samples(name: str, labels: dict[str, str], end: int, rise: int, kind: str) -> Iterator[str]:
    where = {"job": "localai", "instance": "127.0.0.1:9464"} | labels
    told = ",".join(f'{label}="{value}"' for label, value in where.items())
    for number in range(SPAN_S // STEP_S + 1):
        value = 0.5 if kind == "gauge" else number * rise
        yield f"{name}{{{told}}} {value} {end - SPAN_S + number * STEP_S}\n"
