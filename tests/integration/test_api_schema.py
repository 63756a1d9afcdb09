"""The description of the doors is checked in, and the doors do what it says, as Schemathesis finds.

https://schemathesis.readthedocs.io
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import api_server
import pytest
import yaml
from api_server import Server

from localai.api.application import made
from localai.app import App

ROOT = Path(__file__).parents[2]
DESCRIPTION = ROOT / "docs" / "api" / "openapi.yaml"
CONFIG = Path(__file__).with_name("schemathesis.toml")
ST = Path(sys.executable).with_name("st")
# A stream never ends, and Schemathesis reads to the end.
STREAM = "approvalEvents"
# A request that is withdrawn is kept, and read as cancelled: it is not gone, as this check wants.
GONE = "use_after_free"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Requests wait for a second, so that waiting for them is not long either."""
    folder = tmp_path_factory.mktemp("api")
    settings = {"approvals__timeout": "1s", "notify__terminal": "true"}
    with api_server.serving(folder, **settings) as served, served.telling_nobody():
        yield served


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return made(App(tmp_path_factory.mktemp("home"))).openapi()


def test_the_description_that_is_checked_in_is_the_codes(described: dict[str, Any]) -> None:
    """scripts/generate-openapi writes it."""
    assert yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8")) == described
    script = ROOT / "scripts" / "generate-openapi"
    written = subprocess.run([sys.executable, script], capture_output=True, check=True)
    assert written.stdout == DESCRIPTION.read_bytes()


def test_every_operation_says_all_of_itself(described: dict[str, Any]) -> None:
    """A name, a summary, its words, its problems, an example, and whom it lets in."""
    assert described["openapi"].startswith("3.1.")
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            where = f"{method} {path}"
            assert told["operationId"], where
            assert told["summary"], where
            assert told["description"], where
            assert "security" in told or path == "/health", where
            answers = told["responses"]
            if "security" in told:
                assert {"401", "403", "422", "500", "503"} <= answers.keys(), where
            for status, answer in answers.items():
                assert answer["description"], where
                if int(status) >= 400 and path != "/ready":
                    assert [*answer["content"]] == ["application/problem+json"], where
                elif int(status) < 300 and path != "/metrics":
                    assert all("example" in each for each in answer["content"].values()), where
            if "requestBody" in told:
                assert told["requestBody"]["content"]["application/json"]["examples"], where


def run(server: Server, role: str, *options: object) -> int:
    """How many cases Schemathesis tried, with every check that fits; it found nothing."""
    command = [ST, "--config-file", CONFIG, "--no-color", "run", f"{server.url}/openapi.json"]
    key = ("--header", f"X-API-Key: {server.key(role)}")
    always = ("--checks", "all", "--exclude-checks", GONE, "--exclude-operation-id", STREAM)
    done = subprocess.run(
        [*map(str, (*command, *key, *always, *options))],
        capture_output=True,
        text=True,
        cwd=server.app.workspace,
        env={"PATH": os.environ["PATH"], "HOME": str(server.app.workspace)},
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found = re.search(r"(\d+) generated", done.stdout)
    assert found is not None, done.stdout
    return int(found[1])


@pytest.mark.timeout(600)
def test_the_doors_do_what_the_description_says(server: Server) -> None:
    """Its examples, every bound within and without, what chance finds, and where answers lead."""
    assert run(server, "admin", "--max-examples", 5, "--seed", 1) > 700


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("role", ["admin", "user"])
def test_the_doors_do_what_the_description_says_thousands_of_times(
    server: Server, role: str
) -> None:
    """As who may decide, and as who may not."""
    assert run(server, role, "--max-examples", 200) > 5000
