"""Unified diffs."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.agent.builtin.diff import unified

_texts = st.lists(
    st.sampled_from(["a\n", "b\n", "c\r\n", "\n", "d", "\u2028x\n", "-\n"]), max_size=40
)


def _patched(before: str, diff: str) -> str:
    """What the text becomes where a hunk is taken at its word, line by line."""
    old = before.split("\n")
    made: list[str] = []
    at = 0
    lines = diff.split("\n")[:-1]
    for number, line in enumerate(lines):
        bare = number + 1 < len(lines) and lines[number + 1].startswith("\\")
        end = "" if bare else "\n"
        if line.startswith("@@"):
            start, size = (int(n) for n in line.split(" ")[1][1:].split(","))
            upto = start - 1 if size else start
            made += [f"{each}\n" for each in old[at:upto]]
            at = upto
        elif line[0] in " -":
            assert old[at] == line[1:]
            at += 1
            made += [line[1:] + end] if line[0] == " " else []
        elif line[0] == "+":
            made.append(line[1:] + end)
    rest = "\n".join(old[at:])
    return "".join(made) + (rest if at < len(old) else "")


@given(_texts.map("".join), _texts.map("".join))
def test_a_diff_leads_from_one_text_to_the_other(before: str, after: str) -> None:
    """Whoever reads it knows the whole change, the last newline and carriage returns included."""
    assert (unified(before, after) == "") == (before == after)
    assert _patched(before, unified(before, after)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("", "new\n"),
        ("gone\n", ""),
        ("".join(f"{n}\n" for n in range(60)), "".join(f"{n}\n" for n in range(60) if n % 25)),
    ],
)
def test_patch_agrees(tmp_path: Path, before: str, after: str) -> None:
    """The numbers in it are those of other programs."""
    file = tmp_path / "a.txt"
    file.write_text(before)
    made = unified(before, after).replace("\\ No newline at the end", "\\ No newline at end")
    told = f"--- a.txt\n+++ a.txt\n{made}"
    subprocess.run(["patch", "-s", "--fuzz=0", str(file)], input=told, text=True, check=True)
    assert (file.read_text() if file.exists() else "") == after


def test_lines_around_a_change_are_shown_and_no_more() -> None:
    """Three on either side, with the numbers of the lines."""
    before = "".join(f"{n}\n" for n in range(1, 21))
    assert unified(before, before.replace("10\n", "ten\n")).split("\n") == [
        "@@ -7,7 +7,7 @@",
        " 7",
        " 8",
        " 9",
        "-10",
        "+ten",
        " 11",
        " 12",
        " 13",
        "",
    ]


def test_two_large_texts_with_nothing_in_common_are_one_change() -> None:
    """Which lines stayed is not worked out where that would take forever."""
    before, after = "a\nb\n" * 50_000, "b\nc\na\n" * 50_000
    assert unified(before, after).count("@@ -") == 1
