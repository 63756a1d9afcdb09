"""What starts beside localai: compose, Grafana's provisioning, Loki, Alloy."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from shown import BOARDS, DASHBOARDS

SOURCES = yaml.safe_load((DASHBOARDS / "grafana/provisioning/datasources/localai.yml").read_text())[
    "datasources"
]
PROVIDERS = yaml.safe_load((DASHBOARDS / "grafana/provisioning/dashboards/localai.yml").read_text())
COMPOSE = yaml.safe_load((DASHBOARDS / "compose.yaml").read_text())
LOKI = yaml.safe_load((DASHBOARDS / "loki" / "loki.yml").read_text())
ALLOY = (DASHBOARDS / "alloy" / "config.alloy").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

each_service = pytest.mark.parametrize("name", SERVICES)


def test_compose_takes_the_file() -> None:
    """By the published schema, which check-jsonschema carries."""
    check = Path(sys.executable).with_name("check-jsonschema")
    words = [check, "--builtin-schema", "vendor.compose-spec", DASHBOARDS / "compose.yaml"]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_the_logs_and_the_machine_are_watched_when_somebody_asks() -> None:
    """The rest starts without a profile."""
    profiles = {name: each.get("profiles") for name, each in SERVICES.items()}
    assert profiles == {
        "prometheus": None,
        "alertmanager": None,
        "grafana": None,
        "loki": ["logs"],
        "alloy": ["logs"],
        "node-exporter": ["machine"],
        "cadvisor": ["machine"],
    }


@each_service
def test_an_image_is_pinned_to_a_version(name: str) -> None:
    """With its registry, so that every engine fetches the same."""
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"(docker|ghcr)\.io/[\w/-]+:v?\d+\.\d+\.\d+", image)


@each_service
def test_a_service_may_do_little(name: str) -> None:
    """It cannot write outside of its volumes, gain rights, or be root where it need not."""
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert (service["user"] == "0:0") == (name == "cadvisor")
    writable = [each for each in service["volumes"] if not re.search(":ro(,|$)", each)]
    assert all(each.partition(":")[0] in COMPOSE["volumes"] for each in writable)


@each_service
def test_a_service_listens_on_loopback_alone(name: str) -> None:
    """They share the host's network, where the exporter is; nothing is published."""
    service = SERVICES[name]
    assert service["network_mode"] == "host"
    assert "ports" not in service
    told = [*service.get("command", []), *service.get("environment", {}).values()]
    addresses = [str(each) for each in told if re.search(r"listen|^127", str(each))]
    server = LOKI["server"]
    if name == "loki":
        addresses = [server["http_listen_address"], server["grpc_listen_address"]]
    assert addresses
    assert all("127.0.0.1" in each or each.endswith("listen-address=") for each in addresses)


def test_nobody_looks_at_grafana_without_a_password_of_theirs() -> None:
    """Compose refuses to start without one, and guests are not let in."""
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_ADMIN_PASSWORD:?")
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"


def test_what_is_mounted_from_here_is_here() -> None:
    """A folder that is missing would be made by Docker, empty and root's."""
    ours = {
        each.split(":")[0].removeprefix("./")
        for service in SERVICES.values()
        for each in service["volumes"]
        if each.startswith("./")
    }
    others = {"prometheus", "alertmanager"}  # the rules' own folders
    assert {
        name for name in ours - others - {"runbooks"} if not (DASHBOARDS / name).exists()
    } == set()


def test_grafana_gets_every_board_where_it_looks_for_them() -> None:
    """Each board is mounted into the folder of the provider."""
    (provider,) = PROVIDERS["providers"]
    folder = provider["options"]["path"]
    assert {f"./{name}:{folder}/{name}:ro" for name in BOARDS} <= {*SERVICES["grafana"]["volumes"]}
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).name in BOARDS
    assert not provider["allowUiUpdates"]


def test_grafana_asks_where_the_others_listen() -> None:
    """The addresses of its sources are those of Prometheus and Loki."""
    by_kind = {each["type"]: each for each in SOURCES}
    assert "--web.listen-address=127.0.0.1:9090" in SERVICES["prometheus"]["command"]
    assert by_kind["prometheus"]["url"] == "http://127.0.0.1:9090"
    server = LOKI["server"]
    listening = f"http://{server['http_listen_address']}:{server['http_listen_port']}"
    assert by_kind["loki"]["url"] == listening
    assert f'url = "{listening}/loki/api/v1/push"' in ALLOY
    assert by_kind["prometheus"]["isDefault"]
    assert len({each["uid"] for each in SOURCES}) == len(SOURCES)


def test_a_line_about_a_request_names_the_command_that_shows_it() -> None:
    """And leads to the board of approvals, with the id filled in."""
    (loki,) = (each for each in SOURCES if each["type"] == "loki")
    (link,) = loki["jsonData"]["derivedFields"]
    assert link["urlDisplayLabel"] == "ai approvals show $${__value.raw}"
    assert link["url"] == "/d/localai-approvals?var-approval=$${__value.raw}"
    variables = BOARDS["approval_workflow.json"]["templating"]["list"]
    assert "approval" in {each["name"] for each in variables}


def test_loki_forgets_after_thirty_days() -> None:
    """Only a compactor that is told to keeps the promise of limits_config."""
    assert LOKI["limits_config"]["retention_period"] == f"{30 * 24}h"
    assert LOKI["compactor"]["retention_enabled"]
    assert LOKI["compactor"]["delete_request_store"] == "filesystem"
    (schema,) = LOKI["schema_config"]["configs"]
    assert (schema["store"], schema["schema"], schema["object_store"]) == (
        "tsdb",
        "v13",
        "filesystem",
    )


def test_the_shipper_takes_moment_level_and_ids_from_a_line() -> None:
    """As `localai/core/log.py` names them; a line without one of them is shipped all the same."""
    parsed = set(re.findall(r"^\t\t\t(\w+) += \"\",$", ALLOY, re.MULTILINE))
    assert parsed == {"at", "level", "event", "command", "approval", "session"}
    assert re.search(r'source = "at"\s+format = "RFC3339Nano"', ALLOY)


def test_ids_are_no_labels() -> None:
    """Each value of a label is a stream of its own in Loki; the level has four."""
    labels = re.search(r"stage\.labels \{\s*values = \{([^}]*)}", ALLOY)
    metadata = re.search(r"stage\.structured_metadata \{\s*values = \{([^}]*)}", ALLOY)
    assert labels
    assert metadata
    assert re.findall(r"(\w+) +=", labels[1]) == ["level"]
    assert {"approval", "session"} <= set(re.findall(r"(\w+) +=", metadata[1]))


def test_the_shippers_file_is_balanced_and_joined_up() -> None:
    """What a component takes from another is there."""
    code = re.sub(r"^//.*", "", ALLOY, flags=re.MULTILINE)
    assert [code.count(each) for each in "{[("] == [code.count(each) for each in "}])"]
    there = {".".join(each) for each in re.findall(r'^([a-z._]+) "(\w+)" {', code, re.MULTILINE)}
    used = set(re.findall(r"\b((?:loki|local)\.[\w.]+)\.(?:receiver|targets)\b", code))
    assert used == there - {"loki.source.file.localai"}
