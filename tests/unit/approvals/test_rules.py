"""Rules: how they are written, what they match, and what is wrong with one."""

from pathlib import Path
from typing import Any

import pytest

from localai.approvals.rules import Command, Equal, Host, Rule, Subject, Within, read
from localai.core.errors import Invalid
from localai.rbac.permissions import Risk

TOOLS = {
    "write_file": ["path", "content"],
    "run_command": ["argv", "cwd"],
    "fetch": ["url"],
}
NOTES = """
[[rule]]
name = "notes"
effect = "allow"
why = "they are backed up"
tools = ["write_file"]
roles = ["admin", "operator"]
risk = ["high"]
arguments.path = {within = ["notes"]}
match = [{arguments = {path = "notes/a.md"}}]
no_match = [{arguments = {path = "src/a.py"}}, {risk = "critical", arguments = {path = "notes/a"}}]
"""


def _subject(arguments: dict[str, Any], workspace: str = "/work", **changes: Any) -> Subject:
    plain = {"tool": "write_file", "risk": Risk.HIGH, "roles": ("admin",)}
    return Subject(arguments=arguments, workspace=workspace, **{**plain, **changes})


def test_a_rule_is_read_whole() -> None:
    """And told in words that hold all of it."""
    (rule,) = read(NOTES, TOOLS)
    assert rule.matches(_subject({"path": "notes/b.md", "content": "x"}))
    assert not rule.matches(_subject({"path": "notes/b.md"}, roles=("user",)))
    assert not rule.matches(_subject({"path": "notes/b.md"}, tool="run_command"))
    assert not rule.matches(_subject({"content": "x"}))
    assert rule.words == (
        "rule       notes",
        "effect     allow",
        "tools      write_file",
        "roles      admin, operator",
        "risk       high; critical is never allowed by a rule",
        "argument   path lies in 'notes'",
        "why        they are backed up",
    )


def test_no_rules_are_no_rules() -> None:
    """An empty file is a policy, too."""
    assert read("", TOOLS) == ()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("[[rule]]", "[rule", "not TOML"),
        ("[[rule]]", "[[rules]]", "nothing is called 'rules'"),
        ('name = "notes"', 'name = "My Notes"', "its name is not made of"),
        ('name = "notes"', "", "its name is not made of"),
        ('"allow"', '"permit"', "its effect is not one of deny, ask, allow"),
        ('["write_file"]', '["write"]', "'write' is not one of"),
        ('["write_file"]', '"write_file"', "not a list of texts"),
        ('"operator"', '"root"', "'root' is not one of"),
        ('["high"]', '["severe"]', "'severe' is not one of"),
        ("arguments.path", "arguments.file", "write_file takes no argument file"),
        ("within", "inside", "none of within, host, equals"),
        ('{within = ["notes"]}', '"notes"', "is not a table"),
        ('{within = ["notes"]}', "{within = []}", "not a list of texts"),
        ("match = [{arguments", "# match = [{arguments", "no example under match"),
        ("no_match =", "# no_match =", "no example under no_match"),
        ('"notes/a.md"', '"other/a.md"', "the rule does not match"),
        ('"src/a.py"', '"notes/a.py"', "the rule matches"),
        ("why", "reason", "nothing is called 'reason'"),
        ('risk = "critical",', 'risc = "critical",', "nothing is called 'risc'"),
    ],
)
def test_a_rule_that_is_wrong_is_not_loaded(before: str, after: str, told: str) -> None:
    """And the error names the rule and what is wrong with it."""
    assert before in NOTES
    with pytest.raises(Invalid, match=told) as caught:
        read(NOTES.replace(before, after, 1), TOOLS)
    if "rule 1" not in caught.value.message and before != "[[rule]]":
        assert "rule notes" in caught.value.message


def test_two_rules_of_one_name_are_refused() -> None:
    """The record would not tell which."""
    with pytest.raises(Invalid, match="two rules are called notes"):
        read(NOTES + NOTES, TOOLS)


