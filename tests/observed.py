"""Prometheus and Alertmanager with the files that ship, in a world where time runs faster.

Windows of days and waits of minutes are seconds here, and every scrape is a second after the last;
expressions, thresholds, labels, routes and inhibitions are those of the files. That their true
durations are right is what the tests of the rules prove.
"""

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import shown
import yaml
from monitoring import alertmanager, prometheus
from web_server import Site, site

# Long windows stay longer than short ones; each holds several scrapes.
SECONDS = {
    "2m": 8,
    "5m": 8,
    "10m": 10,
    "15m": 12,
    "30m": 14,
    "1h": 24,
    "2h": 26,
    "6h": 30,
    "1d": 33,
    "3d": 36,
    "30d": 600,
}
_RECEIVERS = ("mail", "urgent")


@dataclass(frozen=True)
class Notice:
    """An alert as Alertmanager told it, and the receiver that heard it."""

    receiver: str
    name: str
    status: str
    runbook: str


@dataclass(frozen=True)
class Observed:
    """What watches: Prometheus by its address, and the webhook that Alertmanager tells."""

    prometheus: str
    hears: Site

    @property
    def notices(self) -> list[Notice]:
        """All that were told, oldest first."""
        bodies = [json.loads(body) for _, body in self.hears.posted]
        return [
            Notice(
                body["receiver"],
                alert["labels"]["alertname"],
                alert["status"],
                alert["annotations"].get("runbook_url", ""),
            )
            for body in bodies
            for alert in body["alerts"]
        ]

    def told(self, status: str) -> set[str]:
        """The names of alerts that were told with that status."""
        return {each.name for each in self.notices if each.status == status}

    def answer(self, query: str, since: float, step_s: int = 2) -> list[dict[str, Any]]:
        """The series of a query between that moment and now."""
        words = {"query": query, "start": since, "end": time.time(), "step": step_s}
        url = f"{self.prometheus}/api/v1/query_range?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=30) as found:
            return list(json.load(found)["data"]["result"])


@contextmanager
def observed(folder: Path, targets: Sequence[str]) -> Iterator[Observed]:
    """Watch these exporters, host and port each, as one job."""
    with site() as hears:
        for name in _RECEIVERS:
            hears.says(f"/{name}")
        _write(folder / "alertmanager.yml", _manager(hears))
        for file in shown.RULES:
            _write(folder / "rules" / file.name, _faster(yaml.safe_load(file.read_text())))
        with alertmanager(folder / "alertmanager.yml", folder) as manager:
            _write(folder / "prometheus.yml", _prometheus(targets, urlsplit(manager).netloc))
            with prometheus(folder / "prometheus.yml", folder) as address:
                yield Observed(address, hears)


def _prometheus(targets: Sequence[str], manager: str) -> dict[str, Any]:
    made = yaml.safe_load((shown.DASHBOARDS / "prometheus" / "prometheus.yml").read_text())
    made["global"] |= dict.fromkeys(("scrape_interval", "evaluation_interval"), "1s")
    made["global"]["scrape_timeout"] = "1s"
    made["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [manager]
    made["scrape_configs"] = [
        {**job, "static_configs": [{"targets": list(targets)}]}
        for job in made["scrape_configs"]
        if job["job_name"] == "localai"
    ]
    return dict(made)


def _manager(hears: Site) -> dict[str, Any]:
    """Its routes and inhibitions; all that is told is told to the webhook."""
    made = yaml.safe_load((shown.DASHBOARDS / "alertmanager" / "alertmanager.yml").read_text())
    assert {each["name"] for each in made["receivers"]} == set(_RECEIVERS)
    made["global"] = {"resolve_timeout": "5s"}
    for route in (made["route"], *made["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    made["receivers"] = [
        {
            "name": name,
            "webhook_configs": [{"url": hears.url(f"/{name}"), "send_resolved": True}],
        }
        for name in _RECEIVERS
    ]
    return dict(made)


def _faster(file: dict[str, Any]) -> dict[str, Any]:
    for group in file["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            rule["expr"] = re.sub(
                r"\[(\w+)]", lambda found: f"[{SECONDS[found[1]]}s]", rule["expr"]
            )
            if "for" in rule:
                rule["for"] = "2s"
    return file


def _write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content))
