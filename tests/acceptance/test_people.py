"""Users, roles, API keys and codes, from the command line."""

import time
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
from terminal import Ai


def test_a_new_home_knows_who_you_are_and_why(fresh: Ai) -> None:
    """By name, by rule, and with what you may do."""
    told = fresh("users", "whoami", "--json").json
    assert told["roles"] == ["admin"]
    assert len(told["permissions"]) == 25
    assert told["known_by"] == "this home, whose operator it is"


def test_a_key_is_shown_once_and_calls_as_its_user(ai: Ai) -> None:
    """On stdout alone; what it may not is told with the reason."""
    ai("users", "add", "mina", "--role", "viewer")
    made = ai("keys", "create", "--user", "mina", "--expires", "1d")
    key = made.out.strip()
    assert key.startswith("lai_")
    assert key not in made.err
    told = ai("users", "whoami", "--json", LOCALAI_API_KEY=key).json
    assert told["name"] == "mina"
    assert told["known_by"] == f"the API key {ai('keys', 'list', '-q').out.strip()}"
    refused = ai("config", "set", "log.level", "debug", LOCALAI_API_KEY=key)
    assert refused.code == 3
    assert "mina (viewer) lacks the permission config:write" in refused.err
    secret = key.split("_")[2]
    assert not any(secret.encode() in file.read_bytes() for file in ai.home.rglob("*.*"))


@pytest.mark.prove
def test_a_key_is_for_some_models_and_so_much(ai: Ai, with_model: Callable[..., str]) -> None:
    """Here as well as over HTTP; a model that there is not is no limit."""
    with_model(default="I am yours.")
    ai("users", "add", "mina", "--role", "user")
    make = ("keys", "create", "--user", "mina", "--tokens-per-day", 5000, "--models")
    assert ai(*make, "chat,nobody").code == 4
    key = ai(*make, "starter", "--requests-per-minute", 60).out.strip()
    (_, limited) = ai("keys", "list", COLUMNS="200").out.splitlines()
    assert limited.endswith("starter; 60 requests a minute; 5,000 tokens a day")
    refused = ai("chat", "hello", LOCALAI_API_KEY=key)
    assert refused.code == 3
    assert "is not for the model scripted" in refused.err


@pytest.mark.prove
def test_a_key_that_was_revoked_or_never_was_is_denied(ai: Ai) -> None:
    """Whatever the command."""
    operator = ai("users", "list", "-q").out.strip()
    key = ai("keys", "create", "--user", operator, "--json").json
    assert ai("approvals", "list", LOCALAI_API_KEY=key["key"]).code == 0
    assert ai("keys", "revoke", key["id"]).code == 0
    for wrong in (key["key"], "lai_wrong", ""):
        assert ai("approvals", "list", LOCALAI_API_KEY=wrong).code == 3
    rotated = ai("keys", "rotate", key["id"])
    assert rotated.code == 5


@pytest.mark.prove
def test_the_operator_tries_what_a_user_may(ai: Ai) -> None:
    """The audit keeps both names, and a key acts as nobody else."""
    ai("users", "add", "mina", "--role", "user")
    assert ai("--as", "mina", "audit", "list").code == 3
    assert ai("--as", "nobody", "audit", "list").code == 4
    operator = ai("users", "list", "-q").out.split()[0]
    newest = ai("audit", "list", "--limit", "1", "--json").json["items"][0]
    assert newest["actor"] == f"{operator} as mina"
    key = ai("keys", "create", "--user", "mina").out.strip()
    assert ai("--as", operator, "users", "list", LOCALAI_API_KEY=key).code == 3


@pytest.mark.prove
def test_a_user_is_changed_and_disabled(ai: Ai) -> None:
    """And listed as things stand."""
    ai("users", "add", "mina", "--role", "user", "--role", "viewer")
    assert ai("users", "set-role", "mina", "operator", "--json").json["roles"] == ["operator"]
    assert ai("users", "disable", "mina", "--json").json["permissions"] == []
    assert "disabled" in ai("users", "list").out
    assert ai("users", "enable", "mina").code == 0
    assert ai("users", "show", "mina", "--json").json["is_disabled"] is False
    assert ai("users", "add", "eve", "--role", "root").code == 2
    assert "25" in ai("roles", "list").out
    assert ai("roles", "show", "viewer", "--json").json["name"] == "viewer"