def test_a_path_is_in_a_directory_when_every_link_is_followed(tmp_path: Path) -> None:
    """Neither dots nor links nor a longer name lead out of it."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes-old").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "notes" / "out").symlink_to(tmp_path / "src")
    (tmp_path / "in").symlink_to(tmp_path / "notes")
    within, place = Within(("notes",)), str(tmp_path)
    for path in ("notes", "notes/a.md", "./notes/b/../a.md", "in/a.md", f"{place}/notes/a.md"):
        assert within.holds(path, place), path
    for path in (
        "notes-old/a.md",
        "notes/../src/a.py",
        "notes/out/a.py",
        "a.md",
        "",
        "/notes/a.md",
        "notes/\0",
        "~/notes/a.md",
        7,
        None,
        ["notes"],
    ):
        assert not within.holds(path, place), path


def test_a_command_is_its_program_and_its_arguments() -> None:
    """What allows takes the very words, what forbids takes the program wherever it lies."""
    exact = Command("git", ("log",), more=False)
    assert exact.holds(["git", "log"], "")
    for other in (
        ["git"],
        ["git", "log", "-p"],
        ["./git", "log"],
        ["git log"],
        "git log",
        ["git", 1],
    ):
        assert not exact.holds(other, ""), other
    longer = Command("git", ("log",), more=True)
    assert longer.holds(["git", "log", "--oneline"], "")
    assert not longer.holds(["git", "push", "log"], "")
    forbidding = Command("curl", (), more=True, by_name=True)
    assert forbidding.holds(["/usr/bin/curl", "example.org"], "")
    assert not forbidding.holds([], "")
    assert not forbidding.holds(["curly"], "")


def test_a_rule_that_forbids_a_program_forbids_it_by_every_path() -> None:
    """One that allows it does not."""
    text = """
[[rule]]
name = "no-curl"
effect = "{effect}"
tools = ["run_command"]
arguments.argv = {{program = "curl", more = true}}
match = [{{arguments = {{argv = ["curl", "-s"]}}}}]
no_match = [{{arguments = {{argv = ["ls"]}}}}]
"""
    call = _subject({"argv": ["/tmp/curl"]}, tool="run_command")
    assert read(text.format(effect="deny"), TOOLS)[0].matches(call)
    assert read(text.format(effect="ask"), TOOLS)[0].matches(call)
    assert not read(text.format(effect="allow"), TOOLS)[0].matches(call)


def test_a_host_is_the_one_that_a_program_would_call() -> None:
    """What two parsers could read in two ways is no address."""
    host = Host(("example.org", "*.example.com"))
    for address in (
        "https://example.org/a?b#c",
        "http://EXAMPLE.org:8080",
        "https://a.example.com",
        "https://a.b.example.com/",
    ):
        assert host.holds(address, ""), address
    for address in (
        "https://example.com",
        "https://example.org.evil.net",
        "https://evil.net/example.org",
        "https://example.org@evil.net",
        "https://evil.net\\@example.org",
        "https://example.org\n.evil.net",
        "https://notexample.com",
        "https://xexample.org",
        "ftp://example.org",
        "//example.org",
        "example.org",
        "https://example.org:99999",
        "https://[::1",
        "https://ex\u0430mple.org",
        5,
    ):
        assert not host.holds(address, ""), address


@pytest.mark.parametrize("pattern", ["*", "*.", "Example.org", "https://a.org", "a.*.org", ""])
def test_a_host_that_is_none_is_refused(pattern: str) -> None:
    """A star stands at the front alone."""
    text = NOTES.replace('["write_file"]', '["fetch"]').replace("arguments.path", "arguments.url")
    with pytest.raises(Invalid, match="not a host"):
        read(text.replace('{within = ["notes"]}', f'{{host = ["{pattern}"]}}', 1), TOOLS)


def test_a_value_is_equal_with_its_type() -> None:
    """1 is not true, nor is it a text."""
    assert Equal((1, "a")).holds(1, "")
    assert not Equal((1,)).holds(True, "")
    assert not Equal((1,)).holds("1", "")


def test_a_rule_without_conditions_is_about_every_call() -> None:
    """Of every tool and role."""
    assert Rule("all", "ask").matches(_subject({}))
