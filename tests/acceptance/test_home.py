"""Homes, settings and secrets, from the command line."""

import json
import stat
from pathlib import Path

import pytest
from terminal import Ai


def test_a_home_is_made_unasked_and_making_it_again_changes_nothing(fresh: Ai) -> None:
    """`ai init` can be typed twice."""
    first, second = fresh("init", "--json").json, fresh("init", "--json").json
    assert first["is_new"]
    assert not second["is_new"]
    assert first["operator"] == second["operator"]
    assert first["roles"] == ["admin"]


def test_every_file_of_a_home_is_closed_to_others(fresh: Ai) -> None:
    """Files are 0600, directories 0700."""
    fresh("init")
    fresh("config", "set", "approvals.timeout", "9m")
    open_paths = [
        path
        for path in [fresh.home, *fresh.home.rglob("*")]
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    assert open_paths == []


@pytest.mark.prove
def test_a_profile_sets_defaults_that_a_setting_overrides(fresh: Ai) -> None:
    """Production is strict unless told otherwise, and `show` says who said so."""
    fresh("init", "--profile", "prod")
    assert fresh("config", "get", "security.mode").out == "strict\n"
    assert fresh("config", "get", "security.mode", LOCALAI_SECURITY_MODE="normal").out == "normal\n"
    shown = {each["key"]: each for each in fresh("config", "show", "--json").json}
    assert shown["security.mode"]["source"] == "profile prod"


@pytest.mark.prove
def test_a_flag_beats_the_environment_beats_the_file(ai: Ai) -> None:
    """The order of precedence holds."""
    ai("config", "set", "approvals.grant", "1m")
    assert ai("config", "get", "approvals.grant").out == "1m\n"
    environment = {"LOCALAI_APPROVALS_GRANT": "2m"}
    assert ai("config", "get", "approvals.grant", **environment).out == "2m\n"
    flagged = ai("--set", "approvals.grant=3m", "config", "get", "approvals.grant", **environment)
    assert flagged.out == "3m\n"


@pytest.mark.prove
def test_a_misspelt_variable_is_named_with_the_right_spelling(ai: Ai) -> None:
    """`ai config check` finds what nobody reads."""
    found = ai("config", "check", LOCALAI_APROVALS_TIMEOUT="5m")
    assert found.code == 2
    assert "did you mean LOCALAI_APPROVALS_TIMEOUT?" in found.err


@pytest.mark.prove
def test_the_sample_is_a_config_that_checks(ai: Ai) -> None:
    """Every line of the sample can be uncommented."""
    lines = ai("config", "sample").out.splitlines()
    kept = [line.removeprefix("# ") if " = " in line else line for line in lines]
    ai("init")
    (ai.home / "config.toml").write_text("\n".join(kept))
    assert ai("config", "check").code == 0


def test_a_secret_comes_from_standard_input_and_is_nowhere_in_the_clear(ai: Ai) -> None:
    """Not in the listing, the files, the log or the audit."""
    secret = "correct-horse-battery-staple"
    assert ai("secrets", "set", "smtp-password", stdin=f"{secret}\n").code == 0
    listed = ai("secrets", "list", "--json")
    assert {each["name"]: each["source"] for each in listed.json["items"]}["smtp-password"]
    assert secret not in listed.out
    assert [path for path in ai.home.rglob("*") if _holds(path, secret)] == []


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and text.encode() in path.read_bytes()


def test_a_lost_database_is_said_and_not_replaced(ai: Ai) -> None:
    """A home that had an audit does not quietly begin a new one."""
    ai("init")
    (ai.home / "data" / "localai.db").unlink()
    lost = ai("audit", "list", "--json")
    assert lost.code == 6
    assert json.loads(lost.out)["error"]["category"] == "unavailable"
    assert not (ai.home / "data" / "localai.db").exists()


def test_a_damaged_database_denies_and_stays_as_it_is(ai: Ai) -> None:
    """Nothing is permitted on a database that cannot be read."""
    ai("init")
    database = ai.home / "data" / "localai.db"
    database.write_bytes(b"not a database" * 1000)
    before = database.read_bytes()
    assert ai("tools", "run", "list_files", "--args", '{"path": "."}').code == 6
    assert database.read_bytes() == before


@pytest.mark.prove
def test_a_home_that_cannot_be_made_is_unavailable(ai: Ai) -> None:
    """Nobody's bug: the place is wrong, and another one is named."""
    (ai.workspace / "file").write_text("")
    made = ai("--home", ai.workspace / "file" / "home", "init")
    assert made.code == 6
    assert "cannot be made" in made.err
    assert "hint: ai --home DIR" in made.err


def test_a_wrong_word_exits_2_and_says_what_to_type(ai: Ai) -> None:
    """Usage errors are one line and a hint."""
    wrong = ai("approvals", "lst")
    assert wrong.code == 2
    assert wrong.err.splitlines()[-1] == "hint: ai approvals --help"
    assert "Traceback" not in wrong.err
