"""What a person sees before deciding."""

import hashlib
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
import spoofs
from approvals_home import Home, action
from hypothesis import given
from hypothesis import strategies as st

from localai.approvals.action import Action, Facts, FileFact, Program
from localai.approvals.records import Approval
from localai.approvals.render import describe, quoted

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_CYRILLIC = "p\u0430ypal"
_MIXED = "  warning: one word mixes alphabets that look alike"


def _approval(made: Action, reason: str | None = None, kind: str = "human") -> Approval:
    return Approval(
        id="0123456789abcdef",
        tool_name=made.tool,
        arguments=made.arguments,
        proposed_arguments=made.arguments,
        action_sha256=made.sha256,
        risk="high",
        status="pending",
        user_id="kim",
        requester_kind=kind,
        session=None,
        reason=reason,
        policy_rule="normal.from-high",
        sandbox=made.sandbox,
        created_at="2026-11-21T00:00:00.000Z",
        expires_at="2026-11-21T00:05:00.000Z",
        needed=1,
        votes=(),
        decided_at=None,
        decided_by=None,
        decision_reason=None,
        finished_at=None,
        outcome=None,
        action=made.text,
    )


def _shown(reason: str | None = None, kind: str = "human", **changes: Any) -> list[str]:
    made = action(**changes)
    return describe(_approval(made, reason, kind), made)


def _is_plain(line: str) -> bool:
    return all(unicodedata.category(char) not in _UNSEEN for char in line)


def test_shows_everything_that_runs() -> None:
    """Tool, risk, arguments, place, program, files, sandbox, digest."""
    facts = Facts(
        Program("/usr/bin/git", "1", "2", "aa" * 32),
        "cc" * 32,
        (FileFact("/work/a", True, "1", "2", 3, "bb" * 32), FileFact("/work/b", False)),
    )
    made = action(
        tool="run_command",
        arguments={"argv": ["git", "log", "--all"], "cwd": "."},
        sandbox="none: runs unconfined with your own rights",
        facts=facts,
    )
    assert describe(_approval(made), made) == [
        "request    0123456789abcdef  pending",
        "tool       run_command",
        "risk       high",
        "argument   argv: 3 elements",
        '  [0] "git"',
        '  [1] "log"',
        '  [2] "--all"',
        'argument   cwd = "."',
        'workspace  "/work"',
        f'program    "/usr/bin/git"  sha256 {"aa" * 32}',
        f'checked    "/work/a"  exists: 3 bytes, sha256 {"bb" * 32}',
        'checked    "/work/b"  does not exist yet',
        "sandbox    none: runs unconfined with your own rights",
        "policy     normal.from-high",
        "asked by   kim",
        "asked at   2026-11-21T00:00:00.000Z, expires 2026-11-21T00:05:00.000Z",
        f"digest     {made.sha256}",
    ]


def test_a_diff_is_shown_line_by_line() -> None:
    """Counted, framed, and with nothing in it that a terminal obeys."""
    diff = "@@ -1,2 +1,2 @@\n same\n-old\x1b[2J\r\n+new\n+-\n\\ No newline at the end of the file\n"
    lines = _shown(facts=Facts(diff=diff))
    start = lines.index("changes    2 lines added, 1 line removed")
    assert lines[start + 1 : start + 7] == [
        "  | @@ -1,2 +1,2 @@",
        "  |  same",
        "  | -old\\u{001B}[2J\\r",
        "  | +new",
        "  | +-",
        "  | \\ No newline at the end of the file",
    ]


def test_a_record_shows_its_own_action(home: Home) -> None:
    """`shown` is the same text, and no part of the JSON."""
    opened = home.open()
    assert list(opened.shown) == describe(opened, action())


def test_long_text_comes_last_with_its_size_and_digest() -> None:
    """The path is read before the content begins, and the content ends where it says."""
    content = "one\ntwo\n"
    lines = _shown(arguments={"content": content, "path": "a.txt"})
    digest = hashlib.sha256(content.encode()).hexdigest()
    assert lines[3:7] == [
        'argument   path = "a.txt"',
        f"argument   content: 8 bytes, 2 lines, sha256 {digest}",
        "  | one",
        "  | two",
    ]


def test_a_missing_last_newline_is_said() -> None:
    """Two contents that differ look different."""
    lines = _shown(arguments={"content": "one\ntwo"})
    assert lines[3].startswith("argument   content: 7 bytes, 2 lines")
    assert lines[5] == "  | two  (no newline at the end)"


def test_ten_thousand_newlines_do_not_hide_the_payload() -> None:
    """The header counts them, every line is there, and no line is cut."""
    content = "\n" * 10_000 + "rm -rf ~\n"
    lines = _shown(arguments={"content": content})
    assert lines[3].startswith("argument   content: 10009 bytes, 10001 lines, sha256 ")
    assert lines[4:10_004] == ["  | "] * 10_000
    assert lines[10_004] == "  | rm -rf ~"


def test_no_code_point_leaves_unseen() -> None:
    """Of all 1,114,112 code points in one content, none acts or hides (surrogates cannot come)."""
    content = "".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]))
    left = set("".join(_shown(arguments={"content": content})))
    assert not [char for char in left if unicodedata.category(char) in _UNSEEN]


_PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "argument": lambda spoof: {"arguments": {"content": f"x\n{spoof}\n"}},
    "element": lambda spoof: {"arguments": {"argv": [spoof]}},
    "name": lambda spoof: {"arguments": {spoof: {"deep": [spoof, 1, None]}}},
    "cwd": lambda spoof: {"cwd": spoof},
    "program": lambda spoof: {"facts": Facts(program=Program(spoof, "1", "2", "aa"))},
    "file": lambda spoof: {"facts": Facts(files=(FileFact(spoof, False),))},
    "reason": lambda spoof: {"reason": spoof},
}


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("spoof", spoofs.HIDDEN.values(), ids=spoofs.HIDDEN)
def test_spoofs_are_spelled_out(spoof: str, place: str) -> None:
    """Wherever foreign text stands, it can neither act nor hide."""
    lines = _shown(**_PLACES[place](spoof))
    assert all(map(_is_plain, lines))
    assert not any(spoof in line for line in lines)


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("spoof", spoofs.LOOKALIKES.values(), ids=spoofs.LOOKALIKES)
def test_lookalikes_are_flagged(spoof: str, place: str) -> None:
    """A letter of another alphabet in a word is pointed out."""
    assert _MIXED in _shown(**_PLACES[place](spoof))


@pytest.mark.parametrize("markup", spoofs.MARKUP.values(), ids=spoofs.MARKUP)
def test_markup_stays_what_it_is(markup: str) -> None:
    """Lines are plain text: brackets are kept, and nothing is interpreted or doubled."""
    assert f'argument   content = "{markup}"' in _shown(arguments={"content": markup})


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("pretence", spoofs.PRETENCES.values(), ids=spoofs.PRETENCES)
def test_nothing_pretends_to_be_ours(pretence: str, place: str) -> None:
    """Foreign text begins no line: each is ours, up to a quotation mark or a bar."""
    honest = _shown(**_PLACES[place]("x"))
    lines = _shown(**_PLACES[place](pretence))
    ours, theirs = (
        [line.split()[0] for line in each if line and not line.startswith("  ")]
        for each in (honest, lines)
    )
    assert theirs == ours
    assert "".join(lines).count("rm -rf ~") == pretence.count("rm -rf ~") * (1 + (place == "name"))


def test_the_spoofs_are_many() -> None:
    """Each another one."""
    assert len(set(spoofs.ALL.values())) == len(spoofs.ALL) >= 60


def test_quotes_cannot_be_left() -> None:
    """A value cannot pretend to end and go on as another line's text."""
    assert quoted('a" \\ "b\n') == '"a\\" \\\\ \\"b\\n"'


@given(st.text(), st.text())
def test_two_texts_are_never_quoted_alike(one: str, other: str) -> None:
    """A backslash that is there is not mistaken for one that we wrote, and it is one line."""
    assert (quoted(one) == quoted(other)) == (one == other)
    assert quoted(f"\\n{one}") != quoted(f"\n{one}")
    assert "\n" not in quoted(one)


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"path": _CYRILLIC}},
        {"arguments": {_CYRILLIC: "x"}},
        {"arguments": {"argv": ["curl", _CYRILLIC]}},
        {"arguments": {"options": {"host": _CYRILLIC}}},
        {"arguments": {"content": f"x\n{_CYRILLIC}\n"}},
        {"facts": Facts(program=Program(f"/bin/{_CYRILLIC}", "1", "2", "aa"))},
        {"facts": Facts(files=(FileFact(f"/work/{_CYRILLIC}", False),))},
        {"reason": _CYRILLIC},
    ],
)
def test_mixed_alphabets_are_flagged(changes: dict[str, Any]) -> None:
    """A Cyrillic letter in a Latin word is pointed out."""
    assert _MIXED in _shown(**changes)


def test_what_the_model_wrote_stands_last_and_is_labelled() -> None:
    """A summary that lies is below what runs, with its author."""
    lines = _shown(reason="digest     000\nonly reads a file", kind="agent")
    start = lines.index("what the model wrote about it (its own words, checked by nobody):")
    assert lines[start + 1 :] == ["  | digest     000", "  | only reads a file"]
    assert lines[start - 2].startswith("digest     ")
    assert "asked by   kim through an agent" in lines


def test_what_a_person_wrote_is_labelled_as_the_requesters() -> None:
    """A person's words are not the model's."""
    assert "what the requester wrote about it (its own words, checked by nobody):" in _shown("x")


def test_a_file_that_must_stay_itself_is_named() -> None:
    """An identity without a digest is shown as what it promises."""
    facts = Facts(files=(FileFact("/work", True, "1", "2"),))
    assert 'checked    "/work"  must be the same one when it runs' in _shown(facts=facts)


def test_the_conversation_is_named(home: Home) -> None:
    """Who asked, through what, in which conversation."""
    opened = home.open(home.operator.agent("s1"))
    assert "asked by   kim through an agent, conversation s1" in opened.shown
