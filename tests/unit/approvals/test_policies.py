"""The policy of a home: read again when it changes, refused when others could write it."""

import os
from pathlib import Path

import pytest

from localai.approvals.policies import Policies
from localai.approvals.policy import Mode
from localai.core.errors import Denied, Invalid, NotFound, Unavailable
from localai.rbac.permissions import Actor

ACTOR = Actor("kim")
RULE = """
[[rule]]
name = "{name}"
effect = "deny"
tools = ["write_file"]
match = [{{}}]
no_match = [{{tool = "read_file"}}]
"""


def _policies(file: Path, mode: Mode = "normal") -> Policies:
    tools = {"read_file": ["path"], "write_file": ["path", "content"]}
    return Policies(file, mode, lambda *_: None, lambda: tools)


def _write(file: Path, *names: str) -> None:
    file.write_text("".join(RULE.format(name=name) for name in names))
    file.chmod(0o600)


def test_rules_are_read_again_when_the_file_changes(tmp_path: Path) -> None:
    """Without one there are none."""
    file = tmp_path / "policy.toml"
    policies = _policies(file)
    assert policies.rules() == ()
    _write(file, "first")
    assert [rule.name for rule in policies.rules()] == ["first"]
    assert policies.rules() is policies.rules()
    _write(file, "first", "second")
    assert [rule.name for rule in policies.rules()] == ["first", "second"]
    file.unlink()
    assert policies.rules() == ()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever writes it decides what runs."""
    file = tmp_path / "policy.toml"
    _write(file, "first")
    file.chmod(mode)
    with pytest.raises(Invalid, match="can be written by other users"):
        _policies(file).rules()


def test_a_file_that_is_wrong_is_an_error_and_not_no_rules(tmp_path: Path) -> None:
    """With its place, and what follows from it."""
    file = tmp_path / "policy.toml"
    _write(file, "No")
    with pytest.raises(Invalid, match=r"policy.toml: rule 1") as caught:
        _policies(file).rules()
    assert "until then no tool runs" in (caught.value.hint or "")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(Unavailable):
        _policies(file).rules()


def test_a_file_that_cannot_be_looked_at_is_an_error(tmp_path: Path) -> None:
    """A name that is a file in the way of one is not `no file`."""
    (tmp_path / "config").write_text("")
    with pytest.raises(Unavailable):
        _policies(tmp_path / "config" / "policy.toml").rules()


def test_the_mode_stands_below_the_operators_rules(tmp_path: Path) -> None:
    """Everything that can decide is in the list."""
    file = tmp_path / "policy.toml"
    _write(file, "mine")
    listed = [(rule.name, rule.effect) for rule in _policies(file).list(ACTOR).items]
    assert listed == [
        ("mine", "deny"),
        ("normal.below-high", "allow"),
        ("normal.from-high", "ask"),
    ]
    strict = [rule.name for rule in _policies(file, "strict").list(ACTOR).items]
    assert strict == ["mine", "strict.below-medium", "strict.from-medium", "strict.confined"]
    shown = _policies(file).show(ACTOR, "normal.from-high")
    assert "risk       high, critical; where no other rule is about the call" in shown.words
    with pytest.raises(NotFound):
        _policies(file).show(ACTOR, "none")


def test_looking_needs_the_permission(tmp_path: Path) -> None:
    """It says what could be got past."""

    def refuse(_: Actor, permission: str) -> None:
        raise Denied(permission)

    policies = Policies(tmp_path / "policy.toml", "normal", refuse, dict)
    with pytest.raises(Denied, match="policy:read"):
        policies.list(ACTOR)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """Its owner could change it at any time."""
    file = tmp_path / "policy.toml"
    _write(file, "first")
    os.chown(file, 12345, 12345)
    with pytest.raises(Invalid):
        _policies(file).rules()
