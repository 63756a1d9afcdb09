"""What a watch says of a run."""

import json

import pytest

from localai.cli.followed import tell
from localai.core.errors import Conflict
from localai.rag.records import Skipped, Touched, WatchRun

RUN = WatchRun(
    collection="default",
    added=5,
    updated=1,
    unchanged=9,
    removed=0,
    skipped=(Skipped("x\x1b[2J.bin", "not text"),),
    chunks=7,
    seconds=0.1,
    at="2026-01-01T00:00:00Z",
    files=(*(Touched(f"{n}.md", "added") for n in range(5)), Touched("u.md", "updated")),
)


def test_a_run_is_one_line_that_names_a_few(capsys: pytest.CaptureFixture[str]) -> None:
    """And counts the rest; a name never reaches the terminal as it is."""
    tell(RUN, is_json=False)
    out, err = capsys.readouterr()
    assert out[8:] == (
        "  5 added: 0.md, 1.md, 2.md, ...; 1 updated: u.md;"
        " 1 skipped: x\\u{001B}[2J.bin (not text)\n"
    )
    assert err == ""


def test_an_error_is_told_and_is_a_line_of_json_as_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The watch goes on: whoever reads it must be able to tell the two apart."""
    error = Conflict("held", hint="wait")
    tell(error, is_json=False)
    tell(error, is_json=True)
    tell(RUN, is_json=True)
    out, err = capsys.readouterr()
    assert err == "ai: error: held\nhint: wait\n"
    first, second = map(json.loads, out.splitlines())
    assert first == {"error": {"category": "conflict", "message": "held", "hint": "wait"}}
    assert (second["added"], second["files"][-1]) == (5, {"source": "u.md", "action": "updated"})
