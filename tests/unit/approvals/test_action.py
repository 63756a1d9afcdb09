"""The digest of an action."""

import dataclasses
import json

import pytest
from approvals_home import action
from hypothesis import given
from hypothesis import strategies as st

from localai.approvals.action import DOMAIN, Action, Facts, FileFact, Program, difference, read
from localai.core.canonical import digest

_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=6,
)
_programs = st.builds(Program, _words, _words, _words, _words)
_files = st.builds(
    FileFact,
    path=_words,
    exists=st.booleans(),
    device=st.none() | _words,
    inode=st.none() | _words,
    size=st.none() | st.integers(0, 2**53 - 1),
    sha256=st.none() | _words,
)
_facts = st.builds(
    Facts,
    program=st.none() | _programs,
    environment_sha256=st.none() | _words,
    files=st.lists(_files, max_size=2).map(tuple),
    diff=st.none() | _words,
)
_actions = st.builds(
    Action,
    tool=_words,
    tool_schema_sha256=_words,
    arguments=st.dictionaries(_words, _json, max_size=3),
    cwd=_words,
    sandbox=_words,
    facts=_facts,
)
_PROGRAM = Program("/bin/ls", "1", "2", "aa")
_FILE = FileFact("/work/a.txt", True, "1", "2", 3, "bb")
_FULL = action(facts=Facts(_PROGRAM, "cc", (_FILE,)))


@given(_actions)
def test_reads_back_what_it_spelled(made: Action) -> None:
    """The stored text is the action, and spells the same digest again."""
    assert read(made.text) == made
    assert read(made.text).sha256 == made.sha256


def test_an_action_without_a_diff_does_not_speak_of_one() -> None:
    """Its digest is that of the same action before there were diffs."""
    assert "diff" not in _FULL.text
    shown = dataclasses.replace(_FULL, facts=dataclasses.replace(_FULL.facts, diff=""))
    assert shown.sha256 != _FULL.sha256


@given(_actions, _actions)
def test_different_actions_have_different_digests(one: Action, other: Action) -> None:
    """Two digests agree exactly where the spellings do."""
    assert (one.sha256 == other.sha256) == (one.text == other.text)


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(_FULL, tool="x"),
        dataclasses.replace(_FULL, tool_schema_sha256="x"),
        dataclasses.replace(_FULL, arguments={"path": "a.txt", "content": "y"}),
        dataclasses.replace(_FULL, arguments={"path": "a.txt"}),
        dataclasses.replace(_FULL, cwd="/elsewhere"),
        dataclasses.replace(_FULL, sandbox="none"),
        *(
            dataclasses.replace(_FULL, facts=facts)
            for facts in (
                Facts(None, "cc", (_FILE,)),
                Facts(_PROGRAM, None, (_FILE,)),
                Facts(_PROGRAM, "cc", ()),
                *(
                    Facts(dataclasses.replace(_PROGRAM, **{name: "x"}), "cc", (_FILE,))
                    for name in ("path", "device", "inode", "sha256")
                ),
                *(
                    Facts(_PROGRAM, "cc", (dataclasses.replace(_FILE, **changes),))
                    for changes in (
                        {"path": "x"},
                        {"exists": False},
                        {"device": "x"},
                        {"inode": "x"},
                        {"size": 4},
                        {"sha256": "x"},
                    )
                ),
            )
        ),
    ],
    ids=range(19),
)
def test_any_change_of_any_field_changes_the_digest(changed: Action) -> None:
    """No field is left out of what is approved."""
    assert changed.sha256 != _FULL.sha256


def test_digest_is_bound_to_its_domain() -> None:
    """The same JSON under another domain is another digest."""
    made = action()
    assert made.sha256 == digest(DOMAIN, json.loads(made.text))
    assert made.sha256 != digest("localai-tool-v1", dataclasses.asdict(made))


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (action(facts=Facts(Program("/tmp/ls", "1", "2", "aa"), "cc", (_FILE,))), "was /bin/ls"),
        (action(facts=Facts(Program("/bin/ls", "1", "2", "xx"), "cc", (_FILE,))), "/bin/ls is"),
        (action(facts=Facts(None, "cc", (_FILE,))), "is none now"),
        (action(facts=Facts(_PROGRAM, "xx", (_FILE,))), "the environment"),
        (action(facts=Facts(_PROGRAM, "cc", ())), "/work/a.txt is different now"),
        (dataclasses.replace(_FULL, tool_schema_sha256="x"), "takes other arguments"),
        (dataclasses.replace(_FULL, cwd="/x"), "not the one that was approved"),
    ],
)
def test_difference_names_what_changed(now: Action, words: str) -> None:
    """The person reads which program, file or setting is not what it was."""
    assert words in difference(_FULL, now)
