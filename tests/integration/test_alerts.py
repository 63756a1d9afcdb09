"""What Prometheus' and Alertmanager's own tools say of the files that an operator loads."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring import DASHBOARDS, alertmanager, prometheus

pytestmark = pytest.mark.prove

CONFIG = DASHBOARDS / "prometheus" / "prometheus.yml"
RULES = sorted((DASHBOARDS / "prometheus" / "rules").glob("*.yml"))
TESTS = sorted((DASHBOARDS / "prometheus" / "tests").glob("*.yml"))
TOLD = DASHBOARDS / "alertmanager" / "alertmanager.yml"


def _run(*command: object) -> str:
    ended = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_prometheus_reads_its_configuration() -> None:
    """And finds both files of rules by it."""
    assert "2 rule files found" in _run("promtool", "check", "config", CONFIG)


def test_rules_have_no_blemish() -> None:
    """Every check that there is, with duplicates among them."""
    said = _run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert said.count("SUCCESS") == len(RULES)


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_as_they_should(file: Path) -> None:
    """Above their limits, after their time, with all that they tell; and not below."""
    assert "SUCCESS" in _run("promtool", "test", "rules", file)


def test_prometheus_starts_with_them(tmp_path: Path) -> None:
    """It loads every group; the others of its file are the ports that it reads."""
    with (
        prometheus(CONFIG, tmp_path) as address,
        urllib.request.urlopen(f"{address}/api/v1/rules", timeout=20) as answer,
    ):
        groups = json.load(answer)["data"]["groups"]
    assert {"localai-burn", "localai-alerts", "slo-requests"} <= {each["name"] for each in groups}


def test_alertmanager_reads_its_configuration() -> None:
    """As its own tool does."""
    assert "SUCCESS" in _run("amtool", "check-config", TOLD)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("service=localai severity=critical alertname=ServiceDown", "urgent"),
        ("service=localai severity=warning alertname=DiskNearlyFull", "mail"),
        ("service=other severity=critical", "mail"),
    ],
)
def test_an_alert_goes_to_whom_it_concerns(labels: str, receiver: str) -> None:
    """By its severity."""
    test = ("amtool", "config", "routes", "test", f"--config.file={TOLD}")
    _run(*test, f"--verify.receivers={receiver}", *labels.split())


def test_what_is_known_already_is_held_back(manager: str) -> None:
    """Slow burning while it burns fast, and everything while nothing can be watched."""
    critical, warning = "severity=critical", "severity=warning"
    _fire(manager, "RequestsBudgetBurn", critical, "sloth_slo=requests")
    _fire(manager, "RequestsBudgetBurn", warning, "sloth_slo=requests")
    _fire(manager, "AnswersBudgetBurn", warning, "sloth_slo=answers")
    _fire(manager, "DiskNearlyFull", warning, "instance=a:9464")
    assert _held_back(manager) == {("RequestsBudgetBurn", "warning")}
    _fire(manager, "ServiceDown", critical, "instance=b:9464", "job=localai")
    assert _held_back(manager) == {
        ("RequestsBudgetBurn", "critical"),
        ("RequestsBudgetBurn", "warning"),
        ("AnswersBudgetBurn", "warning"),
        ("DiskNearlyFull", "warning"),
    }


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[str]:
    """An Alertmanager with the file as it is; it ends before it would tell anybody."""
    with alertmanager(TOLD, tmp_path) as address:
        yield address


def _fire(manager: str, name: str, *labels: str) -> None:
    _run(
        "amtool", f"--alertmanager.url={manager}", "alert", "add", name, "service=localai", *labels
    )


def _held_back(manager: str) -> set[tuple[str, str]]:
    """Name and severity of the alerts that others inhibit."""
    query = ("alert", "query", "--inhibited", "--output=json")
    found = json.loads(_run("amtool", f"--alertmanager.url={manager}", *query))
    held = (each["labels"] for each in found if each["status"]["inhibitedBy"])
    return {(each["alertname"], each["severity"]) for each in held}
