"""Servers that misbehave: each ends in an error with its name, none hangs, none floods us."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import mcp_servers
import pytest
from mcp_servers import are_gone, connections, is_alive, odd, of

from localai.core import redact
from localai.core.errors import Unavailable


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("exit", "it ended with 7"),
        ("silent", "it did not answer within 1 seconds"),
        ("wrong-id", "it did not answer within 1 seconds"),
        ("garbage", "it sent more than 16 MB"),
        ("old", "it does not speak the protocol as it should"),
        ("bent", "it does not speak the protocol as it should"),
        ("endless", "more than 20 pages"),
        ("many", "more than 256 tools"),
    ],
)
def test_a_server_that_cannot_be_listed_is_unavailable(how: str, why: str) -> None:
    """Its name and what is wrong with it stand in the error."""
    limit_s = 30 if how == "garbage" else 1
    with connections(limit_s=limit_s) as ours, pytest.raises(Unavailable) as failed:
        ours.offers(odd(how))
    assert failed.value.message.startswith("the MCP server odd fails: ")
    assert why in failed.value.message
    assert "mcp_odd.py" in (failed.value.hint or "")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("hang", "it did not answer within 3 seconds"),
        ("die", "it ended with 3"),
        ("flood-line", "it wrote a line of more than 4 MB"),
        ("flood-lines", "it sent more than 16 MB"),
        ("bent-answer", "it does not speak the protocol as it should"),
    ],
)
def test_a_call_that_goes_wrong_is_unavailable_and_the_server_is_ended(how: str, why: str) -> None:
    """Nobody knows what it does with the call: it does not go on unseen."""
    with connections(limit_s=3 if how == "hang" else 30) as ours:
        ours.offers(odd(how))
        with pytest.raises(Unavailable, match=why):
            ours.call(odd(how), "go", {})
        with pytest.raises(Unavailable, match="is not connected"):
            ours.call(odd(how), "go", {})


def test_what_a_server_said_last_is_a_cause_that_no_terminal_obeys() -> None:
    """It is a stranger's text: no part of the message that a model reads."""
    with connections() as ours, pytest.raises(Unavailable) as failed:
        ours.offers(odd("die"))
        ours.call(odd("die"), "go", {})
    assert failed.value.causes == ["it said: out of memory\\u{001B}[2J"]
    assert "memory" not in failed.value.message


def test_a_banner_before_the_protocol_does_not_matter() -> None:
    """Many servers greet on standard output."""
    with connections() as ours:
        assert [offer.name for offer in ours.offers(odd("banner"))] == ["go"]
        assert ours.call(odd("banner"), "go", {})["content"][0]["text"] == "went"


def test_an_error_of_a_number_that_the_sdk_uses_too_is_the_tools_own() -> None:
    """The connection is still there, and so is the server."""
    with connections() as ours:
        ours.offers(odd("own-error"))
        answer = ours.call(odd("own-error"), "go", {})
        assert answer == {"isError": True, "content": [{"type": "text", "text": "no such row"}]}
        assert ours.call(odd("own-error"), "go", {}) == answer


def test_what_a_server_asks_of_us_is_refused() -> None:
    """An answer of a model, of a person, and our directories: three refusals."""
    with connections() as ours:
        ours.offers(odd("asks"))
        answers = json.loads(ours.call(odd("asks"), "go", {})["content"][0]["text"])
    assert [answer["id"] for answer in answers] == [100, 101, 102]
    assert all("error" in answer and "result" not in answer for answer in answers)


def test_what_a_server_logs_reaches_neither_the_terminal_nor_the_log(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand lines that would paint the screen."""
    with connections() as ours, caplog.at_level(logging.DEBUG, logger="localai"):
        ours.offers(odd("logs"))
        assert ours.call(odd("logs"), "go", {})["content"][0]["text"] == "went"
    assert capfd.readouterr() == ("", "")
    assert "look here" not in "".join(record.getMessage() for record in caplog.records)


def test_a_server_that_died_is_started_again_for_the_next_listing() -> None:
    """A call is never repeated; a list can be asked for twice."""
    with connections() as ours:
        ours.offers(odd("die"))
        pid = ours._open["odd"]._pipe._process.pid  # type: ignore[union-attr]
        os.kill(pid, 9)
        assert [offer.name for offer in ours.offers(odd("die"))] == ["go"]
        assert ours._open["odd"]._pipe._process.pid != pid  # type: ignore[union-attr]


def test_a_program_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """One that cannot be run says which."""
    file = tmp_path / "server"
    file.write_bytes(b"\x7fELF")
    file.chmod(0o700)
    with connections() as ours, pytest.raises(Unavailable, match="server cannot be run"):
        ours.offers(of("broken", str(file)))


def test_closing_ends_the_server_and_what_it_started(tmp_path: Path) -> None:
    """Nothing of it is left running when localai is gone."""
    server = mcp_servers.lying(tmp_path)
    with connections() as ours:
        ours.offers(of("lying", *server.words))
        answer = ours.call(of("lying", *server.words), "linger", {})
        pids = [int(word) for word in answer["content"][0]["text"].split()]
        assert all(map(is_alive, pids))
    assert are_gone(pids)


def test_a_server_gets_a_clean_environment_and_what_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value comes from the secrets first, and is redacted from then on."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for servers")
    monkeypatch.setenv("FROM_HERE", "a value of the shell")
    server = mcp_servers.lying(tmp_path)
    made = of("lying", *server.words, env=("A_TOKEN", "FROM_HERE"))
    with connections({"mcp-lying.A_TOKEN": "sesame-open"}.get) as ours:
        ours.offers(made)
        seen = json.loads(ours.call(made, "environment", {})["content"][0]["text"])
    assert {"HOME", "PATH", "TERM", "A_TOKEN", "FROM_HERE"} <= seen.keys()
    assert seen["A_TOKEN"] == "sesame-open"
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert not [name for name in seen if name.startswith("LOCALAI_")]
    assert redact.redact("it is sesame-open") == "it is [redacted]"


def test_a_variable_without_a_value_is_named_before_anything_runs() -> None:
    """The hint says how to give it one."""
    made = of("odd", sys.executable, str(mcp_servers.HERE / "mcp_odd.py"), "go", env=("NOBODY",))
    with connections() as ours, pytest.raises(Unavailable, match="NOBODY") as failed:
        ours.offers(made)
    assert failed.value.hint == "ai secrets set mcp-odd.NOBODY"


def test_no_server_is_started_by_importing_or_by_making_connections() -> None:
    """The SDK costs a second, and schemas a tenth: both wait until they are needed."""
    script = "import localai.agent.mcp.foreign, sys; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"mcp", "mcp_types", "httpx2", "anyio", "jsonschema"} & set(ended.stdout.split())