@pytest.mark.prove
def test_a_tool_is_called_so_often_and_no_more(ai: Ai) -> None:
    """Until the switch for development is off, which strict mode refuses."""
    ai("config", "set", "rate_limits.calls", "2/1h")
    call = ("tools", "run", "list_files", "--args", "{}")
    assert [ai(*call).code for _ in range(3)] == [0, 0, 3]
    assert "2 times in 3600 s, and has; try again in" in ai(*call).err
    assert ai(*call, LOCALAI_RATE_LIMITS_ENABLED="false").code == 0
    off = {"LOCALAI_RATE_LIMITS_ENABLED": "false", "LOCALAI_SECURITY_MODE": "strict"}
    refused = ai(*call, **off)
    assert refused.code == 3
    assert "strict mode refuses rate_limits.enabled = false" in refused.err
    assert ai("chat", "--no-tools", "hi", **off).err.endswith(refused.err)
    checks = {each["name"]: each for each in ai("doctor", "--json", **off).json["checks"]}
    assert checks["protection"]["status"] == "failed"
    relaxed = {"LOCALAI_RATE_LIMITS_ENABLED": "false"}
    checks = {each["name"]: each for each in ai("doctor", "--json", **relaxed).json["checks"]}
    assert checks["protection"]["status"] == "warning"


FOUR_EYES = """
[[rule]]
name = "four-eyes"
effect = "ask"
tools = ["write_file"]
approvers = 2
self_approval = false
match = [{arguments = {path = "a", content = ""}}]
no_match = [{tool = "read_file"}]
"""
WRITE = ("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "x"}')


@pytest.mark.prove
def test_two_people_see_it_and_not_the_one_who_asks(ai: Ai) -> None:
    """Alone there is no four-eyes, and the doctor says so."""
    policy = Path(ai("config", "path").out.strip()).with_name("policy.toml")
    policy.write_text(FOUR_EYES)
    policy.chmod(0o600)
    doctor = {each["name"]: each for each in ai("doctor", "--json").json["checks"]}
    assert "there is no four-eyes" in doctor["policy"]["message"]
    for name in ("mina", "june"):
        ai("users", "add", name, "--role", "operator")
    doctor = {each["name"]: each for each in ai("doctor", "--json").json["checks"]}
    assert doctor["policy"]["status"] == "ok"
    mina, june = (ai("keys", "create", "--user", name).out.strip() for name in ("mina", "june"))
    waiting = _asked(ai, *WRITE)
    own = ai("approve", waiting, "-y")
    assert (own.code, "somebody else" in own.err) == (3, True)
    first = ai("approve", waiting, "-y", LOCALAI_API_KEY=mina)
    assert (
        first.out == f"pending {waiting} write_file: approved by 1 of the 2 people that it needs\n"
    )
    assert ai("approvals", "run", waiting).code == 7
    assert ai("approve", waiting, "-y", LOCALAI_API_KEY=june).out.startswith("approved")
    assert ai("approvals", "run", waiting).code == 0
    assert (ai.workspace / "a.txt").read_text() == "x"


@pytest.mark.prove
def test_strict_mode_asks_for_a_code(ai: Ai) -> None:
    """That of the person's own app, at critical risk alone."""
    run = ("tools", "run", "write_file", "--args", '{"path": ".envrc", "content": "x"}')
    waiting = _asked(ai, *run)
    strict = {"LOCALAI_SECURITY_MODE": "strict"}
    asked = ai("approve", waiting, "-y", **strict)
    assert (asked.code, "ai users totp new" in asked.err) == (3, True)
    app = pyotp.TOTP(ai("users", "totp", "new", "--json").json["secret"])
    assert ai("users", "totp", "confirm", app.at(time.time())).code == 0
    assert "none was given" in ai("approve", waiting, "-y", **strict).err
    later = app.at(time.time() + 30)  # the one after is taken, too
    assert ai("approve", waiting, "-y", "--totp", later, **strict).code == 0
    other = _asked(ai, *run)
    assert "used already" in ai("approve", other, "-y", "--totp", later, **strict).err
    assert ai("approve", other, "-y").code == 0
    name = ai("users", "whoami", "--json").json["name"]
    assert ai("users", "totp", "rm", name).code == 0


def _asked(ai: Ai, *call: str) -> str:
    """The id of the request that the call leaves."""
    assert ai(*call).code == 7
    return ai("approvals", "list", "--status", "pending", "-q").out.strip()
