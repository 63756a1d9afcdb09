"""`ai serve`: a home over HTTP, as a person starts and ends it, and as its page tells it."""

import datetime as dt
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mail_server import mail_server
from mcp_clients import key_of, operator
from terminal import AI, Ai, serving
from web_server import closed_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "api.md"
APPROVALS = "/api/v1/approvals"
NEW = {"tool_name": "deploy", "arguments": {"service": "shop"}}


@pytest.mark.prove
def test_what_is_under_way_is_answered_before_it_ends(ai: Ai) -> None:
    """Whoever waits hears how it stands; the exit is 0, and nothing is left behind."""
    key = {"X-API-Key": key_of(ai, operator(ai))}
    answers: list[httpx.Response] = []
    with serving(ai) as (url, process):
        opened = httpx.post(f"{url}{APPROVALS}", json=NEW, headers=key).json()
        place = f"{url}{APPROVALS}/{opened['id']}/wait?timeout=60"
        with httpx.stream("GET", f"{url}{APPROVALS}/events", headers=key, timeout=60) as stream:
            lines = stream.iter_lines()
            next(lines)
            wait = threading.Thread(
                target=lambda: answers.append(httpx.get(place, headers=key, timeout=90))
            )
            wait.start()
            _until_waiting(url, key)
            process.terminate()
            list(lines)
        wait.join()
    assert [(each.status_code, each.json()["status"]) for each in answers] == [(200, "pending")]
    assert process.returncode == 0
    assert ai("approvals", "list", "--json").json["total"] == 1
    assert ai("audit", "verify").code == 0


def _until_waiting(url: str, key: dict[str, str]) -> None:
    """The server answers in turn: after this the request before has been read."""
    for _ in range(5):
        assert httpx.get(f"{url}{APPROVALS}", headers=key).status_code == 200


@pytest.mark.prove
def test_control_c_ends_it(ai: Ai) -> None:
    """As every command that is interrupted."""
    with serving(ai, ends=signal.SIGINT) as (url, process):
        assert httpx.get(f"{url}/health").json() == {"status": "alive"}
    assert process.returncode == 130


@pytest.mark.prove
def test_figures_have_a_port_of_their_own_where_one_is_set(ai: Ai) -> None:
    """For a scraper without a key, and nothing else is there."""
    port = closed_port()
    ai("config", "set", "metrics.port", port)
    with serving(ai) as (url, _):
        assert httpx.get(f"{url}/metrics").status_code == 401
        scraped = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert (scraped.status_code, "approval_requests_total" in scraped.text) == (200, True)
        assert httpx.get(f"http://127.0.0.1:{port}{APPROVALS}").status_code == 404
        foreign = {"Host": "evil.example"}
        assert httpx.get(f"http://127.0.0.1:{port}/metrics", headers=foreign).status_code == 421


@pytest.mark.prove
def test_people_are_told_by_the_server_itself(ai: Ai) -> None:
    """For as long as it lives, and what it is sending ends before it does."""
    key = {"X-API-Key": key_of(ai, operator(ai))}
    with mail_server() as post:
        (ai.home / "config.toml").write_text(
            f'[notify]\nbatch = "0"\n[notify.smtp]\nhost = "127.0.0.1"\nport = {post.port}\n'
            'security = "none"\nto = "you@example.org"\n'
        )
        with serving(ai) as (url, _):
            opened = httpx.post(f"{url}{APPROVALS}", json=NEW, headers=key).json()
            events = f"{url}{APPROVALS}/{opened['id']}/wait?timeout=1"
            for _ in range(60):
                if post.taken:
                    break
                httpx.get(events, headers=key)
        assert opened["id"] in str(post.taken[0].parsed["Subject"])


@pytest.mark.prove
@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_it_is_not_opened_to_others_by_a_slip_of_the_hand(ai: Ai, host: str) -> None:
    """The error names the option that means it."""
    done = ai("serve", "--host", host)
    assert (done.code, "--open-to-network" in done.err) == (3, True)


@pytest.mark.prove
def test_a_port_that_is_taken_is_told(ai: Ai) -> None:
    """With what to type instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = ai("serve", "--port", taken.getsockname()[1])
    assert (done.code, "ai serve --port N" in done.err) == (6, True)


@pytest.mark.prove
def test_others_are_told_that_it_is_not_encrypted_unless_it_is(ai: Ai, tmp_path: Path) -> None:
    """With a certificate it answers over TLS alone."""
    with serving(ai, "--host", "0.0.0.0", "--open-to-network") as (_, process):
        assert process.stderr is not None
        assert "is not encrypted" in process.stderr.readline()
    certificate, key = _certificate(tmp_path)
    assert ai("serve", "--tls-cert", certificate).code == 2
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with serving(ai, *options) as (url, _):
        assert url.startswith("https://")
        trusted = ssl.create_default_context(cafile=certificate)
        with closing(httpx.Client(verify=trusted)) as client:
            port = url.rpartition(":")[2]
            assert client.get(f"https://localhost:{port}/health").status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://localhost:{port}/health")


def _certificate(folder: Path) -> tuple[Path, Path]:
    """One for this machine that nobody else signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@pytest.mark.prove
def test_the_page_works_as_it_stands(ai: Ai) -> None:
    """Every line of it that is a shell's, in order, against a server at another port."""
    fences = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    first, *others = fences
    assert first == "ai serve\n"
    with serving(ai) as (url, _):
        script = "set -euo pipefail\n" + "\n".join(others).replace("http://127.0.0.1:8020", url)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=ai.workspace,
            env=ai.environment | {"PATH": f"{AI.parent}:{ai.environment['PATH']}"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert (ai.workspace / "note.txt").read_text() == "milk\n"
    assert "http_requests_total" in (ai.workspace / "figures.txt").read_text()
    assert "ExecStart=" in (ai.workspace / "localai.service").read_text()
    assert '"outcome": "1.4.2 is out"' in done.stdout
    answer = json.loads((ai.workspace / "answer.json").read_text())
    assert answer["passages"][0]["source"] == "kettle.md"
    assert answer["answer"] is not None
    found = json.loads((ai.workspace / "found.json").read_text())
    assert found["items"][0]["title"] == "The kettle"
